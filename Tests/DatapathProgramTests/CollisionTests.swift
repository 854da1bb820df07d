internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Source ports of clients outside that collide, byte by byte")
struct CollisionTests {
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
