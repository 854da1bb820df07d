internal import Addressing
internal import BPF
internal import DatapathABI
internal import Glibc
internal import TestSupport
internal import Testing

@Suite("How long handshakes take")
struct HandshakeTests {
    /// Nanoseconds that an entry says; the last digits are lost.
    private static func nanoseconds(_ detail: UInt16) -> UInt64 {
        UInt64(detail & 0xfff) << UInt64(detail >> 12) * UInt64(APUS_HANDSHAKE_UNIT_NS)
    }

    private func detail(_ datapath: borrowing DatapathFixture, _ talk: Conversation) throws -> UInt16 {
        try #require(try datapath.connection(of: talk.fromClient(.ack))).entry.detail
    }

    /// Lets the opening lie further back.
    private func age(_ datapath: borrowing DatapathFixture, _ talk: Conversation, by nanoseconds: UInt64) throws {
        let key = apus_connection_key(try #require(PacketView(talk.fromClient(.ack).bytes)?.connectionTuple))
        var entry = try #require(try datapath.maps.connections.lookup(key, as: apus_connection.self))
        entry.opened_ns -= nanoseconds
        try datapath.maps.connections.update(key, entry)
    }

    @Test("It is the time from the first packet to the one that answers the answer", arguments: Family.allCases)
    func measured(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation(family)
        try datapath.client(.syn, talk)
        try datapath.server([.syn, .ack], talk)
        #expect(try detail(datapath, talk) == 0)
        try datapath.client(.ack, talk)
        let written = try detail(datapath, talk)
        let opened = try #require(try datapath.connection(of: talk.fromClient(.ack))).entry.opened_ns
        #expect((1...datapath.nanoseconds(of: CLOCK_MONOTONIC) - opened).contains(Self.nanoseconds(written)))
        try datapath.client([.ack, .psh], talk)
        try datapath.client([.fin, .ack], talk)
        try datapath.server([.fin, .ack], talk)
        try datapath.client(.ack, talk)
        #expect(try detail(datapath, talk) == written)
        let events = datapath.events()
        #expect(
            events.map(\.handshake) == [0, written] && events.allSatisfy { $0.icmp_type == 0 && $0.icmp_code == 0 })
    }

    /// Tests run beside others: what has passed meanwhile is allowed for, up to a second.
    @Test(
        "Every time is written to a unit or a part in two thousand, up to half a minute",
        arguments: [10_000, 1_000_000, 50_000_000, 3_000_000_000, 30_000_000_000] as [UInt64])
    func accuracy(nanoseconds: UInt64) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        try datapath.client(.syn, talk)
        try datapath.server([.syn, .ack], talk)
        try age(datapath, talk, by: nanoseconds)
        try datapath.client(.ack, talk)
        let told = Self.nanoseconds(try detail(datapath, talk))
        let most = nanoseconds + 1_000_000_000
        let least = nanoseconds - max(UInt64(APUS_HANDSHAKE_UNIT_NS), nanoseconds / 2048)
        #expect((least...most).contains(told), "\(told)")
    }

    @Test("What is longer than can be written is the longest")
    func longest() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        try datapath.client(.syn, talk)
        try datapath.server([.syn, .ack], talk)
        try age(datapath, talk, by: 59_000_000_000)
        try datapath.client(.ack, talk)
        #expect(try detail(datapath, talk) == .max)
    }

    /// The packets of a connection, and who sends each.
    enum Step: String, Sendable {
        case opening = "SYN", answer = "SYN-ACK", end = "ACK", clientReset = "RST", challenge = "server ACK"
    }

    @Test(
        "Where it is not known which packet was answered, it is not told",
        arguments: [
            [.opening, .opening, .answer, .end], [.opening, .answer, .answer, .end], [.opening, .answer, .clientReset],
            [.opening, .challenge, .end], [.opening, .end], [.end, .challenge, .end],
        ] as [[Step]])
    func unknown(steps: [Step]) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        for step in steps {
            switch step {
            case .opening: try datapath.client(.syn, talk)
            case .answer: try datapath.server([.syn, .ack], talk)
            case .end: try datapath.client(.ack, talk)
            case .clientReset: try datapath.client([.rst, .ack], talk)
            case .challenge: try datapath.server(.ack, talk)
            }
        }
        #expect(try detail(datapath, talk) == 0)
        #expect(datapath.events().allSatisfy { $0.handshake == 0 })
    }

    @Test("What was sent again is told of the end that sent it, by whichever end the connection is sorted")
    func retransmissions() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        let key = apus_connection_key(try #require(PacketView(talk.fromClient(.ack).bytes)?.connectionTuple))
        var entry = try #require(try datapath.maps.connections.lookup(key, as: apus_connection.self))
        if entry.opener == 0 { entry.sides.0.retransmissions = 3 } else { entry.sides.1.retransmissions = 3 }
        try datapath.maps.connections.update(key, entry)
        _ = datapath.events()
        try datapath.client(.rst, talk)
        let event = try #require(datapath.events().first)
        #expect(event.forward_retransmissions == 3 && event.reverse_retransmissions == 0)
    }
}

