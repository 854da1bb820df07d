internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("What a link brings to many pods")
struct LinkReceiverTests {
    private typealias Rule = HandMadePolicy.Rule
    private typealias Ports = HandMadePolicy.PortRange

    /// Only datagrams to port 5353 pass.
    private static let onlyNames = HandMadePolicy(id: 0x53, rules: [Rule(ports: Ports(ipProtocol: .udp, port: 5353))])
    private static let auditsAll = HandMadePolicy(id: 0xa17, isolates: false, auditsRest: true)

    private static func group(_ family: Family) -> IPAddress { ip(family == .v4 ? "224.0.0.251" : "ff02::fb") }

    /// A pod's announcement to a group of its link.
    private func announcement(_ pod: Pod, _ family: Family) -> Packet {
        pod.sends(to: Self.group(family), ttl: 255).udp(from: 5353, to: 5353).payload("here")
    }

    @Test("It is one flow of its sender, whoever gets it", arguments: Family.allCases)
    func oneFlow(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (sender, receivers) = (try datapath.addPod(), [try datapath.addPod(), try datapath.addPod()])
        let packet = announcement(sender, family)
        for _ in 0..<3 {
            #expect(try datapath.run(packet, on: .fromPod(sender)) == .passed)
            for receiver in receivers { #expect(try datapath.forward(packet, to: receiver) == .passed) }
        }
        #expect(datapath.events().map(\.kind) == [.opened])
        let found = try #require(try datapath.connection(of: packet))
        #expect(found.entry.openerSide.packets == 3 && found.entry.responderSide.endpoint == 0)
        #expect(try datapath.connectionCount() == 1)
    }

    @Test("A receiver that may not get it says nothing of the others", arguments: Family.allCases)
    func isolatedReceiver(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let (sender, open) = (try datapath.addPod(), try datapath.addPod())
        let isolated = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        let packet = announcement(sender, family)
        for _ in 0..<3 {
            #expect(try datapath.run(packet, on: .fromPod(sender)) == .passed)
            #expect(try datapath.forward(packet, to: isolated) == .dropped(entering: .isolated))
            #expect(try datapath.forward(packet, to: open) == .passed)
        }
        let events = datapath.events()
        #expect(events.map(\.kind) == [.opened, .denied], "the flow is told once in the interval")
        let denied = try #require(events.last)
        #expect(denied.ingress_policy == HandMadePolicy.denyAll.id && denied.ingress_rule == isolationRule)
        #expect(denied.source_endpoint == sender.slot && denied.destination_endpoint == isolated.slot)
        #expect(denied.destinationEnd == SocketAddress(Self.group(family), 5353))
        let drops = try datapath.drops()
        #expect(drops[DropKey(reason: .isolated, direction: .APUS_DIRECTION_INGRESS)]?.packets == 3)
    }

    @Test("Each packet is judged by the policy in force, and none is let in as a reply", arguments: Family.allCases)
    func judgedEach(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(Self.onlyNames)
        try datapath.set(.denyAll)
        let sender = try datapath.addPod()
        let receiver = try datapath.addPod(ingress: Self.onlyNames.id)
        let packet = announcement(sender, family)
        #expect(try datapath.forward(packet, to: receiver) == .passed)
        let other = sender.sends(to: Self.group(family)).udp(from: 5353, to: 5354)
        #expect(try datapath.forward(other, to: receiver) == .dropped(entering: .isolated))
        try datapath.setEndpoint(of: receiver) { $0.ingress_policy = HandMadePolicy.denyAll.id }
        #expect(try datapath.forward(packet, to: receiver) == .dropped(entering: .isolated))
        #expect(try datapath.connectionCount() == 0)
    }

    @Test("What passes in audit mode alone is told of", arguments: Family.allCases)
    func audited(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(Self.auditsAll)
        let (sender, receiver) = (try datapath.addPod(), try datapath.addPod(ingress: Self.auditsAll.id))
        #expect(try datapath.forward(announcement(sender, family), to: receiver) == .passed)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.audited] && events.first?.source_endpoint == sender.slot)
    }

    @Test("What the node sends to a group reaches an isolated pod", arguments: Family.allCases)
    func fromNode(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        try datapath.setClass(0, of: family.outside, isLocalNode: true)
        let pod = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        let packet = Packet.ethernet(from: pod.hostMAC, to: pod.mac).ip(from: family.outside, to: Self.group(family))
            .udp(from: 5353, to: 5353)
        #expect(try datapath.run(packet, on: .toPod(pod)) == .passed)
        #expect(try datapath.forward(packet, to: pod) == .dropped(entering: .isolated))
    }

    @Test("A frame for all leaves the connection of the pod alone that has the address", arguments: Family.allCases)
    func frameForAll(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let (pod, bystander) = (
            try datapath.addPod(), try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        )
        let packet = pod.receives(from: family.outside).udp(from: 40000, to: 53)
        #expect(try datapath.forward(packet, to: pod) == .passed)
        let toAll = Packet.ethernet(from: pod.hostMAC, to: mac("ff:ff:ff:ff:ff:ff"))
            .ip(from: family.outside, to: pod[family]).udp(from: 40000, to: 53)
        #expect(try datapath.forward(toAll, to: bystander) == .dropped(entering: .isolated))
        #expect(try datapath.forward(packet, to: pod) == .passed)
        let entry = try #require(try datapath.connection(of: packet)).entry
        #expect(entry.responderSide.endpoint == pod.slot && entry.openerSide.packets == 2)
    }
}
