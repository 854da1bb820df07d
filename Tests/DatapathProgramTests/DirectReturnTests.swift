internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Direct server return")
struct DirectReturnTests {
    private static let all = UInt8(APUS_DIRECT_RETURN_CONNECTIONS | APUS_DIRECT_RETURN_DATAGRAMS)

    /// A node whose clients are answered by the nodes of their backends.
    private static func edge(_ family: Family, _ transport: Transport = .tcp, mode: UInt8 = all) throws -> Edge {
        let edge = try Edge(family, transport) { $0.direct_return = mode }
        try edge.expose([edge.remote])
        try edge.datapath.addNodeRange(CIDR(host: edge.remote), [APUS_NODE_RANGE_UNWRAPS])
        try edge.datapath.addNodeRange(CIDR(host: edge.node), [APUS_NODE_RANGE_OWN])
        return edge
    }

    /// What leaves when a client's packet has come in.
    private static func sendOn(_ edge: Edge, from client: IPAddress? = nil, _ flags: TCPFlags) throws -> [UInt8] {
        let source = client ?? edge.client
        let arriving = edge.arriving(from: source, Edge.clientPort, to: nil, Edge.nodePort, flags)
        #expect(try edge.datapath.run(arriving, on: .fromNetwork) == .passed)
        let aimed = edge.leaving(from: source, Edge.clientPort, to: edge.remote, 8080, flags)
        #expect(try edge.datapath.run(aimed, on: .toNetwork) == .passed)
        return edge.datapath.output
    }

