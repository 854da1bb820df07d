internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// A transport protocol that Services translate, and packets of it.
enum Transport: CaseIterable, Sendable {
    case tcp, udp, sctp

    /// Those that open connections.
    static let connected = [Transport.tcp, .sctp]

    var number: IPProtocol {
        switch self {
        case .tcp: .tcp
        case .udp: .udp
        case .sctp: .sctp
        }
    }

    /// A header, in SCTP with a chunk that stands for the flags.
    func header(
        on packet: Packet, from source: Port, to destination: Port, _ flags: TCPFlags = .syn,
        checksum: ChecksumChoice = .right
    ) -> Packet {
        switch self {
        case .tcp: packet.tcp(from: source, to: destination, flags: flags, checksum: checksum)
        case .udp: packet.udp(from: source, to: destination, checksum: checksum)
        case .sctp: packet.sctp(from: source, to: destination, chunk: Chunk(flags).bytes, checksum: checksum)
        }
    }
}

@Suite("Services, packet by packet")
struct ServiceTests {
    @Test(
        "A packet to the frontend reaches the backend, its answer comes from the frontend",
        arguments: Family.allCases, Transport.allCases)
    func bothWays(_ family: Family, _ transport: Transport) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let frontend = SocketAddress(family.virtual, 80)
        try datapath.addService(frontend, transport.number, to: [SocketAddress(server[family], 8080)])
        for round in 0..<3 {
            let text = "round \(round)"
            let flags: TCPFlags = round == 0 ? .syn : .ack
            let request = transport.header(on: client.sends(to: family.virtual), from: 40000, to: 80, flags).payload(
                text)
            #expect(try datapath.run(request, on: .fromPod(client)) == .delivered)
            let arrived = transport.header(
                on: server.receives(from: client[family], ttl: 63), from: 40000, to: 8080, flags
            ).payload(text)
            #expect(datapath.output == arrived.bytes)
            let reply = transport.header(on: server.sends(to: client[family]), from: 8080, to: 40000, .ack).payload(
                text)
            #expect(try datapath.run(reply, on: .fromPod(server)) == .delivered)
            let answer = transport.header(
                on: client.receives(from: family.virtual, ttl: 63), from: 80, to: 40000, .ack
            ).payload(text)
            #expect(datapath.output == answer.bytes)
        }
        let seen = transport.header(on: client.sends(to: server[family]), from: 40000, to: 8080)
        let entry = try #require(try datapath.connection(of: seen)).entry
        #expect(entry.openerSide.packets == 3 && entry.responderSide.packets == 3)
        #expect(entry.frontend.address == frontend.address && Port(bigEndian: entry.frontend_port) == 80)
        let opened = try #require(datapath.events().first)
        #expect(opened.frontendEnd == frontend && opened.destinationEnd == SocketAddress(server[family], 8080))
    }

    @Test("The node's loopback is no frontend for a pod", arguments: Transport.allCases)
    func loopbackOfTheNode(_ transport: Transport) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let loopback = IPAddress("127.0.0.1")!
        try datapath.addService(
            SocketAddress(loopback, 30080), transport.number, to: [SocketAddress(server[.v4], 8080)],
            flags: [APUS_SERVICE_NODE_ONLY])
        let request = transport.header(on: client.sends(to: loopback), from: 40000, to: 30080)
        #expect(try datapath.run(request, on: .fromPod(client)) == .passed)
        #expect(datapath.output == request.bytes)
    }

    @Test("Without redirection the answer is translated at the client's own hook", arguments: Family.allCases)
    func throughStack(_ family: Family) throws {
        let datapath = try DatapathFixture { $0.redirect_peer = 0 }
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        try datapath.addService(SocketAddress(family.virtual, 80), to: [SocketAddress(server[family], 8080)])
        let request = client.sends(to: family.virtual).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(request, on: .fromPod(client)) == .passed)
        let arrived = client.sends(to: server[family]).tcp(from: 40000, to: 8080, flags: .syn)
        #expect(datapath.output == arrived.bytes)
        #expect(try datapath.run(arrived, on: .toPod(server)) == .passed)
        #expect(datapath.output == arrived.bytes)
        let reply = server.sends(to: client[family]).tcp(from: 8080, to: 40000, flags: [.syn, .ack])
        #expect(try datapath.run(reply, on: .fromPod(server)) == .passed)
        #expect(datapath.output == reply.bytes)
        #expect(try datapath.run(reply, on: .toPod(client)) == .passed)
        let answer = server.frame().ip(from: family.virtual, to: client[family]).tcp(
            from: 80, to: 40000, flags: [.syn, .ack])
        #expect(datapath.output == answer.bytes)
    }

    @Test("A backend on another node answers through the network", arguments: Family.allCases, Transport.allCases)
    func remoteBackend(_ family: Family, _ transport: Transport) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        try datapath.addService(
            SocketAddress(family.virtual, 80), transport.number, to: [SocketAddress(family.outside, 8080)])
        let request = transport.header(on: client.sends(to: family.virtual), from: 40000, to: 80)
        #expect(try datapath.run(request, on: .fromPod(client)) == .passed)
        #expect(datapath.output == transport.header(on: client.sends(to: family.outside), from: 40000, to: 8080).bytes)
        let reply = transport.header(on: client.receives(from: family.outside), from: 8080, to: 40000, .ack)
        #expect(try datapath.run(reply, on: .fromNetwork) == .delivered)
        let answer = transport.header(on: client.receives(from: family.virtual, ttl: 63), from: 80, to: 40000, .ack)
        #expect(datapath.output == answer.bytes)
        // A reply whose hop count ends here goes to the stack untranslated.
        let last = transport.header(on: client.receives(from: family.outside, ttl: 1), from: 8080, to: 40000, .ack)
        #expect(try datapath.run(last, on: .fromNetwork) == .passed)
        #expect(datapath.output == last.bytes)
    }

    @Test("UDP without a checksum stays without one")
    func noChecksum() throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        try datapath.addService(SocketAddress(Family.v4.virtual, 53), .udp, to: [SocketAddress(server.v4, 5353)])
        let request = client.sends(to: Family.v4.virtual).udp(from: 40000, to: 53, checksum: .zero).payload("query")
        #expect(try datapath.run(request, on: .fromPod(client)) == .delivered)
        let arrived = server.receives(from: client.v4, ttl: 63).udp(from: 40000, to: 5353, checksum: .zero).payload(
            "query")
        #expect(datapath.output == arrived.bytes)
    }

    @Test("A UDP checksum that comes to zero is sent as all ones", arguments: Family.allCases)
    func checksumOfZero(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        try datapath.addService(SocketAddress(family.virtual, 53), .udp, to: [SocketAddress(server[family], 5353)])
        // Two bytes of payload can bring the checksum to every value; find those that bring the arriving one to zero.
        var found = 0
        let base = server.receives(from: client[family], ttl: 63).udp(from: 40000, to: 5353, checksum: .right)
        let offset = (family == .v4 ? 34 : 54) + 6
        let sum = { (packet: Packet) in UInt16(packet.bytes[offset]) << 8 | UInt16(packet.bytes[offset + 1]) }
        let rest = sum(base.payload([0, 0]))
        let payload = [UInt8(rest >> 8), UInt8(rest & 0xff)]
        let arrived = base.payload(payload)
        if sum(arrived) == 0xffff { found += 1 }
        let request = client.sends(to: family.virtual).udp(from: 40000, to: 53).payload(payload)
        #expect(try datapath.run(request, on: .fromPod(client)) == .delivered)
        #expect(datapath.output == arrived.bytes)
        #expect(found == 1)
    }

    @Test(
        "Checksums stay right for every payload and wrong ones stay wrong", arguments: Family.allCases,
        Transport.allCases)
    func checksums(_ family: Family, _ transport: Transport) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        try datapath.addService(
            SocketAddress(family.virtual, 80), transport.number, to: [SocketAddress(server[family], 8080)])
        var random = SeededGenerator(seed: 4)
        for port in 0..<300 {
            let payload = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let request = transport.header(on: client.sends(to: family.virtual), from: Port(20000 + port), to: 80)
                .payload(payload)
            #expect(try datapath.verdict(request.bytes, on: .fromPod(client)) == Verdict.redirect)
            try #require(datapath.outputView?.transportChecksumIsRight == true, "\(payload)")
        }
        let wrong = transport.header(on: client.sends(to: family.virtual), from: 40000, to: 80, checksum: .wrong)
        #expect(try datapath.run(wrong, on: .fromPod(client)) == .delivered)
        #expect(datapath.outputView?.transportChecksumIsRight == false)
    }

    @Test("Fragments follow their first one to the backend and back", arguments: Family.allCases)
    func fragments(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        try datapath.addService(SocketAddress(family.virtual, 53), .udp, to: [SocketAddress(server[family], 5353)])
        let payload = [UInt8](repeating: 9, count: 80)
        func check(_ sent: Packet, _ wanted: Packet, from pod: Pod) throws {
            for (fragment, expected) in zip(sent.fragments(of: 32), wanted.fragments(of: 32)) {
                #expect(try datapath.run(fragment, on: .fromPod(pod)) == .delivered)
                #expect(datapath.output == expected.bytes)
            }
        }
        try check(
            client.sends(to: family.virtual).udp(from: 40000, to: 53).payload(payload),
            server.receives(from: client[family], ttl: 63).udp(from: 40000, to: 5353).payload(payload), from: client)
        try check(
            server.sends(to: client[family]).udp(from: 5353, to: 40000).payload(payload),
            client.receives(from: family.virtual, ttl: 63).udp(from: 53, to: 40000).payload(payload), from: server)
    }

    @Test("Policy is about the backend, not about the frontend")
    func policy() throws {
        let datapath = try DatapathFixture()
        try datapath.set(HandMadePolicy(id: 5, rules: [.init(peers: [7], ports: .init(port: 8080))]))
        let (client, server) = (try datapath.addPod(egress: 5), try datapath.addPod())
        try datapath.addService(SocketAddress(Family.v4.virtual, 80), to: [SocketAddress(server.v4, 8080)])
        #expect(try datapath.open(client, to: Family.v4.virtual) == .dropped(leaving: .isolated))
        let denied = try #require(datapath.events().last)
        #expect(denied.frontendEnd == SocketAddress(Family.v4.virtual, 80) && denied.destinationEnd.port == 8080)
        try datapath.setClass(7, of: server.v4)
        #expect(try datapath.open(client, to: Family.v4.virtual) == .delivered)
    }

    @Test("New connections spread over the backends, and each stays with its own")
    func spread() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let backends = (1...5).map { SocketAddress(ip("192.0.2.\($0)"), 8080) }
        try datapath.addService(SocketAddress(Family.v4.virtual, 80), to: backends)
        var chosen: [IPAddress: Int] = [:]
        for port in 0..<400 as Range<Port> {
            let syn = client.sends(to: Family.v4.virtual).tcp(from: 10000 + port, to: 80, flags: .syn)
            #expect(try datapath.verdict(syn.bytes, on: .fromPod(client)) == Verdict.next)
            let backend = try #require(datapath.outputView?.destination)
            chosen[backend, default: 0] += 1
            for flags in [TCPFlags.syn, .ack, [.ack, .psh]] {
                let packet = client.sends(to: Family.v4.virtual).tcp(from: 10000 + port, to: 80, flags: flags)
                #expect(try datapath.verdict(packet.bytes, on: .fromPod(client)) == Verdict.next)
                #expect(datapath.outputView?.destination == backend)
            }
        }
        // 80 expected with a deviation of 8: nobody is six deviations off.
        for backend in backends { #expect((32...128).contains(chosen[backend.address] ?? 0)) }
    }

    @Test("What comes after the end of a connection goes where it was, not to another backend")
    func stragglers() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let backends = (1...8).map { SocketAddress(ip("192.0.2.\($0)"), 8080) }
        try datapath.addService(SocketAddress(Family.v4.virtual, 80), to: backends)
        func send(_ flags: TCPFlags) throws -> IPAddress? {
            let packet = client.sends(to: Family.v4.virtual).tcp(from: 40000, to: 80, flags: flags)
            #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
            return datapath.outputView?.destination
        }
        let backend = try #require(try send(.syn))
        #expect(try send(.rst) == backend)
        for _ in 0..<16 { #expect(try send(.ack) == backend) }
    }

    @Test("A client that is one of two backends always gets the other one")
    func otherBackend() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let other = ip("192.0.2.1")
        try datapath.addService(
            SocketAddress(Family.v4.virtual, 80), to: [SocketAddress(client.v4, 8080), SocketAddress(other, 8080)])
        for port in 0..<64 as Range<Port> {
            let syn = client.sends(to: Family.v4.virtual).tcp(from: 20000 + port, to: 80, flags: .syn)
            #expect(try datapath.run(syn, on: .fromPod(client)) == .passed)
            #expect(datapath.outputView?.destination == other)
        }
    }

    @Test("A removed Service: the live connection goes on, no new one opens")
    func removed() throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let service = try datapath.addService(
            SocketAddress(Family.v4.virtual, 80), to: [SocketAddress(server.v4, 8080)])
        func send(_ port: Port, _ flags: TCPFlags) throws -> IPAddress? {
            let packet = client.sends(to: Family.v4.virtual).tcp(from: port, to: 80, flags: flags)
            _ = try datapath.run(packet, on: .fromPod(client))
            return datapath.outputView?.destination
        }
        #expect(try send(40000, .syn) == server.v4)
        try datapath.run(
            server.sends(to: client.v4).tcp(from: 8080, to: 40000, flags: [.syn, .ack]), on: .fromPod(server))
        try datapath.remove(service)
        #expect(try send(40000, .ack) == server.v4)
        #expect(try send(40001, .syn) == Family.v4.virtual)
        #expect(try send(40000, .syn) == Family.v4.virtual)
    }

    @Test("A removed backend: the live connection goes on, new ones go to the others")
    func removedBackend() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let address = SocketAddress(Family.v4.virtual, 80)
        try datapath.addService(address, to: [SocketAddress(ip("192.0.2.1"), 8080)])
        let ack = client.sends(to: Family.v4.virtual).tcp(from: 40000, to: 80, flags: .ack)
        try datapath.run(
            client.sends(to: Family.v4.virtual).tcp(from: 40000, to: 80, flags: .syn), on: .fromPod(client))
        try datapath.addService(address, to: [SocketAddress(ip("192.0.2.2"), 8080)])
        try datapath.maps.backends.update(UInt32(1), apus_backend())
        #expect(try datapath.run(ack, on: .fromPod(client)) == .passed)
        #expect(datapath.outputView?.destination == ip("192.0.2.1"))
        #expect(try datapath.open(client, to: Family.v4.virtual) == .passed)
        #expect(datapath.outputView?.destination == ip("192.0.2.2"))
    }
}
