internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

/// The packets of a conversation between two pods, as each of them sends them.
struct Conversation {
    let client: Pod
    let server: Pod
    var family = Family.v4
    var ports: (client: Port, server: Port) = (40000, 80)

    func fromClient(_ flags: TCPFlags) -> Packet {
        client.sends(to: server[family]).tcp(from: ports.client, to: ports.server, flags: flags)
    }

    func fromServer(_ flags: TCPFlags) -> Packet {
        server.sends(to: client[family]).tcp(from: ports.server, to: ports.client, flags: flags)
    }
}

extension DatapathFixture {
    /// Two pods that may talk to each other, and their conversation.
    func conversation(_ family: Family = .v4) throws -> Conversation {
        Conversation(client: try addPod(), server: try addPod(), family: family)
    }

    @discardableResult
    func client(_ flags: TCPFlags, _ talk: Conversation) throws -> Fate {
        try run(talk.fromClient(flags), on: .fromPod(talk.client))
    }

    @discardableResult
    func server(_ flags: TCPFlags, _ talk: Conversation) throws -> Fate {
        try run(talk.fromServer(flags), on: .fromPod(talk.server))
    }

    /// The handshake.
    func establish(_ talk: Conversation) throws {
        #expect(try client(.syn, talk).isPassing)
        #expect(try server([.syn, .ack], talk).isPassing)
        #expect(try client(.ack, talk).isPassing)
    }
}

