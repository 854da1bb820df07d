internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// A network header that is more than the usual one: options, extension headers, a class of traffic.
struct OddHeader: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let family: Family
    /// Puts it on a frame, from an address to another one, with so many hops left.
    let put: @Sendable (Packet, IPAddress, IPAddress, UInt8) -> Packet

    init(
        _ description: String, _ family: Family,
        _ put: @escaping @Sendable (Packet, IPAddress, IPAddress, UInt8) -> Packet
    ) {
        (testDescription, self.family, self.put) = (description, family, put)
    }

    static let all = [
        OddHeader("a recorded route", .v4) {
            $0.ipv4(
                from: $1, to: $2, ttl: $3, typeOfService: 0xb8, identification: 0x1234,
                options: [7, 11, 4] + [UInt8](repeating: 0, count: 8))
        },
        OddHeader("forty bytes of options", .v4) {
            $0.ipv4(from: $1, to: $2, ttl: $3, doNotFragment: true, options: [UInt8](repeating: 1, count: 40))
        },
        OddHeader("a class and a flow", .v6) {
            $0.ipv6(from: $1, to: $2, hopLimit: $3, trafficClass: 0xb8, flowLabel: 0x54321)
        },
        OddHeader("hop-by-hop, routing and destination options", .v6) {
            $0.ipv6(from: $1, to: $2, hopLimit: $3).ipv6Extension(.hopByHop, options: [5, 2, 0, 0])
                .ipv6Extension(.routing).ipv6Extension(
                    .destinationOptions, options: [1, 8] + [0, 0, 0, 0, 0, 0, 0, 0])
        },
        OddHeader("an authentication header", .v6) {
            $0.ipv6(from: $1, to: $2, hopLimit: $3).ipv6Extension(.authentication)
        },
        OddHeader("an atomic fragment", .v6) {
            $0.ipv6(from: $1, to: $2, hopLimit: $3).ipv6Fragment(Fragment(offset: 0, more: false), identification: 99)
        },
    ]
}

/// One end of what is sent.
private struct End {
    let address: IPAddress
    let port: Port
}

extension Transport {
    /// A packet with an odd header, and options of TCP's own.
    fileprivate func packet(
        _ header: OddHeader, on frame: Packet, from source: End, to destination: End, _ flags: TCPFlags = .syn,
        ttl: UInt8 = 64
    ) -> Packet {
        let network = header.put(frame, source.address, destination.address, ttl)
        return
            (self == .tcp
            ? network.tcp(
                from: source.port, to: destination.port, flags: flags, options: [2, 4, 5, 0xb4, 4, 2, 1, 1])
            : self.header(on: network, from: source.port, to: destination.port, flags)).payload("odd")
    }
}

