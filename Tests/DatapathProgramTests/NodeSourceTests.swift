internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Ports of the node for clients whose backend is elsewhere")
struct NodeSourceTests {
    private static func edge(_ family: Family, ports: UInt16, _ transport: Transport = .tcp) throws -> Edge {
        let edge = try Edge(family, transport) { $0.source_port_count = ports }
        try edge.expose([edge.remote])
        return edge
    }

    @Test("No two clients have one port towards a backend", arguments: Family.allCases)
    func different(_ family: Family) throws {
        let edge = try Self.edge(family, ports: 4536)
        let ports = try (0..<200 as Range<Port>).map { try edge.sendOn(40000 + $0) }
        #expect(!ports.contains(nil) && Set(ports).count == 200)
    }

    @Test(
        "Without a free port a client is dropped, and an ended connection's is free again", arguments: Family.allCases)
    func exhausted(_ family: Family) throws {
        let edge = try Self.edge(family, ports: 1)
        #expect(try edge.sendOn(40000) == 61000)
        #expect(try edge.sendOn(40001) == nil)
        #expect(
            try edge.datapath.drops().keys.contains(
                DropKey(reason: .portsExhausted, direction: .APUS_DIRECTION_INGRESS)))
        #expect(try edge.sendOn(40000, .ack) == 61000)
        #expect(try edge.sendOn(40000, .rst) == 61000)
        #expect(try edge.sendOn(40001) == 61000)
        let answer = edge.arriving(from: edge.remote, 8080, to: edge.node, 61000, .ack)
        #expect(try edge.datapath.run(answer, on: .fromNetwork) == .passed)
        #expect(edge.datapath.outputView?.destinationPort == 40001)
    }

    @Test("A node port is never one of them", arguments: Family.allCases)
    func nodePort(_ family: Family) throws {
        let edge = try Self.edge(family, ports: 1)
        let service = try edge.expose([edge.remote], port: 61000)
        #expect(try edge.sendOn(40000) == nil)
        try edge.datapath.remove(service)
        #expect(try edge.sendOn(40000) == 61000)
    }

    @Test("Another backend has all ports for itself", arguments: Family.allCases)
    func perBackend(_ family: Family) throws {
        let edge = try Self.edge(family, ports: 1)
        #expect(try edge.sendOn(40000) == 61000)
        try edge.datapath.addService(
            SocketAddress(edge.node, 30081), to: [SocketAddress(edge.remote, 9090)], kind: .APUS_SERVICE_NODE_PORT)
        let request = edge.arriving(from: nil, 40001, to: nil, 30081)
        #expect(try edge.datapath.run(request, on: .fromNetwork) == .passed)
        let leaves = edge.leaving(from: edge.client, 40001, to: edge.remote, 9090, .syn)
        #expect(try edge.datapath.run(leaves, on: .toNetwork) == .passed)
        #expect(edge.datapath.outputView?.sourcePort == 61000)
    }

    @Test("A record that was evicted is made again, or another port is taken", arguments: Family.allCases)
    func evicted(_ family: Family) throws {
        let edge = try Self.edge(family, ports: 2)
        let first = try #require(try edge.sendOn(40000))
        try edge.datapath.maps.disposableTranslations.clear(apus_translation_key.self)
        #expect(try edge.sendOn(40000) == first, "nobody has taken it")
        try edge.datapath.maps.disposableTranslations.clear(apus_translation_key.self)
        var second = try #require(try edge.sendOn(40001))
        if second != first {
            try edge.datapath.maps.disposableTranslations.clear(apus_translation_key.self)
            second = try #require(try edge.sendOn(40002))
        }
        let third = try #require(try edge.sendOn(40000))
        #expect(third != second || third == first)
    }

    @Test("Without an address of the family nothing is sent in the node's name", arguments: Family.allCases)
    func noAddress(_ family: Family) throws {
        let edge = try Self.edge(family, ports: 10)
        try edge.datapath.addUplink(v4: family == .v4 ? nil : Edge.node.v4, v6: family == .v6 ? nil : Edge.node.v6)
        #expect(try edge.datapath.run(edge.arriving(), on: .fromNetwork) == .passed)
        let leaves = edge.leaving(from: edge.client, Edge.clientPort, to: edge.remote, 8080, .syn)
        #expect(try edge.datapath.run(leaves, on: .toNetwork) == .dropped(entering: .noSource))
    }

    @Test("A pod of another node reaches itself by way of this one", arguments: Family.allCases, Transport.allCases)
    func hairpin(_ family: Family, _ transport: Transport) throws {
        let edge = try Self.edge(family, ports: 10, transport)
        let port = try #require(try edge.sendOn(from: edge.remote, 40000))
        let answer = edge.arriving(from: edge.remote, 8080, to: edge.node, port, .ack)
        #expect(try edge.datapath.run(answer, on: .fromNetwork) == .passed)
        #expect(edge.datapath.outputView?.destinationPort == 40000)
        let leaves = edge.leaving(from: edge.remote, 8080, to: edge.remote, 40000)
        #expect(try edge.datapath.run(leaves, on: .toNetwork) == .passed)
        #expect(edge.datapath.output == edge.leaving(from: edge.node, Edge.nodePort, to: edge.remote, 40000).bytes)
    }
}