@Suite("Connections")
struct ConnectionTests {
    @Test("An opening waits half open, with both ends and what judged them", arguments: Family.allCases)
    func opening(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.allowAll)
        let client = try datapath.addPod(egress: HandMadePolicy.allowAll.id)
        let talk = Conversation(client: client, server: try datapath.addPod(), family: family)
        try datapath.setEndpoint(of: client) { $0.generation = 5 }
        #expect(try datapath.client(.syn, talk) == .delivered)
        let found = try #require(try datapath.connection(of: talk.fromClient(.syn)))
        #expect(found.isHalfOpen && found.isInHalfOpenMap)
        let opener = found.entry.openerSide
        let responder = found.entry.responderSide
        #expect(opener.endpoint == client.slot && opener.identity == 1000 + client.slot && opener.generation == 5)
        #expect(opener.policy == HandMadePolicy.allowAll.id && opener.rule == 0)
        #expect(opener.packets == 1 && opener.bytes == UInt64(talk.fromClient(.syn).bytes.count))
        #expect(opener.tcp_flags == UInt16(TCPFlags.syn.rawValue))
        #expect(responder.endpoint == talk.server.slot && responder.policy == 0 && responder.rule == noRule)
        #expect(responder.packets == 0 && responder.bytes == 0)
        #expect(found.entry.opened_ns == found.entry.last_seen_ns && found.entry.opened_ns > 0)
    }

    @Test("The answer makes it a connection, and each side counts what it sends", arguments: Family.allCases)
    func answer(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation(family)
        try datapath.establish(talk)
        for _ in 0..<3 { try datapath.server([.ack, .psh], talk) }
        let found = try #require(try datapath.connection(of: talk.fromClient(.ack)))
        #expect(!found.isHalfOpen && !found.isInHalfOpenMap)
        #expect(try datapath.connectionCount() == 1)
        let size = UInt64(talk.fromClient(.ack).bytes.count)
        #expect(found.entry.openerSide.packets == 2 && found.entry.openerSide.bytes == 2 * size)
        #expect(found.entry.responderSide.packets == 4 && found.entry.responderSide.bytes == 4 * size)
        #expect(found.entry.openerSide.tcp_flags == UInt16(TCPFlags([.syn, .ack]).rawValue))
        #expect(found.entry.responderSide.tcp_flags == UInt16(TCPFlags([.syn, .ack, .psh]).rawValue))
    }

    @Test("What an isolated client asked for comes back, and nothing else does", arguments: Family.allCases)
    func replies(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let client = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        let talk = Conversation(client: client, server: try datapath.addPod(), family: family)
        #expect(try datapath.server(.syn, talk) == .dropped(entering: .isolated))
        #expect(try datapath.connectionCount() == 0)
        try datapath.establish(talk)
        var other = talk
        other.ports.client = 40001
        #expect(try datapath.server([.syn, .ack], other) == .dropped(entering: .isolated))
    }

    @Test("Through the stack both hooks see a packet, and it counts once")
    func countsOnce() throws {
        let datapath = try DatapathFixture { $0.redirect_peer = 0 }
        let talk = try datapath.conversation()
        func exchange(_ packet: Packet, _ from: Pod, _ to: Pod) throws {
            #expect(try datapath.run(packet, on: .fromPod(from)) == .passed)
            #expect(try datapath.run(packet, on: .toPod(to)) == .passed)
        }
        try exchange(talk.fromClient(.syn), talk.client, talk.server)
        try exchange(talk.fromServer([.syn, .ack]), talk.server, talk.client)
        for _ in 0..<4 { try exchange(talk.fromClient(.ack), talk.client, talk.server) }
        let entry = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry
        #expect(entry.openerSide.packets == 5)
        #expect(entry.responderSide.packets == 1)
    }

    @Test("From the network both hooks see a packet, and it counts once", arguments: [0, 1] as [UInt8])
    func countsOnceFromNetwork(redirect: UInt8) throws {
        let datapath = try DatapathFixture { $0.redirect_peer = redirect }
        let server = try datapath.addPod()
        let packet = server.receives(from: Family.v4.outside).tcp(from: 40000, to: 80, flags: .syn)
        for _ in 0..<3 {
            let fate = try datapath.run(packet, on: .fromNetwork)
            #expect(fate == (redirect == 1 ? .delivered : .passed))
            if fate == .passed { #expect(try datapath.run(packet, on: .toPod(server)) == .passed) }
        }
        let entry = try #require(try datapath.connection(of: packet)).entry
        #expect(entry.openerSide.packets == 3)
        #expect(entry.openerSide.endpoint == 0 && entry.responderSide.endpoint == server.slot)
    }

    @Test("Two FINs and an acknowledgement end it, with one event that sums it up")
    func finished() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        try datapath.client([.fin, .ack], talk)
        try datapath.server(.ack, talk)
        try datapath.server([.fin, .ack], talk)
        #expect(datapath.events().map(\.kind) == [.opened])
        try datapath.client(.ack, talk)
        try datapath.client(.ack, talk)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.closed])
        let event = try #require(events.first)
        #expect(event.ending == .finished)
        #expect(event.sourceEnd == SocketAddress(talk.client.v4, 40000))
        #expect(event.destinationEnd == SocketAddress(talk.server.v4, 80))
        #expect(event.forward_packets == 4 && event.reverse_packets == 3)
        #expect(event.tcp_flags == UInt16(TCPFlags([.syn, .ack, .fin]).rawValue))
        let entry = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry
        #expect(entry.has(APUS_CONNECTION_CLOSED) && !entry.has(APUS_CONNECTION_RESET))
    }

    @Test("A new opening after both FINs is a new connection, although the last acknowledgement was lost")
    func reopened() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        try datapath.client([.fin, .ack], talk)
        try datapath.server([.fin, .ack], talk)
        _ = datapath.events()
        try datapath.client(.syn, talk)
        #expect(datapath.events().map(\.kind) == [.closed, .opened])
        #expect(try #require(try datapath.connection(of: talk.fromClient(.syn))).entry.openerSide.packets == 1)
    }

    @Test("A reset ends it at once, from either side", arguments: [true, false])
    func reset(byClient: Bool) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        _ = datapath.events()
        _ = byClient ? try datapath.client(.rst, talk) : try datapath.server(.rst, talk)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.closed] && events.map(\.ending) == [.reset])
        let entry = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry
        #expect(entry.has(APUS_CONNECTION_CLOSED) && entry.has(APUS_CONNECTION_RESET))
    }

    @Test("A refused opening ends half open")
    func refused() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        try datapath.client(.syn, talk)
        try datapath.server([.rst, .ack], talk)
        let found = try #require(try datapath.connection(of: talk.fromClient(.syn)))
        #expect(found.isHalfOpen && found.entry.has(APUS_CONNECTION_CLOSED))
        #expect(datapath.events().map(\.ending) == [.live, .reset])
        // The next attempt with the same ports is a new connection.
        try datapath.client(.syn, talk)
        let again = try #require(try datapath.connection(of: talk.fromClient(.syn)))
        #expect(again.isHalfOpen && !again.entry.has(APUS_CONNECTION_CLOSED) && again.entry.openerSide.packets == 1)
        #expect(datapath.events().map(\.kind) == [.opened])
    }

    @Test("A SYN repeated by the opener is the same opening")
    func retransmitted() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        for _ in 0..<3 { try datapath.client(.syn, talk) }
        #expect(datapath.events().map(\.kind) == [.opened])
        #expect(try #require(try datapath.connection(of: talk.fromClient(.syn))).entry.openerSide.packets == 3)
    }

    @Test("A SYN after the end opens a new connection with the same ports, which takes over the ended one's entry")
    func replacesClosed() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        try datapath.server(.rst, talk)
        _ = datapath.events()
        try datapath.client(.syn, talk)
        #expect(datapath.events().map(\.kind) == [.opened])
        let found = try #require(try datapath.connection(of: talk.fromClient(.syn)))
        #expect(found.isHalfOpen && found.entry.openerSide.packets == 1 && found.entry.responderSide.packets == 0)
        #expect(!found.isInHalfOpenMap)
        #expect(try datapath.connectionCount() == 1)
        try datapath.server([.syn, .ack], talk)
        let answered = try #require(try datapath.connection(of: talk.fromClient(.ack)))
        #expect(!answered.isHalfOpen && answered.entry.responderSide.packets == 1)
    }

    @Test("A SYN from the other end replaces the connection and turns it around")
    func turnedAround() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        _ = datapath.events()
        #expect(try datapath.server(.syn, talk) == .delivered)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.closed, .opened] && events.first?.ending == .replaced)
        #expect(events.last?.sourceEnd == SocketAddress(talk.server.v4, 80))
        #expect(
            try #require(try datapath.connection(of: talk.fromClient(.ack))).entry.openerSide.endpoint
                == talk.server.slot)
    }

    @Test("A SYN from the other end that policy denies leaves the connection alone")
    func deniedSYNReplacesNothing() throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let client = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        let talk = Conversation(client: client, server: try datapath.addPod())
        try datapath.establish(talk)
        #expect(try datapath.server(.syn, talk) == .dropped(entering: .isolated))
        #expect(try datapath.server(.ack, talk) == .delivered)
    }

    @Test("A connection in the middle, whose opening nobody saw, is judged like an opening")
    func midstream() throws {
        let datapath = try DatapathFixture()
        try datapath.set(.onlyHTTP)
        let talk = Conversation(
            client: try datapath.addPod(egress: HandMadePolicy.onlyHTTP.id), server: try datapath.addPod())
        #expect(try datapath.client(.ack, talk) == .delivered)
        var other = talk
        other.ports.server = 81
        #expect(try datapath.client(.ack, other) == .dropped(leaving: .isolated))
    }
}

