internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Events and counters")
struct EventTests {
    @Test("A drop counts a packet and its bytes under its reason and direction")
    func dropCounters() throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let client = try datapath.addPod(egress: HandMadePolicy.denyAll.id)
        let server = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        let leaving = client.sends(to: Family.v4.outside).echo().payload("12345")
        let entering = server.receives(from: Family.v4.outside).echo()
        for _ in 0..<3 { try datapath.run(leaving, on: .fromPod(client)) }
        for hook in [Hook.toPod(server), .fromNetwork] { try datapath.run(entering, on: hook) }
        let drops = try datapath.drops()
        #expect(drops.count == 2)
        let left = try #require(drops[DropKey(reason: .isolated, direction: .APUS_DIRECTION_EGRESS)])
        #expect(left.packets == 3 && left.bytes == UInt64(3 * leaving.bytes.count))
        let entered = try #require(drops[DropKey(reason: .isolated, direction: .APUS_DIRECTION_INGRESS)])
        #expect(entered.packets == 2 && entered.bytes == UInt64(2 * entering.bytes.count))
    }

    @Test("A denied packet tells who, where, why and by which policy", arguments: Family.allCases)
    func denied(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let (client, server) = (try datapath.addPod(), try datapath.addPod(ingress: HandMadePolicy.denyAll.id))
        let packet = client.sends(to: server[family]).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .dropped(entering: .isolated))
        let event = try #require(datapath.events().first)
        #expect(event.kind == .denied && event.reason == .isolated && event.direction == .APUS_DIRECTION_INGRESS)
        #expect(event.sourceEnd == SocketAddress(client[family], 40000))
        #expect(event.destinationEnd == SocketAddress(server[family], 80))
        #expect(event.source_endpoint == client.slot && event.source_identity == 1000 + client.slot)
        #expect(event.destination_endpoint == server.slot && event.destination_identity == 1000 + server.slot)
        #expect(event.ingress_policy == HandMadePolicy.denyAll.id && event.ingress_rule == isolationRule)
        #expect(event.egress_policy == 0 && event.egress_rule == noRule)
        #expect(event.count == 1 && event.tcp_flags == UInt16(TCPFlags.syn.rawValue))
        #expect(event.protocol == IPProtocol.tcp.rawValue && event.opened_ns == 0 && event.time_ns > 0)
    }

    @Test("The same denied flow tells of itself once an interval, and says for how many packets")
    func aggregated() throws {
        let datapath = try DatapathFixture { $0.denial_interval_ns = 50_000_000 }
        let pod = try datapath.pod(under: .denyAll)
        func sendUntilEvents(_ wanted: Int) throws -> (sent: Int, events: [Event]) {
            var (sent, events) = (0, [Event]())
            let clock = ContinuousClock()
            let end = clock.now + .seconds(120)
            while events.count < wanted, clock.now < end {
                _ = try datapath.open(pod)  // from another port each time
                sent += 1
                events += datapath.events()
            }
            return (sent, events)
        }
        let (sent, events) = try sendUntilEvents(3)
        #expect(events.count == 3 && events[0].count == 1)
        #expect(events.reduce(0) { $0 + Int($1.count) } == sent)
        #expect(events[2].time_ns - events[1].time_ns >= 50_000_000)
    }

    @Test("Denied packets that are not told yet wait with all that a report needs", arguments: Family.allCases)
    func waiting(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let (client, server) = (try datapath.addPod(), try datapath.addPod(ingress: HandMadePolicy.denyAll.id))
        let packet = client.sends(to: server[family]).tcp(from: 40000, to: 80, flags: .syn)
        for _ in 0..<4 { try datapath.run(packet, on: .fromPod(client)) }
        let reported = try #require(datapath.events().first)
        let entries = try datapath.maps.denials.entries(keys: apus_denial_key.self, values: apus_denial.self)
        let (key, denial) = try #require(entries.first)
        #expect(entries.count == 1 && denial.reported_ns == reported.time_ns)
        #expect(denial.packets == 3 && denial.bytes == UInt64(3 * packet.bytes.count))
        #expect(denial.policy == HandMadePolicy.denyAll.id && denial.rule == isolationRule)
        #expect(denial.source_port.bigEndian == 40000 && key.destination_port.bigEndian == 80)
        #expect(denial.tcp_flags == UInt16(TCPFlags.syn.rawValue) && denial.answers == 0)
    }

    @Test("Flows that differ in more than the source port are told apart")
    func toldApart() throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.pod(under: .denyAll)
        let other = ip("198.51.100.1")
        for _ in 0..<3 {
            _ = try datapath.open(pod, to: other)
            _ = try datapath.open(pod, to: Family.v4.outside)
            _ = try datapath.open(pod, to: Family.v4.outside, .tcp, 81)
            _ = try datapath.open(pod, to: Family.v4.outside, .udp, 80)
        }
        #expect(datapath.events().count == 4)
    }

    @Test("An opened connection tells its ends, rules and time")
    func opened() throws {
        let datapath = try DatapathFixture()
        try datapath.set(.allowAll)
        let client = try datapath.addPod(egress: HandMadePolicy.allowAll.id)
        let server = try datapath.addPod(ingress: HandMadePolicy.allowAll.id)
        let packet = client.sends(to: server.v6).udp(from: 5000, to: 53)
        try datapath.run(packet, on: .fromPod(client))
        let event = try #require(datapath.events().first)
        #expect(event.kind == .opened && event.ending == .live && event.direction == .APUS_DIRECTION_EGRESS)
        #expect(event.sourceEnd == SocketAddress(client.v6, 5000))
        #expect(event.destinationEnd == SocketAddress(server.v6, 53))
        #expect(event.egress_policy == HandMadePolicy.allowAll.id && event.egress_rule == 0)
        #expect(event.ingress_policy == HandMadePolicy.allowAll.id && event.ingress_rule == 0)
        #expect(event.time_ns == event.opened_ns && event.opened_ns > 0 && event.protocol == IPProtocol.udp.rawValue)
        #expect(event.forward_packets == 1 && event.forward_bytes == UInt64(packet.bytes.count))
        #expect(event.frontend_port == 0 && event.count == 0)
    }

    @Test("From outside, the direction of an opened connection is ingress")
    func openedFromOutside() throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        try datapath.run(pod.receives(from: Family.v4.outside).echo(identifier: 3), on: .fromNetwork)
        let event = try #require(datapath.events().first)
        #expect(event.direction == .APUS_DIRECTION_INGRESS && event.source_endpoint == 0)
        #expect(event.icmp_type == 8 && event.destination_endpoint == pod.slot)
    }

    @Test("What does not fit into the ring is counted as lost, and passes all the same")
    func lost() throws {
        let datapath = try DatapathFixture(sizes: ["events": 4096])
        let pod = try datapath.addPod()
        for _ in 0..<100 { #expect(try datapath.open(pod).isPassing) }
        let fit = UInt64(4096 / 168)  // 160 bytes and a header of 8
        #expect(try datapath.eventCount(.APUS_EVENTS_SUBMITTED) == fit)
        #expect(try datapath.eventCount(.APUS_EVENTS_LOST) == 100 - fit)
        #expect(datapath.events().count == Int(fit))
        #expect(try datapath.open(pod).isPassing)
        #expect(datapath.events().count == 1)
    }

    @Test("Without events nothing is told, and everything else is as with them")
    func off() throws {
        let datapath = try DatapathFixture { $0.flow_detail = FlowDetail.none.abi }
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        try datapath.client(.rst, talk)
        let pod = try datapath.pod(under: .denyAll)
        #expect(try datapath.open(pod) == .dropped(leaving: .isolated))
        #expect(datapath.events().isEmpty)
        #expect(try datapath.eventCount(.APUS_EVENTS_LOST) == 0)
    }
}