@Suite("Each packet")
struct PacketEventTests {
    private func fixture(redirect: UInt8 = 1) throws -> DatapathFixture {
        try DatapathFixture {
            ($0.flow_detail, $0.denial_interval_ns, $0.redirect_peer) = (FlowDetail.packets.abi, 0, redirect)
        }
    }

    @Test("Each packet of a connection is told once, with its way, size and flags", arguments: [0, 1] as [UInt8])
    func told(redirect: UInt8) throws {
        let datapath = try fixture(redirect: redirect)
        let talk = try datapath.conversation()
        func pass(_ packet: Packet, from sender: Pod, to receiver: Pod) throws {
            try datapath.run(packet, on: .fromPod(sender))
            if redirect == 0 { try datapath.run(packet, on: .toPod(receiver)) }
        }
        let data = talk.fromServer([.ack, .psh]).payload("12345")
        try pass(talk.fromClient(.syn), from: talk.client, to: talk.server)
        try pass(talk.fromServer([.syn, .ack]), from: talk.server, to: talk.client)
        try pass(talk.fromClient(.ack), from: talk.client, to: talk.server)
        try pass(data, from: talk.server, to: talk.client)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.opened, .packet, .packet, .packet])
        #expect(events.map(\.forward_packets) == [1, 0, 1, 0] && events.map(\.reverse_packets) == [0, 1, 0, 1])
        #expect(events[3].reverse_bytes == UInt64(data.bytes.count) && events[3].forward_bytes == 0)
        let flags: [TCPFlags] = [.syn, [.syn, .ack], .ack, [.ack, .psh]]
        #expect(events.map(\.tcp_flags) == flags.map { UInt16($0.rawValue) })
        for event in events {
            #expect(event.sourceEnd == SocketAddress(talk.client.v4, 40000))
            #expect(event.source_endpoint == talk.client.slot && event.destination_endpoint == talk.server.slot)
            #expect(event.ending == .live && event.opened_ns == events[0].opened_ns && event.handshake == 0)
        }
        #expect(events.map(\.time_ns) == events.map(\.time_ns).sorted())
    }

    @Test("The last one comes before the end that it makes")
    func end() throws {
        let datapath = try fixture()
        let talk = try datapath.conversation()
        try datapath.establish(talk)
        _ = datapath.events()
        try datapath.client(.rst, talk)
        #expect(datapath.events().map(\.kind) == [.packet, .closed])
    }

    @Test("Each denied packet is told by itself")
    func denied() throws {
        let datapath = try fixture()
        let pod = try datapath.pod(under: .denyAll)
        for _ in 0..<5 { #expect(try datapath.open(pod) == .dropped(leaving: .isolated)) }
        let events = datapath.events()
        #expect(events.map(\.kind) == Array(repeating: .denied, count: 5) && events.allSatisfy { $0.count == 1 })
    }

    @Test("An ICMP packet tells its own type")
    func icmp() throws {
        let datapath = try fixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        try datapath.run(client.sends(to: server.v4).echo(), on: .fromPod(client))
        try datapath.run(server.sends(to: client.v4).echo(reply: true), on: .fromPod(server))
        let events = datapath.events()
        #expect(events.map(\.kind) == [.opened, .packet] && events.map(\.icmp_type) == [8, 0])
        #expect(events.map(\.reverse_packets) == [0, 1])
    }
}
