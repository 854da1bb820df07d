internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Policies in audit mode")
struct AuditTests {
    /// Audits what no rule allows; TCP to port 80 is allowed.
    private static let auditedHTTP = HandMadePolicy(
        id: 0xa80, isolates: false, auditsRest: true,
        rules: [HandMadePolicy.Rule(ports: HandMadePolicy.PortRange(port: 80))])

    private func opening(_ talk: Conversation, from port: Port, to: Port) -> Conversation {
        var other = talk
        other.ports = (port, to)
        return other
    }

    @Test("What an audited policy would deny passes, and is told with its rule", arguments: Family.allCases)
    func isolation(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(Self.auditedHTTP)
        let talk = Conversation(
            client: try datapath.addPod(), server: try datapath.addPod(ingress: Self.auditedHTTP.id), family: family)
        #expect(try datapath.client(.syn, talk) == .delivered)
        #expect(datapath.events().map(\.kind) == [.opened])
        let other = opening(talk, from: 40001, to: 81)
        #expect(try datapath.client(.syn, other) == .delivered)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.opened, .audited])
        let audited = try #require(events.last)
        #expect(audited.reason == .isolated && audited.direction == .APUS_DIRECTION_INGRESS && audited.count == 1)
        #expect(audited.ingress_policy == Self.auditedHTTP.id && audited.ingress_rule == isolationRule)
        #expect(audited.sourceEnd == SocketAddress(talk.client[family], 40001))
        #expect(audited.destinationEnd == SocketAddress(talk.server[family], 81))
        // Its established packets are those of any connection.
        #expect(try datapath.server([.syn, .ack], other) == .delivered)
        #expect(try datapath.client(.ack, other) == .delivered)
        #expect(datapath.events().isEmpty)
        #expect(try datapath.drops().isEmpty && datapath.eventCount(.APUS_EVENTS_AUDITED) == 1)
    }

    @Test("A flood of openings is told once in an interval, and each is counted")
    func flood() throws {
        let datapath = try DatapathFixture()
        try datapath.set(Self.auditedHTTP)
        let talk = Conversation(
            client: try datapath.addPod(), server: try datapath.addPod(ingress: Self.auditedHTTP.id))
        for port in Port(1024)..<1524 {
            #expect(try datapath.client(.syn, opening(talk, from: port, to: 81)) == .delivered)
        }
        let audited = datapath.events().filter { $0.kind == .audited }
        #expect(audited.count == 1 && audited.first?.count == 1)
        #expect(try datapath.eventCount(.APUS_EVENTS_AUDITED) == 500)
    }

    private typealias Rule = HandMadePolicy.Rule

    /// A list of rules, whether the rest is audited, what a packet's fate is and which rule an audited event names.
    private static let lists: [(name: String, rules: [Rule], auditsRest: Bool, reason: apus_reason?, audit: UInt32?)] =
        [
            ("a denial", [Rule(tier: .admin, action: .audit)], false, nil, 0),
            (
                "the first of two", [Rule(tier: .admin, action: .audit), Rule(tier: .admin, action: .audit)], false,
                nil, 0
            ),
            (
                "one behind an accepting rule", [Rule(tier: .admin), Rule(tier: .admin, action: .audit)], false, nil,
                nil
            ),
            ("one before it", [Rule(tier: .admin, action: .audit), Rule(tier: .admin)], false, nil, 0),
            (
                "one behind a pass", [Rule(tier: .admin, action: .pass), Rule(tier: .admin, action: .audit)], false,
                nil,
                nil
            ),
            (
                "one before a denial in force",
                [Rule(tier: .admin, action: .audit), Rule(tier: .admin, action: .deny)],
                false, .denied, nil
            ),
            (
                "isolation before the Baseline tier", [Rule(tier: .baseline, action: .deny)], true, .denied, nil
            ),
            ("isolation before what Baseline allows", [Rule(tier: .baseline)], true, nil, isolationRule),
            ("isolation before an audited Baseline", [Rule(tier: .baseline, action: .audit)], true, nil, isolationRule),
            ("a Baseline denial", [Rule(tier: .baseline, action: .audit)], false, nil, 0),
            (
                "an Admin denial before all", [Rule(tier: .admin, action: .audit), Rule()], true, nil, 0
            ),
            (
                "the 300th rule",
                [Rule](repeating: Rule(peers: [77]), count: 299) + [Rule(tier: .baseline, action: .audit)],
                false, nil, 299
            ),
        ]

    @Test("Of several rules the first that would decide counts", arguments: lists.indices)
    func order(index: Int) throws {
        let list = Self.lists[index]
        let datapath = try DatapathFixture()
        let policy = HandMadePolicy(id: 7, isolates: false, auditsRest: list.auditsRest, rules: list.rules)
        try datapath.set(policy)
        let talk = Conversation(client: try datapath.addPod(egress: 7), server: try datapath.addPod())
        let fate = try datapath.client(.syn, talk)
        #expect(fate == (list.reason.map { .dropped(leaving: $0) } ?? .delivered), "\(list.name)")
        let audited = datapath.events().filter { $0.kind == .audited }
        #expect(audited.map(\.egress_rule) == (list.audit.map { [$0] } ?? []), "\(list.name)")
    }