    @Test(
        "A client's packet goes to the backend's node as it came, wrapped", arguments: Family.allCases,
        Transport.allCases)
    func wraps(_ family: Family, _ transport: Transport) throws {
        let edge = try Self.edge(family, transport)
        for flags in [TCPFlags.syn, .ack, .ack] {
            let inner = edge.leaving(from: edge.client, Edge.clientPort, to: edge.node, Edge.nodePort, flags)
            let wrapped = Wrapping(from: edge.node, to: edge.remote, port: 8080).around(inner)
            #expect(try Self.sendOn(edge, flags) == wrapped)
        }
        let found = try #require(
            try edge.datapath.connection(of: edge.leaving(from: edge.client, Edge.clientPort, to: edge.remote, 8080)))
        #expect(!found.isInHalfOpenMap && !found.entry.has(APUS_CONNECTION_UNANSWERED), "the client went on")
        #expect(found.entry.source_port == 0)
        #expect(try edge.datapath.maps.translations.keys(as: apus_translation_key.self).count == 1)
    }

    @Test("An opening alone is answered by nobody", arguments: Transport.allCases)
    func flood(_ transport: Transport) throws {
        let edge = try Self.edge(.v4, transport)
        for _ in 0..<(transport == .tcp ? 3 : 1) { _ = try Self.sendOn(edge, .syn) }
        let found = try #require(
            try edge.datapath.connection(of: edge.leaving(from: edge.client, Edge.clientPort, to: edge.remote, 8080)))
        #expect(found.isInHalfOpenMap)
    }

    @Test("Forged segments of connections that nobody has opened are answered by nobody either")
    func forgedSegments() throws {
        let edge = try Self.edge(.v4)
        for count in 1...8 {
            _ = try Self.sendOn(edge, .ack)
            let found = try #require(
                try edge.datapath.connection(
                    of: edge.leaving(from: edge.client, Edge.clientPort, to: edge.remote, 8080)))
            #expect(found.isInHalfOpenMap == (count < 8), "a client that goes on for so long has a connection")
        }
    }

    @Test("The parts of a fragmented datagram all go in this node's name")
    func fragments() throws {
        let edge = try Self.edge(.v4, .udp)
        _ = try Self.sendOn(edge, [])
        let parts = Packet.ethernet(from: Edge.uplink, to: Edge.router)
        let first = parts.ipv4(
            from: edge.client, to: edge.remote, identification: 7, fragment: Fragment(offset: 0, more: true)
        ).udp(from: Edge.clientPort, to: 8080).payload([UInt8](repeating: 1, count: 64))
        let last = parts.ipv4(
            from: edge.client, to: edge.remote, identification: 7, fragment: Fragment(offset: 72, more: false),
            ipProtocol: .udp
        ).payload([UInt8](repeating: 2, count: 8))
        for part in [first, last] {
            #expect(try edge.datapath.run(part, on: .toNetwork) == .passed)
            let view = try #require(edge.datapath.outputView)
            #expect(view.source == edge.node && view.destination == edge.remote)
        }
    }

    @Test("A connection ends when the client ends it", arguments: Family.allCases)
    func ends(_ family: Family) throws {
        let edge = try Self.edge(family)
        for flags in [TCPFlags.syn, .ack, [.fin, .ack]] { _ = try Self.sendOn(edge, flags) }
        let packet = edge.leaving(from: edge.client, Edge.clientPort, to: edge.remote, 8080)
        #expect(try edge.datapath.connection(of: packet)?.entry.has(APUS_CONNECTION_CLOSED) == true)
        #expect(edge.datapath.events().last?.kind == .closed)
        _ = try Self.sendOn(edge, .ack)
        #expect(
            edge.datapath.output.count > packet.bytes.count, "the acknowledgement of the other end's goes there too")
    }

    @Test("Others are answered by way of this node", arguments: Family.allCases)
    func inOwnName(_ family: Family) throws {
        let connections = UInt8(APUS_DIRECT_RETURN_CONNECTIONS)
        let datagrams = try Self.edge(family, .udp, mode: connections)
        try Self.expectOwnName(datagrams, datagrams.client, "datagrams of a hybrid")
        let off = try Self.edge(family, mode: 0)
        try Self.expectOwnName(off, off.client, "of a node without")
        let unknown = try Edge(family) { $0.direct_return = Self.all }
        try unknown.expose([unknown.remote])
        try Self.expectOwnName(unknown, unknown.client, "to a backend on no node that unwraps")
        let nameless = try Edge(family) { $0.direct_return = Self.all }
        try nameless.expose([nameless.remote])
        try nameless.datapath.addNodeRange(CIDR(host: nameless.remote), [APUS_NODE_RANGE_UNWRAPS])
        try Self.expectOwnName(nameless, nameless.client, "from an address that the Node does not have")
        let inside = try Self.edge(family)
        try Self.expectOwnName(inside, inside.remote.neighbour, "of a client inside the cluster")
    }

    @Test("So is one that goes by another port than the client's", arguments: Family.allCases)
    func otherPort(_ family: Family) throws {
        let edge = try Self.edge(family)
        try edge.expose([edge.remote], port: 30081)
        let wrapped = try Self.sendOn(edge, .syn)
        #expect(wrapped.count > edge.arriving().bytes.count)
        let second = edge.arriving(from: nil, Edge.clientPort, to: nil, 30081)
        #expect(try edge.datapath.run(second, on: .fromNetwork) == .passed)
        let port = try #require(edge.datapath.outputView?.sourcePort)
        #expect(port != Edge.clientPort)
        let routed = edge.leaving(from: edge.client, port, to: edge.remote, 8080, .syn)
        #expect(try edge.datapath.run(routed, on: .toNetwork) == .passed)
        let view = try #require(edge.datapath.outputView)
        #expect(view.source == edge.node && view.destination == edge.remote)
    }

    private static func expectOwnName(_ edge: Edge, _ client: IPAddress, _ comment: Comment) throws {
        try edge.datapath.addNodeRange(CIDR(host: edge.remote.neighbour), [APUS_NODE_RANGE_UNWRAPS])
        let view = try #require(PacketView(try sendOn(edge, from: client, .syn)))
        #expect(view.source == edge.node && view.destination == edge.remote, comment)
    }

    @Test(
        "What another node has wrapped reaches the pod from the client, and is answered from the frontend",
        arguments: Family.allCases, Transport.allCases)
    func unwraps(_ family: Family, _ transport: Transport) throws {
        let far = try Far(family, transport)
        let server = try far.edge.datapath.addPod()
        for flags in [TCPFlags.syn, .ack] {
            #expect(try far.edge.datapath.run(far.wrapped(flags, to: server[family]), on: .fromNetwork) == .delivered)
            let arrived = transport.header(
                on: server.receives(from: far.edge.client, ttl: 63), from: Edge.clientPort, to: 8080, flags)
            #expect(far.edge.datapath.output == arrived.payload("text").bytes)
            let reply = transport.header(
                on: server.sends(to: far.edge.client), from: 8080, to: Edge.clientPort, .ack
            ).payload("text")
            #expect(try far.edge.datapath.run(reply, on: .fromPod(server)) == .passed)
            let leaves = far.edge.leaving(from: server[family], 8080)
            #expect(try far.edge.datapath.run(leaves, on: .toNetwork) == .passed)
            #expect(far.edge.datapath.output == far.edge.leaving(from: far.frontend, Edge.nodePort).bytes)
        }
        let opened = try #require(far.edge.datapath.events().first)
        #expect(opened.frontendEnd == SocketAddress(far.frontend, Edge.nodePort))
        #expect(opened.sourceEnd.address == far.edge.client)
    }

    @Test("A process of the node may be the backend", arguments: Family.allCases)
    func process(_ family: Family) throws {
        let far = try Far(family)
        try far.edge.datapath.setClass(1, of: far.edge.node, isLocalNode: true)
        #expect(try far.edge.datapath.run(far.wrapped(.syn, to: far.edge.node), on: .fromNetwork) == .passed)
        let arrived = far.edge.arriving(from: far.edge.client, Edge.clientPort, to: far.edge.node, 8080, .syn)
        #expect(far.edge.datapath.output == arrived.bytes)
    }

    @Test("What no node has wrapped stays as it is", arguments: Family.allCases)
    func strangers(_ family: Family) throws {
        let far = try Far(family)
        let server = try far.edge.datapath.addPod()
        let wrong = [
            far.wrapped(.syn, to: server[family], from: far.frontend.neighbour),
            far.wrapped(.syn, to: server[family], mark: 0x4171),
            far.wrapped(.syn, to: server[family], flags: 0x3000),
            far.wrapped(.syn, to: server[family], flags: 0x2001),
        ]
        for frame in wrong {
            #expect(try far.edge.datapath.run(frame, on: .fromNetwork) == .delivered)
            #expect(far.edge.datapath.output.count == frame.count, "the pod's policy judges it as any GRE")
        }
        let elsewhere = far.wrapped(.syn, to: far.edge.remote)
        #expect(try far.edge.datapath.run(elsewhere, on: .fromNetwork) == .passed)
        #expect(far.edge.datapath.output == elsewhere)
    }

    @Test("A broken packet inside is dropped", arguments: Family.allCases)
    func broken(_ family: Family) throws {
        let far = try Far(family)
        let server = try far.edge.datapath.addPod()
        var frame = far.wrapped(.syn, to: server[family])
        let inner = 14 + (family == .v4 ? 28 : 48)
        frame[inner] = 0x75
        #expect(try far.edge.datapath.run(frame, on: .fromNetwork) == .dropped(entering: .malformed))
        let echo = Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: far.edge.client, to: far.frontend)
            .echo(identifier: 7)
        let wrapped = Wrapping(from: far.frontend, to: server[family], port: 8080).around(echo)
        #expect(try far.edge.datapath.run(wrapped, on: .fromNetwork) == .dropped(entering: .unsupported))
    }

    @Test("A node speaks for Services and its own ports alone", arguments: Family.allCases)
    func strangersFrontend(_ family: Family) throws {
        let far = try Far(family)
        let server = try far.edge.datapath.addPod()
        let inner = far.edge.arriving(
            from: far.edge.client, Edge.clientPort, to: far.frontend.neighbour, Edge.nodePort, .syn)
        let frame = Wrapping(from: far.frontend, to: server[family], port: 8080).around(inner)
        #expect(
            try far.edge.datapath.run(frame, on: .fromNetwork) == .dropped(entering: .invalidDestination))
        try far.edge.expose([far.edge.remote], at: far.frontend.neighbour)
        #expect(try far.edge.datapath.run(frame, on: .fromNetwork) == .delivered)
    }

    @Test("Nobody comes as a pod or as the node itself", arguments: Family.allCases)
    func spoofed(_ family: Family) throws {
        let far = try Far(family)
        let (server, other) = (try far.edge.datapath.addPod(), try far.edge.datapath.addPod())
        let frame = far.wrapped(.syn, to: server[family], client: other[family])
        #expect(try far.edge.datapath.run(frame, on: .fromNetwork) == .dropped(entering: .invalidSource))
    }

    @Test(
        "A client's port that has a connection of its own to the backend is led by another port",
        arguments: Family.allCases, Transport.allCases)
    func taken(_ family: Family, _ transport: Transport) throws {
        let far = try Far(family, transport)
        let (datapath, client) = (far.edge.datapath, far.edge.client)
        let server = try datapath.addPod()
        let direct = far.edge.arriving(from: client, Edge.clientPort, to: server[family], 8080, .syn)
        #expect(try datapath.run(direct, on: .fromNetwork) == .delivered)
        var known: Port?
        for flags in [TCPFlags.syn, .ack, .ack] {
            #expect(try datapath.run(far.wrapped(flags, to: server[family]), on: .fromNetwork) == .delivered)
            let port = try #require(datapath.outputView?.sourcePort)
            #expect(port != Edge.clientPort)
            let arrived = transport.header(on: server.receives(from: client, ttl: 63), from: port, to: 8080, flags)
            #expect(datapath.output == arrived.payload("text").bytes)
            let reply = transport.header(on: server.sends(to: client), from: 8080, to: port, .ack).payload("text")
            #expect(try datapath.run(reply, on: .fromPod(server)) == .passed)
            #expect(
                try datapath.run(far.edge.leaving(from: server[family], 8080, to: nil, port), on: .toNetwork) == .passed
            )
            #expect(datapath.output == far.edge.leaving(from: far.frontend, Edge.nodePort).bytes)
            known = known ?? port
            #expect(port == known)
            // It stays there when the other one has ended.
            if flags.contains(.syn) {
                try datapath.maps.halfOpen.delete(
                    apus_connection_key(try #require(PacketView(direct.bytes)?.connectionTuple)))
            }
        }
        #expect(try datapath.drops().isEmpty)
    }

    @Test("The client is told to send segments that fit when they are wrapped", arguments: Family.allCases)
    func segmentSize(_ family: Family) throws {
        let far = try Far(family)
        let server = try far.edge.datapath.addPod()
        let less: UInt16 = family == .v4 ? 28 : 48
        // The size first, at an odd place, smaller than any that is changed, and behind many others.
        let cases: [([UInt8], [UInt8])] = [
            (Self.size(1460) + [1, 3, 3, 7], Self.size(1460 - less) + [1, 3, 3, 7]),
            ([1] + Self.size(1460) + [1, 1, 1], [1] + Self.size(1460 - less) + [1, 1, 1]),
            (Self.size(536), Self.size(536)),
            ([4, 2, 1, 1] + Self.size(8960), [4, 2, 1, 1] + Self.size(8960 - less)),
            ([1, 1, 1, 0], [1, 1, 1, 0]), ([], []),
        ]
        for (number, options) in cases.enumerated() {
            let port = Edge.clientPort + UInt16(number)
            let syn = far.wrapped(.syn, to: server[family], clientPort: port)
            #expect(try far.edge.datapath.run(syn, on: .fromNetwork) == .delivered)
            let reply = Self.accepting(server.sends(to: far.edge.client), from: 8080, to: port, options.0)
            #expect(try far.edge.datapath.run(reply, on: .fromPod(server)) == .passed)
            let frame = Packet.ethernet(from: Edge.uplink, to: Edge.router)
            let leaves = frame.ip(from: server[family], to: far.edge.client)
            #expect(
                try far.edge.datapath.run(Self.accepting(leaves, from: 8080, to: port, options.0), on: .toNetwork)
                    == .passed)
            let wanted = Self.accepting(
                frame.ip(from: far.frontend, to: far.edge.client), from: Edge.nodePort, to: port, options.1)
            #expect(far.edge.datapath.output == wanted.bytes, "options \(options.0)")
        }
    }

    private static func size(_ value: UInt16) -> [UInt8] { [2, 4, UInt8(value >> 8), UInt8(value & 0xff)] }

    private static func accepting(_ packet: Packet, from source: Port, to destination: Port, _ options: [UInt8])
        -> Packet
    {
        packet.tcp(from: source, to: destination, flags: [.syn, .ack], acknowledgement: 2, options: options)
    }
}

