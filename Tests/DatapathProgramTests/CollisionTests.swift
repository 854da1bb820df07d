internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Source ports that collide, byte by byte")
struct CollisionTests {
    /// A reset of an opening that carries nothing.
    private func reset(_ frame: Packet, from source: SocketAddress, to client: SocketAddress) -> [UInt8] {
        let answer =
            source.address.isIPv4
            ? frame.ipv4(from: source.address, to: client.address, doNotFragment: true)
            : frame.ipv6(from: source.address, to: client.address)
        return answer.tcp(
            from: source.port, to: client.port, flags: [.rst, .ack], sequence: 0, acknowledgement: 2, window: 0
        ).bytes
    }

    private static func second(_ family: Family) -> IPAddress { family == .v4 ? ip("10.96.0.11") : ip("fd96::11") }

    @Test("A second Service with the same backend is refused by its own address", arguments: Family.allCases)
    func twoFrontends(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let frontends = [family.virtual, Self.second(family)].map { SocketAddress($0, 80) }
        for frontend in frontends { try datapath.addService(frontend, to: [SocketAddress(server[family], 8080)]) }
        func send(_ frontend: SocketAddress, _ flags: TCPFlags) throws -> Fate {
            try datapath.run(
                client.sends(to: frontend.address).tcp(from: 40000, to: 80, flags: flags), on: .fromPod(client))
        }
        #expect(try send(frontends[0], .syn) == .delivered)
        for _ in 0..<2 {
            #expect(try send(frontends[1], .syn) == .delivered)
            let own = SocketAddress(client[family], 40000)
            #expect(datapath.output == reset(client.hostFrame, from: frontends[1], to: own))
            // The first one goes on.
            #expect(try send(frontends[0], .ack) == .delivered)
            let arrived = server.receives(from: client[family], ttl: 63).tcp(from: 40000, to: 8080, flags: .ack)
            #expect(datapath.output == arrived.bytes)
        }
        let refused = DropKey(reason: .sourcePort, direction: .APUS_DIRECTION_EGRESS)
        #expect(try datapath.drops()[refused]?.packets == 2)
    }

    @Test("A Service does not lead onto the client's own connection to the backend", arguments: Family.allCases)
    func directFirst(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let frontend = SocketAddress(family.virtual, 80)
        try datapath.addService(frontend, to: [SocketAddress(server[family], 8080)])
        let direct = client.sends(to: server[family]).tcp(from: 40000, to: 8080, flags: .syn)
        #expect(try datapath.run(direct, on: .fromPod(client)) == .delivered)
        let through = client.sends(to: family.virtual).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(through, on: .fromPod(client)) == .delivered)
        #expect(datapath.output == reset(client.hostFrame, from: frontend, to: SocketAddress(client[family], 40000)))
    }

    @Test("Nor does the client onto its connection through the Service", arguments: Family.allCases)
    func directLater(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let backend = SocketAddress(server[family], 8080)
        try datapath.addService(SocketAddress(family.virtual, 80), to: [backend])
        let through = client.sends(to: family.virtual).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(through, on: .fromPod(client)) == .delivered)
        let direct = client.sends(to: server[family]).tcp(from: 40000, to: 8080, flags: .syn)
        #expect(try datapath.run(direct, on: .fromPod(client)) == .delivered)
        #expect(datapath.output == reset(client.hostFrame, from: backend, to: SocketAddress(client[family], 40000)))
    }

    @Test(
        "A datagram to a second Service is refused by that one, and the first one answers on",
        arguments: Family.allCases)
    func datagrams(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let frontends = [family.virtual, Self.second(family)]
        for frontend in frontends {
            try datapath.addService(SocketAddress(frontend, 53), .udp, to: [SocketAddress(server[family], 5353)])
        }
        for _ in 0..<2 {
            let question = client.sends(to: frontends[0]).udp(from: 40000, to: 53).payload("?")
            #expect(try datapath.run(question, on: .fromPod(client)) == .delivered)
            let arrived = server.receives(from: client[family], ttl: 63).udp(from: 40000, to: 5353).payload("?")
            #expect(datapath.output == arrived.bytes)
            let other = { (start: Packet) in start.udp(from: 40000, to: 53).payload("?") }
            #expect(try datapath.run(other(client.sends(to: frontends[1])), on: .fromPod(client)) == .delivered)
            let answer =
                family == .v4
                ? client.hostFrame.ipv4(from: frontends[1], to: client.v4, doNotFragment: true)
                : client.hostFrame.ipv6(from: frontends[1], to: client.v6)
            let error = answer.icmpError(
                .portUnreachable, quoting: other(Packet.raw.ip(from: client[family], to: frontends[1])))
            #expect(datapath.output == error.bytes)
            let reply = server.sends(to: client[family]).udp(from: 5353, to: 40000).payload("!")
            #expect(try datapath.run(reply, on: .fromPod(server)) == .delivered)
            let told = client.receives(from: frontends[0], ttl: 63).udp(from: 53, to: 40000).payload("!")
            #expect(datapath.output == told.bytes)
        }
    }

    @Test(
        "Two clients outside with one port get ports of their own towards a backend elsewhere",
        arguments: Family.allCases, Transport.allCases)
    func clientsOutside(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        try edge.expose([edge.remote])
        let other = family == .v4 ? ip("198.51.100.77") : ip("2001:db8:51::77")
        var ports: [Port] = []
        for client in [edge.client, other] {
            let port = try #require(try edge.sendOn(from: client, Edge.clientPort))
            #expect(
                edge.datapath.output == edge.leaving(from: edge.node, port, to: edge.remote, 8080, .syn).bytes)
            ports.append(port)
        }
        #expect(ports[0] != ports[1])
        for (client, port) in zip([edge.client, other], ports) {
            let answer = edge.arriving(from: edge.remote, 8080, to: edge.node, port, .ack)
            #expect(try edge.datapath.run(answer, on: .fromNetwork) == .passed)
            let turned = edge.arriving(from: edge.remote, 8080, to: client, Edge.clientPort, .ack)
            #expect(edge.datapath.output == turned.bytes)
            let leaves = edge.leaving(from: edge.remote, 8080, to: client)
            #expect(try edge.datapath.run(leaves, on: .toNetwork) == .passed)
            #expect(edge.datapath.output == edge.leaving(from: edge.node, Edge.nodePort, to: client).bytes)
        }
    }

    @Test(
        "A client outside that takes two frontends to one backend of this node from one port is refused by the second",
        arguments: Family.allCases)
    func frontendsOutside(_ family: Family) throws {
        let edge = try Edge(family)
        let server = try edge.datapath.addPod()
        try edge.expose([server[family]])
        try edge.expose([server[family]], port: 30081)
        #expect(try edge.datapath.run(edge.arriving(), on: .fromNetwork) == .delivered)
        let second = Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: edge.client, to: edge.node)
            .tcp(from: Edge.clientPort, to: 30081, flags: .syn)
        #expect(try edge.datapath.run(second, on: .fromNetwork) == .delivered)
        let client = SocketAddress(edge.client, Edge.clientPort)
        #expect(edge.datapath.output == reset(edge.outgoing, from: SocketAddress(edge.node, 30081), to: client))
        #expect(
            try edge.datapath.run(edge.arriving(Edge.clientPort, to: nil, Edge.nodePort, .ack), on: .fromNetwork)
                == .delivered)
        let arrived = server.receives(from: edge.client, ttl: 63)
            .tcp(from: Edge.clientPort, to: 8080, flags: .ack).payload("text")
        #expect(edge.datapath.output == arrived.bytes)
    }
}

