internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("One port of a client outside towards one backend by several addresses, byte by byte")
struct OtherPortOutsideTests {
    private static let ports: [Port] = [Edge.nodePort, 30081, 30082]

    /// Node ports that all lead to one backend.
    private static func edge(
        _ family: Family, _ transport: Transport, to backend: (Edge) throws -> IPAddress
    ) throws -> (edge: Edge, backend: IPAddress) {
        let edge = try Edge(family, transport)
        let backend = try backend(edge)
        for port in ports { try edge.expose([backend], port: port) }
        return (edge, backend)
    }

    @Test("To a pod of this node", arguments: Family.allCases, Transport.allCases)
    func near(_ family: Family, _ transport: Transport) throws {
        for affinity in [0, 9] as [UInt32] {
            let edge = try Edge(family, transport)
            let (datapath, server) = (edge.datapath, try edge.datapath.addPod())
            for port in Self.ports { try edge.expose([server[family]], port: port, affinity: affinity) }
            var known: [Port: Port] = [:]
            for flags in [TCPFlags.syn, .ack, .ack] {
                for asked in Self.ports {
                    let request = edge.arriving(from: nil, Edge.clientPort, to: nil, asked, flags)
                    #expect(try datapath.run(request, on: .fromNetwork) == .delivered)
                    let port = try #require(datapath.outputView?.sourcePort)
                    #expect(known.updateValue(port, forKey: asked) ?? port == port)
                    let arrived = transport.header(
                        on: server.receives(from: edge.client, ttl: 63), from: port, to: 8080, flags)
                    #expect(datapath.output == arrived.payload("text").bytes)

                    let answer = transport.header(on: server.sends(to: edge.client), from: 8080, to: port, .ack)
                    #expect(try datapath.run(answer.payload("text"), on: .fromPod(server)) == .passed)
                    #expect(datapath.output == answer.payload("text").bytes)
                    let leaves = edge.leaving(from: server[family], 8080, to: nil, port)
                    #expect(try datapath.run(leaves, on: .toNetwork) == .passed)
                    #expect(datapath.output == edge.leaving(from: edge.node, asked).bytes)
                }
            }
            #expect(Set(known.values).count == 3 && known[Edge.nodePort] == Edge.clientPort)
            #expect(try datapath.drops().isEmpty && datapath.connectionCount() == 3)
        }
    }