    @Test("A live connection that is judged again is told of, and goes on")
    func liveConnection() throws {
        let datapath = try DatapathFixture()
        let talk = Conversation(client: try datapath.addPod(), server: try datapath.addPod(), ports: (40000, 81))
        try datapath.establish(talk)
        _ = datapath.events()
        try datapath.set(Self.auditedHTTP)
        try datapath.setEndpoint(of: talk.server) { $0.ingress_policy = Self.auditedHTTP.id }
        try datapath.bumpGeneration(of: talk.server)
        #expect(try datapath.server(.ack, talk) == .delivered)
        let event = try #require(datapath.events().last)
        #expect(event.kind == .audited && event.sourceEnd == SocketAddress(talk.client.v4, 40000))
        #expect(event.ingress_rule == isolationRule && event.reverse_packets == 1)
        #expect(try datapath.client(.ack, talk) == .delivered)
        #expect(datapath.events().isEmpty)
    }

    /// A connection that lives, and gets these policies: of the opener's egress and of the other end's ingress.
    private func judgedAgain(_ datapath: DatapathFixture, egress: UInt32, ingress: UInt32) throws -> Conversation {
        try datapath.set(Self.auditedHTTP)
        try datapath.set(.denyAll)
        let talk = Conversation(client: try datapath.addPod(), server: try datapath.addPod(), ports: (40000, 81))
        try datapath.establish(talk)
        try datapath.setEndpoint(of: talk.client) { $0.egress_policy = egress }
        try datapath.setEndpoint(of: talk.server) { $0.ingress_policy = ingress }
        for pod in [talk.client, talk.server] { try datapath.bumpGeneration(of: pod) }
        _ = datapath.events()
        return talk
    }

    @Test("A live connection that one end audits and the other denies is denied, and nothing else is told")
    func liveDeniedElsewhere() throws {
        let datapath = try DatapathFixture()
        let talk = try judgedAgain(datapath, egress: Self.auditedHTTP.id, ingress: HandMadePolicy.denyAll.id)
        #expect(try datapath.client(.ack, talk) == .dropped(entering: .isolated))
        #expect(datapath.events().map(\.kind) == [.denied])
        #expect(try datapath.eventCount(.APUS_EVENTS_AUDITED) == 0)
    }

    @Test("… and one that both audit is told once, by the end that sends", arguments: [true, false])
    func liveAuditedTwice(byClient: Bool) throws {
        let datapath = try DatapathFixture()
        let talk = try judgedAgain(datapath, egress: Self.auditedHTTP.id, ingress: Self.auditedHTTP.id)
        #expect(try (byClient ? datapath.client(.ack, talk) : datapath.server(.ack, talk)) == .delivered)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.audited])
        #expect(events.first?.direction == (byClient ? .APUS_DIRECTION_EGRESS : .APUS_DIRECTION_INGRESS))
        #expect(try datapath.eventCount(.APUS_EVENTS_AUDITED) == 1)
    }

    /// An ICMP error of one pod to another, about nothing that is known.
    private func stray(_ talk: Conversation) -> Packet {
        let quoted = Packet.raw.ip(from: talk.server.v4, to: talk.client.v4).udp(from: 5000, to: 53)
        return talk.client.sends(to: talk.server.v4).icmpError(.portUnreachable, quoting: quoted)
    }

    @Test("An ICMP error of no connection that both ends audit is told once")
    func strayError() throws {
        let datapath = try DatapathFixture()
        try datapath.set(Self.auditedHTTP)
        let talk = Conversation(
            client: try datapath.addPod(egress: Self.auditedHTTP.id),
            server: try datapath.addPod(ingress: Self.auditedHTTP.id))
        #expect(try datapath.run(stray(talk), on: .fromPod(talk.client)) == .passed)
        #expect(try datapath.run(stray(talk), on: .toPod(talk.server)) == .passed)
        #expect(datapath.events().map(\.kind) == [.audited])
        #expect(try datapath.eventCount(.APUS_EVENTS_AUDITED) == 1)
    }

    @Test("… and one that the receiver denies is denied where it leaves, and nothing else is told")
    func strayErrorDenied() throws {
        let datapath = try DatapathFixture()
        try datapath.set(Self.auditedHTTP)
        try datapath.set(.denyAll)
        let talk = Conversation(
            client: try datapath.addPod(egress: Self.auditedHTTP.id),
            server: try datapath.addPod(ingress: HandMadePolicy.denyAll.id))
        #expect(try datapath.run(stray(talk), on: .fromPod(talk.client)) == .dropped(entering: .isolated))
        #expect(datapath.events().map(\.kind) == [.denied])
        #expect(try datapath.eventCount(.APUS_EVENTS_AUDITED) == 0)
    }

    @Test("… and one from outside is told by the pod's own hook alone", arguments: Family.allCases)
    func strayErrorFromOutside(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(Self.auditedHTTP)
        let pod = try datapath.addPod(ingress: Self.auditedHTTP.id)
        let quoted = Packet.raw.ip(from: pod[family], to: family.outside).udp(from: 5000, to: 53)
        let error = pod.receives(from: family.outside).icmpError(.portUnreachable, quoting: quoted)
        #expect(try datapath.run(error, on: .fromNetwork) == .passed)
        #expect(try datapath.run(error, on: .toPod(pod)) == .passed)
        #expect(datapath.events().map(\.kind) == [.audited])
        #expect(try datapath.eventCount(.APUS_EVENTS_AUDITED) == 1)
    }

    @Test("What another end denies is denied, and nothing else is told")
    func deniedElsewhere() throws {
        let datapath = try DatapathFixture()
        try datapath.set(Self.auditedHTTP)
        try datapath.set(.denyAll)
        let talk = Conversation(
            client: try datapath.addPod(egress: Self.auditedHTTP.id),
            server: try datapath.addPod(ingress: HandMadePolicy.denyAll.id), ports: (40000, 81))
        #expect(try datapath.client(.syn, talk) == .dropped(entering: .isolated))
        #expect(datapath.events().map(\.kind) == [.denied])
    }
}
