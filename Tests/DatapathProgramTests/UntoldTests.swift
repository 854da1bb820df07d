internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// What the kernel evicts from full maps before it was told: the counters say how much that is.
@Suite("What is never told")
struct UntoldTests {
    @Test("Denied packets are due once, and told as often as events say")
    func denials() throws {
        let datapath = try DatapathFixture(sizes: ["denials": 1024])
        let pod = try datapath.pod(under: .denyAll)
        let ports: ClosedRange<UInt16> = 1...3000
        var told: UInt64 = 0
        for port in ports {
            // The first one is told at once, the second one waits.
            let packet = pod.sends(to: Family.v4.outside).tcp(from: 40000, to: Port(port), flags: .syn)
            for _ in 0..<2 { #expect(try datapath.verdict(packet.bytes, on: .fromPod(pod)) == Verdict.drop) }
            told += datapath.events().reduce(0) { $0 + UInt64($1.count) }
        }
        let entries = try datapath.maps.denials.entries(keys: apus_denial_key.self, values: apus_denial.self)
        let waiting = entries.reduce(0) { $0 + $1.value.packets }
        #expect(try datapath.eventCount(.APUS_EVENTS_LOST) == 0)
        #expect(try datapath.eventCount(.APUS_EVENTS_DENIED) == 2 * UInt64(ports.count))
        #expect(try datapath.eventCount(.APUS_EVENTS_DENIED_TOLD) == told)
        #expect(told >= ports.count && told + waiting < 2 * ports.count, "\(told) told, \(waiting) wait")
    }

    @Test("Packets that an event without room in the ring should have told are due, and not told")
    func fullRing() throws {
        let datapath = try DatapathFixture({ $0.denial_interval_ns = 0 }, sizes: ["events": 4096])
        let pod = try datapath.pod(under: .denyAll)
        for _ in 0..<100 { _ = try datapath.open(pod) }
        let (told, lost) = (
            try datapath.eventCount(.APUS_EVENTS_DENIED_TOLD), try datapath.eventCount(.APUS_EVENTS_LOST)
        )
        #expect(lost > 0 && told == UInt64(datapath.events().count))
        #expect(try datapath.eventCount(.APUS_EVENTS_DENIED) == told + lost)
    }

    @Test("A connection is due from its opening on until its end is told, whether the ring has room or not")
    func connections() throws {
        let datapath = try DatapathFixture(sizes: ["half_open": 512, "events": 4096])
        let pod = try datapath.addPod()
        for port in 2000..<4000 as Range<UInt16> {
            let packet = pod.sends(to: Family.v4.outside).udp(from: Port(port), to: 53)
            _ = try datapath.verdict(packet.bytes, on: .fromPod(pod))
        }
        let live = try datapath.connectionCount()
        #expect(live < 2000)
        #expect(try datapath.eventCount(.APUS_EVENTS_OPENINGS) == 2000)
        #expect(try datapath.eventCount(.APUS_EVENTS_ENDINGS) == 0)
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        try datapath.client(.rst, talk)
        try datapath.client(.rst, talk)
        #expect(try datapath.eventCount(.APUS_EVENTS_OPENINGS) == 2001)
        #expect(try datapath.eventCount(.APUS_EVENTS_ENDINGS) == 1)
    }
}
