internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Live connections that are kept under changes")
struct KeptConnectionsTests {
    private func keeping() throws -> DatapathFixture { try DatapathFixture { $0.keep_connections = 1 } }

    private func live(_ datapath: DatapathFixture, _ family: Family = .v4) throws -> Conversation {
        try datapath.set(.allowAll)
        let allowAll = HandMadePolicy.allowAll.id
        let talk = Conversation(
            client: try datapath.addPod(egress: allowAll), server: try datapath.addPod(ingress: allowAll),
            family: family)
        try datapath.establish(talk)
        _ = datapath.events()
        return talk
    }

    private func isolate(_ datapath: DatapathFixture, _ pod: Pod) throws {
        try datapath.set(.denyAll)
        try datapath.setEndpoint(of: pod) {
            $0.ingress_policy = HandMadePolicy.denyAll.id
            $0.egress_policy = HandMadePolicy.denyAll.id
            $0.generation += 1
        }
    }

    @Test("A new generation that denies them leaves them alone, and denies new ones", arguments: Family.allCases)
    func kept(_ family: Family) throws {
        let datapath = try keeping()
        let talk = try live(datapath, family)
        try isolate(datapath, talk.client)
        try isolate(datapath, talk.server)
        #expect(try datapath.client(.ack, talk) == .delivered)
        #expect(try datapath.server(.ack, talk) == .delivered)
        let entry = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry
        // As it was admitted, and known as such: programs that revalidate will judge it.
        #expect(entry.openerSide.policy == HandMadePolicy.allowAll.id && entry.openerSide.generation == 1)
        var another = talk
        another.ports.client += 1
        #expect(try datapath.client(.syn, another) == .dropped(leaving: .isolated))
        #expect(datapath.events().map(\.kind) == [.denied])
    }

    @Test("An opening that was let in is answered, and one that ended makes room for one that is judged")
    func openingAndEnd() throws {
        let datapath = try keeping()
        try datapath.set(.allowAll)
        let talk = Conversation(
            client: try datapath.addPod(egress: HandMadePolicy.allowAll.id), server: try datapath.addPod())
        #expect(try datapath.client(.syn, talk) == .delivered)
        try isolate(datapath, talk.client)
        #expect(try datapath.server([.syn, .ack], talk) == .delivered)
        #expect(try datapath.client(.ack, talk) == .delivered)
        #expect(try datapath.client(.rst, talk) == .delivered)
        #expect(try datapath.client(.syn, talk) == .dropped(leaving: .isolated))
    }

    @Test("Errors about a kept connection pass", arguments: Family.allCases)
    func errors(_ family: Family) throws {
        let datapath = try keeping()
        let talk = try live(datapath, family)
        try isolate(datapath, talk.server)
        let quoted = Packet.raw.ip(from: talk.client[family], to: talk.server[family])
            .tcp(from: talk.ports.client, to: talk.ports.server, flags: .ack)
        let error = talk.server.sends(to: talk.client[family]).icmpError(.portUnreachable, quoting: quoted)
        #expect(try datapath.run(error, on: .fromPod(talk.server)).isPassing)
    }

    @Test("A pod that takes over an address does not take over its kept connections")
    func newIdentity() throws {
        let datapath = try keeping()
        let talk = try live(datapath)
        try isolate(datapath, talk.client)
        try datapath.setEndpoint(of: talk.client) { $0.identity = 2000 }
        #expect(try datapath.client(.ack, talk) == .dropped(leaving: .isolated))
        #expect(try datapath.server(.ack, talk) == .dropped(entering: .isolated))
    }

    @Test("A side that nobody has admitted yet, or that was cut off before, is judged")
    func notAdmitted() throws {
        let datapath = try keeping()
        let talk = try live(datapath)
        let key = apus_connection_key(try #require(PacketView(talk.fromClient(.ack).bytes)?.connectionTuple))
        var entry = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry
        try isolate(datapath, talk.client)
        if entry.opener == 0 { entry.sides.0.generation = 0 } else { entry.sides.1.generation = 0 }
        try datapath.maps.connections.update(key, entry)
        #expect(try datapath.client(.ack, talk) == .dropped(leaving: .isolated))
        #expect(try datapath.server(.ack, talk) == .dropped(leaving: .isolated))
        try datapath.setEndpoint(of: talk.client) { $0.egress_policy = 0 }
        #expect(try datapath.client(.ack, talk) == .delivered)
        // Admitted now: kept from here on.
        try isolate(datapath, talk.client)
        #expect(try datapath.client(.ack, talk) == .delivered)
    }
}
