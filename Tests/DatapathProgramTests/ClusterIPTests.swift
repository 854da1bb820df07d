internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("ClusterIPs that are for clients outside, too, packet by packet")
struct ClusterIPTests {
    private static let port: Port = 80

    /// A ClusterIP for everybody.
    private static func expose(
        _ edge: Edge, _ backends: [IPAddress], _ flags: [apus_service_flag] = [], affinity: UInt32 = 0
    ) throws {
        try edge.expose(
            backends, at: edge.family.virtual, port: port, kind: .APUS_SERVICE_CLUSTER_IP,
            flags: [APUS_SERVICE_FOR_OUTSIDE] + flags, affinity: affinity)
    }

    private static func request(
        _ edge: Edge, from port: Port = Edge.clientPort, _ flags: TCPFlags = .syn
    ) -> Packet {
        edge.arriving(from: nil, port, to: edge.family.virtual, Self.port, flags)
    }

    @Test(
        "A pod of this node sees the client's address, the client sees the ClusterIP",
        arguments: Family.allCases, Transport.allCases)
    func localBackend(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        let server = try edge.datapath.addPod()
        try Self.expose(edge, [server[family]])
        #expect(try edge.datapath.run(Self.request(edge), on: .fromNetwork) == .delivered)
        let arrived = transport.header(
            on: server.receives(from: edge.client, ttl: 63), from: Edge.clientPort, to: 8080, .syn)
        #expect(edge.datapath.output == arrived.payload("text").bytes)
        let reply = transport.header(on: server.sends(to: edge.client), from: 8080, to: Edge.clientPort, .ack)
        #expect(try edge.datapath.run(reply.payload("text"), on: .fromPod(server)) == .passed)
        #expect(try edge.datapath.run(edge.leaving(from: server[family], 8080), on: .toNetwork) == .passed)
        #expect(edge.datapath.output == edge.leaving(from: family.virtual, Self.port).bytes)
    }

    @Test(
        "A backend elsewhere sees the node, and its answer comes from the ClusterIP",
        arguments: Family.allCases, Transport.allCases)
    func remoteBackend(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        try Self.expose(edge, [edge.remote])
        #expect(try edge.datapath.run(Self.request(edge), on: .fromNetwork) == .passed)
        let forwarded = edge.leaving(from: edge.client, Edge.clientPort, to: edge.remote, 8080, .syn)
        #expect(try edge.datapath.run(forwarded, on: .toNetwork) == .passed)
        let port = try #require(edge.datapath.outputView?.sourcePort)
        #expect(edge.datapath.output == edge.leaving(from: edge.node, port, to: edge.remote, 8080, .syn).bytes)
        let answer = edge.arriving(from: edge.remote, 8080, to: edge.node, port, .ack)
        #expect(try edge.datapath.run(answer, on: .fromNetwork) == .passed)
        #expect(try edge.datapath.run(edge.leaving(from: edge.remote, 8080), on: .toNetwork) == .passed)
        #expect(edge.datapath.output == edge.leaving(from: family.virtual, Self.port).bytes)
    }

    @Test(
        "Without an endpoint of the node they are dropped where another node has one, and refused where none has",
        arguments: Family.allCases, Transport.allCases)
    func noEndpoint(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        try Self.expose(edge, [], [APUS_SERVICE_ELSEWHERE])
        let outcome = try edge.datapath.run(Self.request(edge), on: .fromNetwork)
        #expect(outcome == .dropped(entering: .noLocalBackend))
        let client = try edge.datapath.addPod()
        let ofPod = transport.header(on: client.sends(to: family.virtual), from: 40000, to: Self.port, .syn)
        #expect(try edge.datapath.run(ofPod, on: .fromPod(client)) == .delivered)
        #expect(edge.datapath.outputView?.source == family.virtual, "clients of the node are refused at once")
        try Self.expose(edge, [])
        #expect(try edge.datapath.run(Self.request(edge), on: .fromNetwork) == .delivered)
        let answer = try #require(edge.datapath.outputView)
        #expect(answer.source == family.virtual && answer.destination == edge.client)
        let refused = DropKey(reason: .noBackend, direction: .APUS_DIRECTION_INGRESS)
        #expect(try edge.datapath.drops()[refused]?.packets == 1)
    }

    @Test("Its other ports are refused", arguments: Family.allCases, Transport.allCases)
    func otherPorts(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        try edge.datapath.refuseRest(of: family.virtual, flags: [APUS_SERVICE_FOR_OUTSIDE])
        #expect(try edge.datapath.run(Self.request(edge), on: .fromNetwork) == .delivered)
        let answer = try #require(edge.datapath.outputView)
        #expect(answer.source == family.virtual && answer.destination == edge.client)
    }

    @Test("A client outside keeps its backend on all of its ports", arguments: Family.allCases)
    func affinity(_ family: Family) throws {
        let edge = try Edge(family)
        let servers = [try edge.datapath.addPod(), try edge.datapath.addPod()]
        try Self.expose(edge, servers.map { $0[family] }, affinity: 7)
        var met: Set<IPAddress> = []
        for port in 40000..<40016 as Range<Port> {
            #expect(try edge.datapath.run(Self.request(edge, from: port), on: .fromNetwork) == .delivered)
            met.insert(try #require(edge.datapath.outputView?.destination))
        }
        #expect(met.count == 1)
    }

    @Test("Established connections take the shortcut", arguments: Family.allCases, Transport.forwarded)
    func shortcut(_ family: Family, _ transport: Transport) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let shortcut = try Shortcut(
                family, transport, in: namespace, kind: .APUS_SERVICE_CLUSTER_IP, flags: [APUS_SERVICE_FOR_OUTSIDE])
            #expect(try shortcut.run(shortcut.request().bytes).fate == .redirected)
            #expect(try shortcut.run(shortcut.answer().bytes).fate == .redirected)
        }
    }

    @Test("Its connections outlive that it is for clients outside, and no new one opens", arguments: Family.allCases)
    func closed(_ family: Family) throws {
        let edge = try Edge(family)
        let server = try edge.datapath.addPod()
        try Self.expose(edge, [server[family]])
        #expect(try edge.datapath.run(Self.request(edge), on: .fromNetwork) == .delivered)
        let reply = server.sends(to: edge.client).tcp(from: 8080, to: Edge.clientPort, flags: [.syn, .ack])
        #expect(try edge.datapath.run(reply, on: .fromPod(server)) == .passed)
        try edge.expose(
            [server[family]], at: family.virtual, port: Self.port, kind: .APUS_SERVICE_CLUSTER_IP)
        #expect(try edge.datapath.run(Self.request(edge, .ack), on: .fromNetwork) == .delivered)
        let other = Self.request(edge, from: 40001)
        #expect(try edge.datapath.run(other, on: .fromNetwork) == .passed)
        #expect(edge.datapath.output == other.bytes)
    }
}