    @Test("To a backend elsewhere, by way of the stack", arguments: Family.allCases, Transport.allCases)
    func elsewhere(_ family: Family, _ transport: Transport) throws {
        let (edge, backend) = try Self.edge(family, transport) { $0.remote }
        let datapath = edge.datapath
        var known: [Port: Port] = [:]
        for flags in [TCPFlags.syn, .ack, .ack] {
            for asked in Self.ports {
                let request = edge.arriving(from: nil, Edge.clientPort, to: nil, asked, flags)
                #expect(try datapath.run(request, on: .fromNetwork) == .passed)
                let port = try #require(datapath.outputView?.sourcePort)
                #expect(datapath.output == edge.arriving(from: nil, port, to: backend, 8080, flags).bytes)
                #expect(
                    try datapath.run(edge.leaving(from: edge.client, port, to: backend, 8080, flags), on: .toNetwork)
                        == .passed)
                let own = try #require(datapath.outputView?.sourcePort)
                #expect(datapath.output == edge.leaving(from: edge.node, own, to: backend, 8080, flags).bytes)
                #expect(known.updateValue(own, forKey: asked) ?? own == own)

                let answer = edge.arriving(from: backend, 8080, to: edge.node, own, .ack)
                #expect(try datapath.run(answer, on: .fromNetwork) == .passed)
                #expect(datapath.output == edge.arriving(from: backend, 8080, to: edge.client, port, .ack).bytes)
                #expect(try datapath.run(edge.leaving(from: backend, 8080, to: nil, port), on: .toNetwork) == .passed)
                #expect(datapath.output == edge.leaving(from: edge.node, asked).bytes)
            }
        }
        #expect(Set(known.values).count == 3)
        #expect(try datapath.drops().isEmpty)
    }

    @Test("To a backend elsewhere, past the stack", arguments: Family.allCases, Transport.forwarded)
    func onward(_ family: Family, _ transport: Transport) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let onward = try Onward(family, transport, in: namespace)
            for edge in [onward.edge, onward.usual] { try edge.expose([edge.remote], port: 30081) }
            _ = try onward.establish()
            let view = { onward.edge.datapath.outputView }
            var own: Port?
            for flags in [TCPFlags.syn, .ack, .ack] {
                for ttl in [64, 1] as [UInt8] where ttl > 1 || !flags.contains(.syn) {
                    let wanted: Fate = ttl > 1 ? .delivered : .passed
                    let request = onward.edge.arriving(from: nil, Edge.clientPort, to: nil, 30081, flags, ttl: ttl)
                    #expect(try onward.send(request.bytes) == wanted)
                    let port = try #require(view()?.sourcePort)
                    #expect(own == nil || own == port)
                    own = port
                    let answer = onward.edge.arriving(
                        from: onward.edge.remote, 8080, to: onward.edge.node, port, [.syn, .ack], ttl: ttl)
                    #expect(try onward.send(answer.bytes) == wanted)
                    #expect(view()?.sourcePort == 30081 && view()?.destinationPort == Edge.clientPort)
                    #expect(view()?.destination == onward.edge.client && view()?.source == onward.edge.node)
                }
            }
        }
    }

    /// What is told of connections to port 53 must not change the others.
    @Test(
        "To port 53 of a process of this node, from an only port, by way of the stack", arguments: Family.allCases,
        Transport.allCases)
    func domain(_ family: Family, _ transport: Transport) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let edge = try Edge(family, transport) { $0.redirect_uplink = 1 }
            try edge.datapath.setClass(1, of: edge.node, isLocalNode: true)
            try edge.expose([edge.node], at: family.virtual, port: 53, kind: .APUS_SERVICE_LOAD_BALANCER)
            for flags in [TCPFlags.syn, .ack, .ack] {
                let request = edge.arriving(from: nil, Edge.clientPort, to: family.virtual, 53, flags)
                #expect(try edge.datapath.run(request, on: .fromNetwork) == .passed)
                let wanted = edge.arriving(from: nil, Edge.clientPort, to: edge.node, 8080, flags)
                #expect(edge.datapath.output == wanted.bytes)
            }
        }
    }

    @Test("Fragments of a datagram", arguments: Family.allCases)
    func fragments(_ family: Family) throws {
        let edge = try Edge(family, .udp)
        let server = try edge.datapath.addPod()
        for port in Self.ports { try edge.expose([server[family]], port: port) }
        #expect(try edge.datapath.run(edge.arriving(), on: .fromNetwork) == .delivered)
        let payload = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let frame = Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: edge.client, to: edge.node)
        let sent = frame.udp(from: Edge.clientPort, to: 30081).payload(payload).fragments(of: 64)
        var port: Port?
        for (index, fragment) in sent.enumerated() {
            #expect(try edge.datapath.run(fragment, on: .fromNetwork) == .delivered)
            if index == 0 { port = edge.datapath.outputView?.sourcePort }
            let wanted = server.receives(from: edge.client, ttl: 63)
                .udp(from: try #require(port), to: 8080).payload(payload).fragments(of: 64)
            #expect(edge.datapath.output == wanted[index].bytes)
        }
        #expect(port != Edge.clientPort)
    }

    @Test(
        "The client hears of what it has sent, by its own port and the address that it has asked",
        arguments: Family.allCases)
    func errors(_ family: Family) throws {
        let (edge, backend) = try Self.edge(family, .tcp) { $0.remote }
        let datapath = edge.datapath
        #expect(try edge.sendOn(Edge.clientPort) != nil)
        let request = edge.arriving(from: nil, Edge.clientPort, to: nil, 30081)
        #expect(try datapath.run(request, on: .fromNetwork) == .passed)
        let port = try #require(datapath.outputView?.sourcePort)
        #expect(
            try datapath.run(edge.leaving(from: edge.client, port, to: backend, 8080, .syn), on: .toNetwork) == .passed)
        let own = try #require(datapath.outputView?.sourcePort)
        func packet(_ source: SocketAddress, _ destination: SocketAddress) -> Packet {
            Packet.raw.ip(from: source.address, to: destination.address)
                .tcp(from: source.port, to: destination.port, flags: .syn).payload(
                    [UInt8](repeating: 0x61, count: 1200))
        }
        let target = SocketAddress(backend, 8080)
        let quoted = packet(SocketAddress(edge.node, own), target)
        let inside = packet(SocketAddress(edge.client, port), target).withChecksum(of: quoted)
        let told = packet(SocketAddress(edge.client, Edge.clientPort), SocketAddress(edge.node, 30081))
            .withChecksum(of: quoted)
        let router = Reporter.router(family)
        func error(_ quoted: Packet, from source: IPAddress, to receiver: IPAddress, leaves: Bool) -> Packet {
            (leaves
                ? Packet.ethernet(from: Edge.uplink, to: Edge.router) : .ethernet(from: Edge.router, to: Edge.uplink))
                .ip(from: source, to: receiver).icmpError(.tooBig(mtu: 1300), quoting: quoted)
        }
        #expect(
            try datapath.run(error(quoted, from: router, to: edge.node, leaves: false), on: .fromNetwork) == .passed)
        #expect(datapath.output == error(inside, from: router, to: edge.client, leaves: false).bytes)
        #expect(
            try datapath.run(error(inside, from: router, to: edge.client, leaves: true), on: .toNetwork) == .passed)
        #expect(datapath.output == error(told, from: edge.node, to: edge.client, leaves: true).bytes)
    }
}