@Suite("Fragmented datagrams to a Service from outside, byte by byte")
struct OutsideFragmentTests {
    private static let payload = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    private func datagram(_ frame: Packet, _ source: SocketAddress, _ destination: SocketAddress, ttl: UInt8 = 64)
        -> Packet
    {
        frame.ip(from: source.address, to: destination.address, ttl: ttl)
            .udp(from: source.port, to: destination.port).payload(Self.payload)
    }

    private func expect(
        _ edge: Edge, _ sent: Packet, on hook: Hook, _ fate: Fate, becomes wanted: Packet,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for (fragment, expected) in zip(sent.fragments(of: 64), wanted.fragments(of: 64)) {
            #expect(try edge.datapath.run(fragment, on: hook) == fate, sourceLocation: sourceLocation)
            #expect(edge.datapath.output == expected.bytes, sourceLocation: sourceLocation)
        }
    }

    @Test("To a backend of this node, and back", arguments: Family.allCases)
    func local(_ family: Family) throws {
        let edge = try Edge(family, .udp)
        let server = try edge.datapath.addPod()
        try edge.expose([server[family]])
        let (client, node, backend) = (
            SocketAddress(edge.client, Edge.clientPort), SocketAddress(edge.node, Edge.nodePort),
            SocketAddress(server[family], 8080)
        )
        try expect(
            edge, datagram(edge.incoming, client, node), on: .fromNetwork, .delivered,
            becomes: datagram(server.hostFrame, client, backend, ttl: 63))
        try expect(
            edge, datagram(edge.outgoing, backend, client), on: .toNetwork, .passed,
            becomes: datagram(edge.outgoing, node, client))
    }

    @Test("To a backend elsewhere, and back", arguments: Family.allCases)
    func elsewhere(_ family: Family) throws {
        let edge = try Edge(family, .udp)
        try edge.expose([edge.remote])
        let (client, node, backend) = (
            SocketAddress(edge.client, Edge.clientPort), SocketAddress(edge.node, Edge.nodePort),
            SocketAddress(edge.remote, 8080)
        )
        try expect(
            edge, datagram(edge.incoming, client, node), on: .fromNetwork, .passed,
            becomes: datagram(edge.incoming, client, backend))
        let first = try #require(datagram(edge.outgoing, client, backend).fragments(of: 64).first)
        #expect(try edge.datapath.run(first, on: .toNetwork) == .passed)
        let own = SocketAddress(edge.node, try #require(edge.datapath.outputView?.sourcePort))
        try expect(
            edge, datagram(edge.outgoing, client, backend), on: .toNetwork, .passed,
            becomes: datagram(edge.outgoing, own, backend))
        try expect(
            edge, datagram(edge.incoming, backend, own), on: .fromNetwork, .passed,
            becomes: datagram(edge.incoming, backend, client))
        try expect(
            edge, datagram(edge.outgoing, backend, client), on: .toNetwork, .passed,
            becomes: datagram(edge.outgoing, node, client))
    }
}
