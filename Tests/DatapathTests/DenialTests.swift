import Addressing
import BPF
@testable import Datapath
import DatapathABI
import NetworkPolicy
import Testing

private let second: UInt64 = 1_000_000_000

@Suite struct DenialTests {
    private let maps: ReaderMaps

    init() throws { maps = try ReaderMaps() }

    /// What a scan with an interval of five seconds tells.
    private func scan(second now: UInt64) throws -> [DatapathEvent] {
        var events: [DatapathEvent] = []
        try DenialScanner(bpffs: maps.bpffs, interval: 5 * second).scan(now: now * second) { events.append($0) }
        return events
    }

    private func waiting(_ key: apus_denial_key) throws -> apus_denial? {
        try maps.open(.denials).lookup(key, as: apus_denial.self)
    }

    @Test("Packets that waited for the interval are told once, with all that is known of them")
    func told() throws {
        try maps.write(
            .denials, Raw.denialKey(),
            Raw.denial(reported: 100 * second, packets: 7) {
                ($0.policy, $0.rule) = (0xc0ffee, APUS_RULE_ISOLATION)
                $0.source_port = UInt16(40000).bigEndian
                ($0.frontend, $0.frontend_port) = (Raw.address("10.96.0.10"), UInt16(8080).bigEndian)
                $0.tcp_flags = 2
            })
        #expect(try scan(second: 104).isEmpty)
        let event = try #require(try scan(second: 105).first)
        #expect(event.kind == .denied && event.reason == .policyIsolated && event.direction == .ingress)
        #expect(event.time == 105 * second && event.openedAt == nil && event.count == 7)
        #expect(event.tuple.source == SocketAddress(address("10.1.0.1"), 40000))
        #expect(event.tuple.destination == SocketAddress(address("10.1.0.2"), 80))
        #expect(event.frontend == SocketAddress(address("10.96.0.10"), 8080) && event.tcpFlags == 2)
        #expect(event.ingress == PolicyDecision(policy: PolicyID(rawValue: 0xc0ffee), rule: .isolation))
        #expect(event.egress == nil)
        #expect(event.forward == TrafficCount(packets: 7, bytes: 700) && event.reverse == TrafficCount())
        #expect(try scan(second: 200).isEmpty)
    }

    @Test("After that the flow is quiet for an interval, as after a report of the data path")
    func quiet() throws {
        let key = Raw.denialKey()
        try maps.write(.denials, key, Raw.denial(reported: 100 * second, packets: 7) { $0.policy = 3 })
        _ = try scan(second: 110)
        let rest = try #require(try waiting(key))
        #expect(rest.reported_ns == 110 * second && rest.packets == 0 && rest.bytes == 0 && rest.policy == 3)
    }

    @Test("What was told is left alone, and so is what a later clock reported")
    func leftAlone() throws {
        let keys = [UInt16(1), 2].map { port in Raw.denialKey { $0.destination_port = port } }
        try maps.write(.denials, keys[0], Raw.denial(reported: 1, packets: 0))
        try maps.write(.denials, keys[1], Raw.denial(reported: 200 * second, packets: 3))
        #expect(try scan(second: 100).isEmpty)
        #expect(try waiting(keys[0])?.reported_ns == 1 && waiting(keys[1])?.packets == 3)
    }

    @Test("Packets to the end that opened count for the destination")
    func answers() throws {
        try maps.write(
            .denials, Raw.denialKey { $0.direction = 0 },
            Raw.denial(reported: 1, packets: 2) { ($0.answers, $0.policy, $0.rule) = (1, 9, 4) })
        let event = try #require(try scan(second: 100).first)
        #expect(event.reverse == TrafficCount(packets: 2, bytes: 200) && event.forward == TrafficCount())
        #expect(event.direction == .egress && event.ingress == nil)
        #expect(event.egress == PolicyDecision(policy: PolicyID(rawValue: 9), rule: .rule(4)))
    }

    @Test("What the data path tells or counts while the scan runs is told once")
    func race() throws {
        let keys = (1...8).map { number in Raw.denialKey { $0.destination_port = UInt16(number) } }
        for key in keys { try maps.write(.denials, key, Raw.denial(reported: 1, packets: 7)) }
        let map = try maps.open(.denials)
        var counts: [UInt32] = []
        // The scan reads all eight at once and then goes through them: changing the others within the first finding is
        // changing them between the reading and the taking.
        try DenialScanner(bpffs: maps.bpffs, interval: second).scan(now: 100 * second) { event in
            counts.append(event.count)
            if counts.count > 1 { return }
            for (index, key) in keys.enumerated() {
                // Reported by the data path, or more packets counted.
                let packets: UInt64 = index < 4 ? 0 : 9
                guard (try? map.lookup(key, as: apus_denial.self))??.packets == 7 else { continue }
                try? map.update(key, Raw.denial(reported: index < 4 ? 100 * second : 1, packets: packets))
            }
        }
        #expect(counts.first == 7)
        #expect(Set(counts.dropFirst()) == [9] && (3...4).contains(counts.count - 1), "\(counts)")
    }

    @Test("An entry that makes no sense stays to be seen", arguments: [UInt8(0), 200])
    func nonsense(reason: UInt8) throws {
        let key = Raw.denialKey { $0.reason = reason }
        try maps.write(.denials, key, Raw.denial(reported: 1, packets: 7))
        #expect(try scan(second: 100).isEmpty)
        #expect(try waiting(key)?.packets == 7)
    }

    @Test("Without the map a scanner says so")
    func missing() throws {
        let maps = try ReaderMaps(without: [.denials])
        #expect(throws: MapError.self) { _ = try DenialScanner(bpffs: maps.bpffs, interval: 1) }
    }
}