@Suite("Packets with options and extension headers to a Service")
struct OptionTests {
    @Test("Per packet nothing but an address, a port and a hop changes", arguments: OddHeader.all, Transport.allCases)
    func ofPod(_ header: OddHeader, _ transport: Transport) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let (own, frontend, backend) = (
            End(address: client[header.family], port: 40000), End(address: header.family.virtual, port: 80),
            End(address: server[header.family], port: 8080)
        )
        try datapath.addService(
            SocketAddress(frontend.address, 80), transport.number, to: [SocketAddress(backend.address, 8080)])
        for flags in [TCPFlags.syn, .ack] {
            let request = transport.packet(header, on: client.frame(), from: own, to: frontend, flags)
            #expect(try datapath.run(request, on: .fromPod(client)) == .delivered)
            let arrived = transport.packet(header, on: server.hostFrame, from: own, to: backend, flags, ttl: 63)
            #expect(datapath.output == arrived.bytes)
            let reply = transport.packet(header, on: server.frame(), from: backend, to: own, .ack)
            #expect(try datapath.run(reply, on: .fromPod(server)) == .delivered)
            let answer = transport.packet(header, on: client.hostFrame, from: frontend, to: own, .ack, ttl: 63)
            #expect(datapath.output == answer.bytes)
        }
    }

    @Test("Nor does more to a backend of this node from outside", arguments: OddHeader.all, Transport.allCases)
    func outside(_ header: OddHeader, _ transport: Transport) throws {
        let edge = try Edge(header.family, transport)
        let server = try edge.datapath.addPod()
        try edge.expose([server[header.family]])
        let (client, frontend, backend) = (
            End(address: edge.client, port: Edge.clientPort), End(address: edge.node, port: Edge.nodePort),
            End(address: server[header.family], port: 8080)
        )
        for flags in [TCPFlags.syn, .ack] {
            let request = transport.packet(header, on: edge.incoming, from: client, to: frontend, flags)
            #expect(try edge.datapath.run(request, on: .fromNetwork) == .delivered)
            let arrived = transport.packet(header, on: server.hostFrame, from: client, to: backend, flags, ttl: 63)
            #expect(edge.datapath.output == arrived.bytes)
            let reply = transport.packet(header, on: edge.outgoing, from: backend, to: client, .ack)
            #expect(try edge.datapath.run(reply, on: .toNetwork) == .passed)
            let answer = transport.packet(header, on: edge.outgoing, from: frontend, to: client, .ack)
            #expect(edge.datapath.output == answer.bytes)
        }
    }

    @Test("Nor to one elsewhere, which sees the node", arguments: OddHeader.all, Transport.allCases)
    func elsewhere(_ header: OddHeader, _ transport: Transport) throws {
        let edge = try Edge(header.family, transport)
        try edge.expose([edge.remote])
        let (client, frontend, backend) = (
            End(address: edge.client, port: Edge.clientPort), End(address: edge.node, port: Edge.nodePort),
            End(address: edge.remote, port: 8080)
        )
        for flags in [TCPFlags.syn, .ack] {
            let request = transport.packet(header, on: edge.incoming, from: client, to: frontend, flags)
            #expect(try edge.datapath.run(request, on: .fromNetwork) == .passed)
            let aimed = transport.packet(header, on: edge.incoming, from: client, to: backend, flags)
            #expect(edge.datapath.output == aimed.bytes)
            let routed = transport.packet(header, on: edge.outgoing, from: client, to: backend, flags)
            #expect(try edge.datapath.run(routed, on: .toNetwork) == .passed)
            let own = End(address: edge.node, port: try #require(edge.datapath.outputView?.sourcePort))
            #expect(
                edge.datapath.output == transport.packet(header, on: edge.outgoing, from: own, to: backend, flags).bytes
            )
            let reply = transport.packet(header, on: edge.incoming, from: backend, to: own, .ack)
            #expect(try edge.datapath.run(reply, on: .fromNetwork) == .passed)
            let turned = transport.packet(header, on: edge.incoming, from: backend, to: client, .ack)
            #expect(edge.datapath.output == turned.bytes)
            let leaves = transport.packet(header, on: edge.outgoing, from: backend, to: client, .ack)
            #expect(try edge.datapath.run(leaves, on: .toNetwork) == .passed)
            let answer = transport.packet(header, on: edge.outgoing, from: frontend, to: client, .ack)
            #expect(edge.datapath.output == answer.bytes)
        }
    }

    @Test("A refusal has none of them, and quotes all of them", arguments: OddHeader.all, Transport.allCases)
    func refused(_ header: OddHeader, _ transport: Transport) throws {
        let edge = try Edge(header.family, transport)
        let pod = try edge.datapath.addPod()
        let frontend = End(address: header.family.virtual, port: 80)
        try edge.datapath.addService(SocketAddress(frontend.address, 80), transport.number, to: [])
        let own = End(address: pod[header.family], port: 40000)
        let request = transport.packet(header, on: pod.frame(), from: own, to: frontend)
        #expect(try edge.datapath.run(request, on: .fromPod(pod)) == .delivered)
        let back = Packet.ethernet(from: pod.hostMAC, to: pod.mac)
        #expect(edge.datapath.output == refusal(header, transport, on: back, of: own, by: frontend).bytes)

        try edge.expose([])
        let (client, node) = (
            End(address: edge.client, port: Edge.clientPort), End(address: edge.node, port: Edge.nodePort)
        )
        let arriving = transport.packet(header, on: edge.incoming, from: client, to: node)
        #expect(try edge.datapath.run(arriving, on: .fromNetwork) == .delivered)
        #expect(edge.datapath.output == refusal(header, transport, on: edge.outgoing, of: client, by: node).bytes)
    }

    private func refusal(
        _ header: OddHeader, _ transport: Transport, on frame: Packet, of client: End, by frontend: End
    ) -> Packet {
        let answer =
            header.family == .v4
            ? frame.ipv4(from: frontend.address, to: client.address, doNotFragment: true)
            : frame.ipv6(from: frontend.address, to: client.address)
        guard transport != .tcp else {
            return answer.tcp(
                from: frontend.port, to: client.port, flags: [.rst, .ack], sequence: 0,
                acknowledgement: 1 + 1 + UInt32("odd".utf8.count), window: 0)
        }
        return answer.icmpError(
            .portUnreachable, quoting: transport.packet(header, on: .raw, from: client, to: frontend), limit: 548)
    }
}

extension Edge {
    /// The link layer of what comes in, and of what leaves.
    var incoming: Packet { .ethernet(from: Self.router, to: Self.uplink) }
    var outgoing: Packet { .ethernet(from: Self.uplink, to: Self.router) }
}

extension Pod {
    /// The link layer of what the host sends it.
    var hostFrame: Packet { .ethernet(from: hostMAC, to: mac) }
}