/// The wrapping between nodes: IP and GRE with a key.
private struct Wrapping {
    var source: IPAddress
    var destination: IPAddress
    var mark: UInt16 = 0x4170
    var flags: UInt16 = 0x2000
    var port: Port

    init(from source: IPAddress, to destination: IPAddress, port: Port) {
        (self.source, self.destination, self.port) = (source, destination, port)
    }

    /// A frame with the packet of another frame wrapped.
    func around(_ packet: Packet) -> [UInt8] {
        let bytes = packet.bytes
        let isIPv4 = source.isIPv4
        let words = [flags, isIPv4 ? 0x0800 : 0x86dd, mark, port]
        let header = words.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
        let gre = IPProtocol(rawValue: 47)
        let outer =
            isIPv4
            ? Packet.raw.ipv4(from: source, to: destination, doNotFragment: true, ipProtocol: gre)
            : Packet.raw.ipv6(from: source, to: destination, nextHeader: gre)
        return Array(bytes[..<14]) + outer.payload(header + bytes[14...]).bytes
    }
}

/// A node to which another one sends what its clients ask for. Of their Service this one knows nothing.
private struct Far {
    let edge: Edge
    /// The node that wraps; the client has asked it.
    let frontend: IPAddress

    init(_ family: Family, _ transport: Transport = .tcp) throws {
        edge = try Edge(family, transport)
        frontend = family == .v4 ? ip("10.0.0.2") : ip("fd00:a::2")
        try edge.datapath.addNodeRange(CIDR(host: frontend), [APUS_NODE_RANGE_SENDS, APUS_NODE_RANGE_UNWRAPS])
    }

    func wrapped(
        _ tcpFlags: TCPFlags, to backend: IPAddress, from node: IPAddress? = nil, mark: UInt16 = 0x4170,
        flags: UInt16 = 0x2000, client: IPAddress? = nil, clientPort: Port = Edge.clientPort
    ) -> [UInt8] {
        let inner = edge.arriving(from: client ?? edge.client, clientPort, to: frontend, Edge.nodePort, tcpFlags)
        var wrapping = Wrapping(from: node ?? frontend, to: backend, port: 8080)
        (wrapping.mark, wrapping.flags) = (mark, flags)
        return wrapping.around(inner)
    }
}

extension IPAddress {
    /// The next one.
    fileprivate var neighbour: IPAddress { IPAddress(high: high, low: low + 1) }
}

extension DatapathFixture {
    /// Says what is known of addresses of another node.
    func addNodeRange(_ range: CIDR, _ flags: [apus_node_range_flag]) throws {
        try maps.nodeRanges.update(apus_prefix_key(range), flags.reduce(UInt32(0)) { $0 | UInt32($1.rawValue) })
    }
}