@Suite("Time")
struct ExpiryTests {
    @Test("What waited for too long is judged anew when a packet comes, and its end is told")
    func expired() throws {
        let datapath = try DatapathFixture { ($0.half_open_timeout_ns, $0.established_timeout_ns) = (1, 1) }
        let talk = try datapath.conversation()
        try datapath.client(.syn, talk)
        datapath.passTime()
        try datapath.client(.syn, talk)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.opened, .closed, .opened] && events[1].ending == .expired)
        #expect(try #require(try datapath.connection(of: talk.fromClient(.syn))).entry.openerSide.packets == 1)
    }

    @Test("An isolated pod gets no late answer")
    func lateAnswer() throws {
        let datapath = try DatapathFixture { $0.half_open_timeout_ns = 1 }
        try datapath.set(.denyAll)
        let client = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        let talk = Conversation(client: client, server: try datapath.addPod())
        try datapath.client(.syn, talk)
        datapath.passTime()
        #expect(try datapath.server([.syn, .ack], talk) == .dropped(entering: .isolated))
    }

    @Test("Each kind of connection has its own time")
    func kinds() throws {
        let long = UInt64.max / 4
        let datapath = try DatapathFixture {
            ($0.half_open_timeout_ns, $0.established_timeout_ns) = (long, long)
            ($0.closing_timeout_ns, $0.datagram_timeout_ns) = (long, 1)
        }
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        try datapath.client(.ack, talk)
        #expect(try #require(try datapath.connection(of: talk.fromClient(.ack))).entry.openerSide.packets == 3)
        let query = talk.client.sends(to: talk.server.v4).udp(from: 5000, to: 53)
        let answer = talk.server.sends(to: talk.client.v4).udp(from: 53, to: 5000)
        try datapath.run(query, on: .fromPod(talk.client))
        try datapath.run(answer, on: .fromPod(talk.server))  // in time: half open waits long
        datapath.passTime()
        try datapath.run(query, on: .fromPod(talk.client))  // too late for an answered datagram
        let found = try #require(try datapath.connection(of: query))
        #expect(found.isHalfOpen && found.entry.openerSide.packets == 1)
    }

    @Test("What has ended is forgotten after its own time, without another event")
    func closedExpires() throws {
        let datapath = try DatapathFixture { $0.closing_timeout_ns = 1 }
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        try datapath.client(.rst, talk)
        _ = datapath.events()
        datapath.passTime()
        try datapath.client(.ack, talk)
        #expect(datapath.events().map(\.kind) == [.opened])
    }
}
