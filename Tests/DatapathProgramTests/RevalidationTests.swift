internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Live connections under changes")
struct RevalidationTests {
    private func live(_ datapath: DatapathFixture, _ policy: HandMadePolicy = .allowAll) throws -> Conversation {
        try datapath.set(policy)
        let client = try datapath.addPod(egress: policy.id)
        let talk = Conversation(client: client, server: try datapath.addPod())
        try datapath.establish(talk)
        _ = datapath.events()
        return talk
    }

    @Test("Under a new generation that still allows it, a connection goes on, judged by the new policy")
    func stillAllowed() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.set(.onlyHTTP)
        try datapath.setEndpoint(of: talk.client) { $0.egress_policy = HandMadePolicy.onlyHTTP.id }
        #expect(try datapath.client(.ack, talk) == .delivered)
        var side = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry.openerSide
        #expect(side.policy == HandMadePolicy.allowAll.id && side.generation == 1)  // not told to look again
        try datapath.bumpGeneration(of: talk.client)
        #expect(try datapath.client(.ack, talk) == .delivered)
        side = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry.openerSide
        #expect(side.policy == HandMadePolicy.onlyHTTP.id && side.generation == 2 && side.packets == 4)
        #expect(datapath.events().isEmpty)
    }

    @Test("Under a new generation that denies it, nothing passes either way, until one allows it again")
    func denied() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.set(.denyAll)
        try datapath.setEndpoint(of: talk.client) { $0.egress_policy = HandMadePolicy.denyAll.id }
        try datapath.bumpGeneration(of: talk.client)
        #expect(try datapath.client(.ack, talk) == .dropped(leaving: .isolated))
        #expect(try datapath.server(.ack, talk) == .dropped(leaving: .isolated))
        let entry = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry
        #expect(entry.openerSide.packets == 2 && entry.openerSide.generation == 0)
        try datapath.setEndpoint(of: talk.client) { $0.egress_policy = 0 }
        #expect(try datapath.client(.ack, talk) == .delivered)
        #expect(try datapath.server(.ack, talk) == .delivered)
    }

    private func cut(_ datapath: DatapathFixture, _ pod: Pod) throws {
        try datapath.set(.denyAll)
        try datapath.setEndpoint(of: pod) {
            $0.egress_policy = HandMadePolicy.denyAll.id
            $0.generation += 1
        }
    }

    @Test("What is cut off is not opened the other way round as long as either end tries", arguments: [true, false])
    func staysCut(byClient: Bool) throws {
        let datapath = try DatapathFixture { $0.established_timeout_ns = 60 * DatapathFixture.second }
        let talk = try live(datapath)
        try cut(datapath, talk.client)
        for _ in 0..<3 {
            let fate = try byClient ? datapath.client(.ack, talk) : datapath.server(.ack, talk)
            #expect(fate == .dropped(leaving: .isolated))
            try datapath.age(talk.fromClient(.ack), seconds: 40)
        }
        #expect(try datapath.server(.ack, talk) == .dropped(leaving: .isolated))
        let entry = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry
        #expect(entry.openerSide.packets == 2 && entry.responderSide.packets == 1)
        #expect(try datapath.server(.syn, talk) == .delivered)
    }

    @Test("Datagrams that are cut off are let go of in their time, tried or not")
    func datagramsAreLetGo() throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let question = client.sends(to: server.v4).udp(from: 5000, to: 5000)
        let answer = server.sends(to: client.v4).udp(from: 5000, to: 5000)
        #expect(try datapath.run(question, on: .fromPod(client)) == .delivered)
        #expect(try datapath.run(answer, on: .fromPod(server)) == .delivered)
        try cut(datapath, client)
        for _ in 0..<2 {
            #expect(try datapath.run(answer, on: .fromPod(server)) == .dropped(leaving: .isolated))
            try datapath.age(question, seconds: 40)
        }
        #expect(try datapath.run(answer, on: .fromPod(server)) == .delivered)
    }

    @Test("A responder's new ingress policy cuts the connection, its new egress policy does not")
    func responder() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.set(.denyAll)
        try datapath.setEndpoint(of: talk.server) { $0.egress_policy = HandMadePolicy.denyAll.id }
        try datapath.bumpGeneration(of: talk.server)
        #expect(try datapath.server(.ack, talk) == .delivered)
        #expect(try datapath.client(.ack, talk) == .delivered)
        try datapath.setEndpoint(of: talk.server) { $0.ingress_policy = HandMadePolicy.denyAll.id }
        try datapath.bumpGeneration(of: talk.server)
        #expect(try datapath.client(.ack, talk) == .dropped(entering: .isolated))
        #expect(try datapath.server(.ack, talk) == .dropped(entering: .isolated))
    }

    @Test("A pod that takes over an address does not take over its connections")
    func newIdentity() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.set(.denyAll)
        try datapath.setEndpoint(of: talk.client) { $0.identity = 2000 }
        #expect(try datapath.server(.ack, talk) == .delivered)  // nothing forbids it: as a connection of its own
        let events = datapath.events()
        #expect(events.map(\.kind) == [.closed, .opened] && events.first?.ending == .replaced)
        #expect(events.last?.sourceEnd.address == talk.server.v4)
    }

    @Test("… and under a policy that isolates it, nothing of the old connection reaches it")
    func newIdentityIsolated() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.set(.denyAll)
        try datapath.setEndpoint(of: talk.client) {
            $0.identity = 2000
            $0.ingress_policy = HandMadePolicy.denyAll.id
        }
        #expect(try datapath.server(.ack, talk) == .dropped(entering: .isolated))
        try datapath.setEndpoint(of: talk.server) {
            $0.identity = 3000
            $0.egress_policy = HandMadePolicy.denyAll.id
        }
        #expect(try datapath.server(.ack, talk) == .dropped(leaving: .isolated))
    }

    @Test("A pod that took over the sender's address is judged at the receiver, too")
    func newSenderIsJudgedAtReceiver() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.set(.denyAll)
        try datapath.setEndpoint(of: talk.client) { $0.identity = 2000 }
        try datapath.setEndpoint(of: talk.server) { $0.ingress_policy = HandMadePolicy.denyAll.id }  // old generation
        let packet = talk.fromClient(.ack)
        var fate = try datapath.run(packet, on: .fromPod(talk.client))
        if fate == .passed { fate = try datapath.run(packet, on: .toPod(talk.server)) }
        #expect(fate == .dropped(entering: .isolated))
    }

    @Test("A receiver whose slot was freed gets its packets through the stack")
    func removedReceiver() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.remove(talk.server)
        #expect(try datapath.client(.ack, talk) == .passed)
    }

    @Test("A receiver whose slot went to another pod is not mistaken for that pod")
    func reusedSlot() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.set(.denyAll)
        try datapath.remove(talk.server)
        datapath.pods.removeLast()
        let other = try datapath.addPod(["10.244.1.99"], ingress: HandMadePolicy.denyAll.id)
        #expect(other.slot == talk.server.slot)
        try datapath.setEndpoint(of: other) { $0.identity = 2000 }
        #expect(try datapath.client(.ack, talk) == .passed)
        let entry = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry
        #expect(entry.responderSide.endpoint == 0)
    }

    @Test("A pod that took over the receiver's address gets the packets of a new connection")
    func reusedAddress() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.remove(talk.server)
        let heir = try datapath.addPod(talk.server.addresses)
        #expect(try datapath.client(.ack, talk) == .delivered)
        #expect(datapath.outputView?.destinationMAC == heir.mac)
        #expect(datapath.events().map(\.ending) == [.replaced, .live])
    }

    @Test("A connection that was evicted is the same pods' connection when the stack brings its next packet")
    func evicted() throws {
        let datapath = try DatapathFixture()
        let talk = try live(datapath)
        try datapath.forgetConnections()
        #expect(try datapath.run(talk.fromClient(.ack), on: .toPod(talk.server)) == .passed)
        let entry = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry
        #expect(entry.openerSide.endpoint == talk.client.slot && entry.openerSide.policy == HandMadePolicy.allowAll.id)
        #expect(try datapath.run(talk.fromClient(.ack), on: .fromNetwork) == .dropped(entering: .invalidSource))
    }

    @Test("An endpoint that comes to be known later takes its side of the connection, judged")
    func knownLater() throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let client = try datapath.addPod()
        let later = ip("10.244.1.2")
        let packet = client.sends(to: later).tcp(from: 40000, to: 80, flags: .ack)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        let server = try datapath.addPod(["10.244.1.2"], ingress: HandMadePolicy.denyAll.id)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)  // the connection names no endpoint there
        #expect(try datapath.run(packet, on: .toPod(server)) == .dropped(entering: .isolated))
        let entry = try #require(try datapath.connection(of: packet)).entry
        #expect(entry.responderSide.endpoint == server.slot && entry.responderSide.identity == 1000 + server.slot)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .dropped(entering: .isolated))
        try datapath.setEndpoint(of: server) { $0.ingress_policy = 0 }
        #expect(try datapath.run(packet, on: .fromPod(client)) == .delivered)
    }
}
