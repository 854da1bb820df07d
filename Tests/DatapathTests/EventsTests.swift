import Addressing
@testable import Datapath
import DatapathABI
import NetworkPolicy
import Testing

private func decode(_ bytes: Bytes) throws(RecordError) -> DatapathEvent {
    try DatapathEvent(decoding: bytes.span.bytes)
}

@Suite struct EventsTests {
    @Test(
        "Every reason of the ABI has its number, its label and its sentence",
        arguments: 0..<apus_reason.APUS_REASON_COUNT.rawValue)
    func reasons(number: UInt32) throws {
        let reason = DropReason(try #require(apus_reason(rawValue: number)))
        #expect(reason?.rawValue == (number == 0 ? nil : UInt8(number)))
        #expect(reason == DropReason(rawValue: UInt8(number)))
    }

    @Test("Labels are unique, and sentences are sentences")
    func labels() {
        #expect(DropReason.allCases.count == Int(apus_reason.APUS_REASON_COUNT.rawValue) - 1)
        let labels = DropReason.allCases.map(\.text)
        #expect(Set(labels).count == labels.count)
        #expect(labels.allSatisfy { $0.utf8.allSatisfy { (97...122).contains($0) || $0 == 95 } })
        let sentences =
            DropReason.allCases.map(\.sentence) + EventKind.allCases.map(\.sentence) + Ending.allCases.map(\.sentence)
            + TrafficDirection.allCases.map(\.sentence)
        #expect(sentences.allSatisfy { $0.hasSuffix(".") && $0.first?.isUppercase == true })
    }

    @Test("Kinds, endings and directions have the numbers of the ABI")
    func numbers() {
        #expect(EventKind(.APUS_EVENT_OPENED) == EventKind(rawValue: UInt8(apus_event_kind.APUS_EVENT_OPENED.rawValue)))
        #expect(EventKind(.APUS_EVENT_DENIED) == EventKind(rawValue: UInt8(apus_event_kind.APUS_EVENT_DENIED.rawValue)))
        #expect(EventKind(.APUS_EVENT_CLOSED) == EventKind(rawValue: UInt8(apus_event_kind.APUS_EVENT_CLOSED.rawValue)))
        for ending in [apus_ending.APUS_ENDING_NONE, .APUS_ENDING_FINISHED, .APUS_ENDING_RESET, .APUS_ENDING_EXPIRED] {
            #expect(Ending(ending) == Ending(rawValue: UInt8(ending.rawValue)))
        }
        #expect(Ending(.APUS_ENDING_REPLACED)?.rawValue == UInt8(apus_ending.APUS_ENDING_REPLACED.rawValue))
        #expect(
            TrafficDirection(.APUS_DIRECTION_EGRESS).rawValue == UInt8(apus_direction.APUS_DIRECTION_EGRESS.rawValue))
        #expect(
            TrafficDirection(.APUS_DIRECTION_INGRESS).rawValue == UInt8(apus_direction.APUS_DIRECTION_INGRESS.rawValue))
    }

    @Test("A closed connection is decoded with all that its record says")
    func closed() throws {
        let raw = Raw.event {
            $0.kind = UInt8(apus_event_kind.APUS_EVENT_CLOSED.rawValue)
            $0.ending = UInt8(apus_ending.APUS_ENDING_RESET.rawValue)
            $0.frontend = Raw.address("10.96.0.10")
            $0.frontend_port = UInt16(8080).bigEndian
            ($0.forward_packets, $0.forward_bytes, $0.reverse_packets, $0.reverse_bytes) = (3, 300, 2, 2000)
            ($0.source_endpoint, $0.source_identity) = (4, 17)
            ($0.egress_policy, $0.egress_rule) = (0xc0ffee, 2)
            ($0.ingress_policy, $0.ingress_rule) = (0xbeef, APUS_RULE_ISOLATION)
            $0.tcp_flags = 0x17
            ($0.handshake, $0.forward_retransmissions, $0.reverse_retransmissions) = (0x1003, 2, 0)
        }
        let event = try decode(Bytes(of: raw))
        #expect(event.kind == .closed)
        #expect(event.ending == .reset)
        #expect(event.reason == nil)
        #expect(event.openedAt == 5_000)
        #expect(event.age == 4_000)
        #expect(event.epochTime(offset: 1_000) == 10_000)
        #expect(event.frontend == SocketAddress(address("10.96.0.10"), 8080))
        #expect(event.source == EndpointReference(slot: 4, identity: 17))
        #expect(event.destination == nil)
        #expect(event.egress == PolicyDecision(policy: PolicyID(rawValue: 0xc0ffee), rule: .rule(2)))
        #expect(event.ingress?.rule == .isolation)
        #expect(
            "\(event)" == """
                9000 closed TCP 10.1.0.1:40000 -> 10.1.0.2:80 frontend 10.96.0.10:8080 egress ending reset source 4#17 \
                egress 00c0ffee/2 ingress 0000beef/isolation sent 3/300 received 2/2000 tcp-flags FSRA \
                handshake 1536 retransmissions 2/0
                """)
    }

    @Test("A denied ICMPv6 packet is decoded with reason, place, count and message")
    func denied() throws {
        let raw = Raw.event {
            $0.kind = UInt8(apus_event_kind.APUS_EVENT_DENIED.rawValue)
            $0.opened_ns = 0
            ($0.source, $0.destination) = (Raw.address("fd00::1"), Raw.address("fd00::2"))
            ($0.source_port, $0.destination_port) = (UInt16(7).bigEndian, UInt16(7).bigEndian)
            ($0.protocol, $0.icmp_type, $0.icmp_code) = (58, 128, 0)
            $0.reason = UInt8(apus_reason.APUS_REASON_POLICY_ISOLATED.rawValue)
            $0.direction = UInt8(apus_direction.APUS_DIRECTION_INGRESS.rawValue)
            ($0.ingress_policy, $0.ingress_rule, $0.count) = (1, APUS_RULE_NONE, 12)
        }
        let event = try decode(Bytes(of: raw))
        #expect(event.openedAt == nil)
        #expect(event.age == nil)
        #expect(event.icmp == ICMPTypeAndCode(type: 128, code: 0))
        #expect(
            "\(event)" == """
                9000 denied ICMPv6 [fd00::1]:7 -> [fd00::2]:7 icmp 128/0 ingress reason policy_isolated count 12 \
                ingress 00000001/- sent 0/0 received 0/0
                """)
    }

    @Test("Numbers without a meaning are an error that names the field")
    func unknownNumbers() throws {
        func error(_ change: (inout apus_event) -> Void) -> RecordError? {
            do throws(RecordError) { _ = try decode(Bytes(of: Raw.event(change))) } catch { return error }
            return nil
        }
        #expect(error { _ in } == nil)
        #expect(error { $0.kind = 5 }?.reason == .unknown(field: .kind, 5))
        #expect(error { $0.reason = 200 }?.reason == .unknown(field: .reason, 200))
        #expect(error { $0.direction = 2 }?.reason == .unknown(field: .direction, 2))
        #expect(error { $0.ending = 255 }?.description == "a record with unknown ending 255")
        #expect(throws: RecordError(.length(159, expected: 160))) { try decode(Bytes(zeros: 159)) }
    }

    @Test("No bytes of any length trap, and those of a record with known numbers are an event")
    func randomBytes() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededNumbers(seed)
        for _ in 0..<20_000 {
            var bytes = random.bytes(
                Int.random(in: 0...2, using: &random) == 0 ? Int.random(in: 0...400, using: &random) : 160)
            if let event = try? decode(bytes) { _ = event.description.utf8.count }
            guard bytes.count == 160 else { continue }
            let kind = try #require(MemoryLayout<apus_event>.offset(of: \.kind))
            bytes[kind] %= 5
            bytes[kind + 2] %= UInt8(apus_reason.APUS_REASON_COUNT.rawValue)
            bytes[kind + 3] %= 2
            bytes[kind + 4] %= 5
            let event = try? decode(bytes)
            #expect(event != nil, "seed \(seed)")
            _ = (event?.description, event?.age, event?.epochTime(offset: .min), event?.epochTime(offset: .max))
        }
    }

    @Test("An event holds no reference, so decoding one allocates nothing")
    func isTrivial() {
        #expect(_isPOD(DatapathEvent.self))
        #expect(_isPOD(ConnectionRecord.self))
    }
}
