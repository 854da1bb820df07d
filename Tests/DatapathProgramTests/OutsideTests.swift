internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Services for clients outside, packet by packet")
struct OutsideTests {
    @Test(
        "A pod of this node sees the client's address, the client sees the Service's",
        arguments: Family.allCases, Transport.allCases)
    func localBackend(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        let server = try edge.datapath.addPod()
        try edge.expose([server[family]])
        for flags in [TCPFlags.syn, .ack, .ack] {
            #expect(try edge.datapath.run(edge.arriving(Edge.clientPort, flags), on: .fromNetwork) == .delivered)
            let arrived = transport.header(
                on: server.receives(from: edge.client, ttl: 63), from: Edge.clientPort, to: 8080, flags)
            #expect(edge.datapath.output == arrived.payload("text").bytes)
            let reply = transport.header(on: server.sends(to: edge.client), from: 8080, to: Edge.clientPort, .ack)
            #expect(try edge.datapath.run(reply.payload("text"), on: .fromPod(server)) == .passed)
            #expect(edge.datapath.output == reply.payload("text").bytes, "the stack routes what a pod has sent")
            let leaves = edge.leaving(from: server[family], 8080)
            #expect(try edge.datapath.run(leaves, on: .toNetwork) == .passed)
            #expect(edge.datapath.output == edge.leaving(from: edge.node, Edge.nodePort).bytes)
        }
        let entry = try #require(try edge.datapath.connection(of: edge.leaving(from: server[family], 8080))).entry
        #expect(entry.openerSide.packets == 3 && !entry.has(APUS_CONNECTION_UNANSWERED))
        let opened = try #require(edge.datapath.events().first)
        #expect(opened.frontendEnd == SocketAddress(edge.node, Edge.nodePort))
        #expect(opened.sourceEnd.address == edge.client && opened.destinationEnd.address == server[family])
    }

    @Test(
        "A backend elsewhere sees an address and port of the node, which leads its answers back",
        arguments: Family.allCases, Transport.allCases)
    func remoteBackend(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        try edge.expose([edge.remote])
        var port: Port?
        for flags in [TCPFlags.syn, .ack, .ack] {
            #expect(try edge.datapath.run(edge.arriving(Edge.clientPort, flags), on: .fromNetwork) == .passed)
            let aimed = edge.arriving(from: edge.client, Edge.clientPort, to: edge.remote, 8080, flags)
            #expect(edge.datapath.output == aimed.bytes, "its source stays until the stack has routed it")
            let forwarded = edge.leaving(from: edge.client, Edge.clientPort, to: edge.remote, 8080, flags)
            #expect(try edge.datapath.run(forwarded, on: .toNetwork) == .passed)
            let source = try #require(edge.datapath.outputView?.sourcePort)
            #expect(source >= 61000 && port ?? source == source)
            port = source
            #expect(
                edge.datapath.output == edge.leaving(from: edge.node, source, to: edge.remote, 8080, flags).bytes)
            let answer = edge.arriving(from: edge.remote, 8080, to: edge.node, source, .ack)
            #expect(try edge.datapath.run(answer, on: .fromNetwork) == .passed)
            let turned = edge.arriving(from: edge.remote, 8080, to: edge.client, Edge.clientPort, .ack)
            #expect(edge.datapath.output == turned.bytes)
            #expect(try edge.datapath.run(edge.leaving(from: edge.remote, 8080), on: .toNetwork) == .passed)
            #expect(edge.datapath.output == edge.leaving(from: edge.node, Edge.nodePort).bytes)
        }
        let answered = try edge.datapath.maps.translations.keys(as: apus_translation_key.self)
        #expect(answered.count == 2, "the way there and the way back are safe from a flood")
    }

    @Test("With externalTrafficPolicy Local only endpoints of the node serve", arguments: Family.allCases)
    func local(_ family: Family) throws {
        let edge = try Edge(family)
        let server = try edge.datapath.addPod()
        try edge.expose([edge.remote, server[family]], local: 1..<2)
        for port in 40000..<40032 as Range<Port> {
            #expect(try edge.datapath.run(edge.arriving(port), on: .fromNetwork) == .delivered)
        }
    }

    @Test(
        "Without an endpoint of the node they are dropped, without any they are refused",
        arguments: Family.allCases, Transport.allCases)
    func noEndpoint(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        try edge.expose([edge.remote], local: 0..<0)
        #expect(
            try edge.datapath.run(edge.arriving(), on: .fromNetwork) == .dropped(entering: .noLocalBackend))
        let event = try #require(edge.datapath.events().last)
        #expect(event.kind == .denied && event.destinationEnd == SocketAddress(edge.node, Edge.nodePort))
        try edge.expose([], port: 30081)
        let request = edge.arriving(from: nil, Edge.clientPort, to: nil, 30081)
        #expect(try edge.datapath.run(request, on: .fromNetwork) == .delivered)
        let frame = Packet.ethernet(from: Edge.uplink, to: Edge.router)
        let answer =
            family == .v4
            ? frame.ipv4(from: edge.node, to: edge.client, doNotFragment: true)
            : frame.ipv6(from: edge.node, to: edge.client)
        let quoted = transport.header(
            on: Packet.raw.ip(from: edge.client, to: edge.node), from: Edge.clientPort, to: 30081
        ).payload("text")
        let refusal =
            transport == .tcp
            ? answer.tcp(
                from: 30081, to: Edge.clientPort, flags: [.rst, .ack], sequence: 0, acknowledgement: 6, window: 0)
            : answer.icmpError(.portUnreachable, quoting: quoted, limit: 548)
        #expect(edge.datapath.output == refusal.bytes)
        let refused = DropKey(reason: .noBackend, direction: .APUS_DIRECTION_INGRESS)
        #expect(try edge.datapath.drops()[refused]?.packets == 1)
        #expect(try edge.datapath.connectionCount() == 0)
    }

    @Test(
        "What no Service has of a Service's address is refused, not of one for those inside alone or of the uplink's own",
        arguments: Family.allCases, Transport.allCases)
    func otherPorts(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        let balancer = family == .v4 ? ip("203.0.113.80") : ip("2001:db8:113::80")
        try edge.datapath.refuseRest(of: balancer, kind: .APUS_SERVICE_LOAD_BALANCER)
        try edge.datapath.refuseRest(of: family.virtual, kind: .APUS_SERVICE_CLUSTER_IP)
        try edge.datapath.refuseRest(of: edge.node, kind: .APUS_SERVICE_EXTERNAL_IP)
        let request = edge.arriving(from: nil, Edge.clientPort, to: balancer, 81)
        #expect(try edge.datapath.run(request, on: .fromNetwork) == .delivered)
        let answer = try #require(edge.datapath.outputView)
        #expect(answer.source == balancer && answer.destination == edge.client)
        let refused = DropKey(reason: .noBackend, direction: .APUS_DIRECTION_INGRESS)
        #expect(try edge.datapath.drops()[refused]?.packets == 1)
        for address in [family.virtual, edge.node] {
            let packet = edge.arriving(from: nil, Edge.clientPort, to: address, 81)
            #expect(try edge.datapath.run(packet, on: .fromNetwork) == .passed)
            #expect(edge.datapath.output == packet.bytes)
        }
    }

    @Test("Nobody else's packets are touched", arguments: Family.allCases)
    func untouched(_ family: Family) throws {
        let edge = try Edge(family)
        let server = try edge.datapath.addPod()
        try edge.expose([server[family]], at: family.virtual, port: 80, kind: .APUS_SERVICE_CLUSTER_IP)
        let packets = [
            edge.arriving(from: nil, 40000, to: family.virtual, 80), edge.arriving(from: nil, 40000, to: nil, 22),
            edge.arriving(from: edge.remote, 8080, to: edge.node, 61007, .ack),
        ]
        for packet in packets {
            #expect(try edge.datapath.run(packet, on: .fromNetwork) == .passed)
            #expect(edge.datapath.output == packet.bytes)
        }
        let request = server.sends(to: edge.client).tcp(from: 40000, to: 443, flags: .syn)
        #expect(try edge.datapath.run(request, on: .fromPod(server)) == .passed)
        for packet in [
            edge.leaving(from: server[family], 40000, to: edge.client, 443), edge.leaving(from: edge.node, 22),
        ] {
            #expect(try edge.datapath.run(packet, on: .toNetwork) == .passed)
            #expect(edge.datapath.output == packet.bytes)
        }
        try edge.expose([server[family]])
        try edge.datapath.maps.uplinks.clear(UInt32.self)
        #expect(try edge.datapath.run(edge.arriving(), on: .fromNetwork) == .passed)
        #expect(edge.datapath.output == edge.arriving().bytes, "no Service is served by this interface")
    }

    @Test("Who claims to be this node or a pod of it is dropped", arguments: Family.allCases)
    func spoofed(_ family: Family) throws {
        let edge = try Edge(family)
        let server = try edge.datapath.addPod()
        try edge.datapath.setClass(1, of: edge.node, isLocalNode: true)
        try edge.expose([edge.remote])
        for source in [server[family], edge.node] {
            let fate = try edge.datapath.run(edge.arriving(from: source), on: .fromNetwork)
            #expect(fate == .dropped(entering: .invalidSource))
        }
    }

    @Test("Ingress policy judges the client itself", arguments: Family.allCases)
    func policy(_ family: Family) throws {
        let edge = try Edge(family)
        try edge.datapath.set(HandMadePolicy(id: 5))
        let server = try edge.datapath.addPod(ingress: 5)
        try edge.expose([server[family]])
        #expect(try edge.datapath.run(edge.arriving(), on: .fromNetwork) == .dropped(entering: .isolated))
        let event = try #require(edge.datapath.events().last)
        #expect(event.sourceEnd.address == edge.client && event.destinationEnd.address == server[family])
        #expect(event.frontendEnd == SocketAddress(edge.node, Edge.nodePort))
    }

    @Test("Through the stack each packet is judged and counted once", arguments: Family.allCases)
    func throughStack(_ family: Family) throws {
        let edge = try Edge(family) { $0.redirect_peer = 0 }
        let server = try edge.datapath.addPod()
        try edge.expose([server[family]])
        for flags in [TCPFlags.syn, .ack] {
            #expect(try edge.datapath.run(edge.arriving(Edge.clientPort, flags), on: .fromNetwork) == .passed)
            let aimed = edge.arriving(from: edge.client, Edge.clientPort, to: server[family], 8080, flags)
            #expect(edge.datapath.output == aimed.bytes)
            #expect(try edge.datapath.run(aimed, on: .toPod(server)) == .passed)
            #expect(edge.datapath.output == aimed.bytes)
        }
        let entry = try #require(try edge.datapath.connection(of: edge.leaving(from: server[family], 8080))).entry
        #expect(entry.openerSide.packets == 2)
    }

    @Test("Clients keep their backend with session affinity", arguments: Family.allCases)
    func affinity(_ family: Family) throws {
        let edge = try Edge(family)
        let servers = [try edge.datapath.addPod(), try edge.datapath.addPod(), try edge.datapath.addPod()]
        try edge.expose(servers.map { $0[family] }.sorted(), affinity: 9)
        var seen: Set<IPAddress> = []
        for port in 40000..<40032 as Range<Port> {
            #expect(try edge.datapath.run(edge.arriving(port), on: .fromNetwork) == .delivered)
            if let address = edge.datapath.outputView?.destination { seen.insert(address) }
        }
        #expect(seen.count == 1)
    }

    @Test("A fragmented datagram goes to one backend", arguments: Family.allCases)
    func fragments(_ family: Family) throws {
        let edge = try Edge(family, .udp)
        let server = try edge.datapath.addPod()
        try edge.expose([server[family]])
        let datagram = Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: edge.client, to: edge.node)
            .udp(from: Edge.clientPort, to: Edge.nodePort).payload([UInt8](repeating: 7, count: 200))
        for fragment in datagram.fragments(of: 64) {
            #expect(try edge.datapath.run(fragment, on: .fromNetwork) == .delivered)
            #expect(edge.datapath.outputView?.destination == server[family])
        }
    }

    @Test("A client that opens a connection to the node's own process meets no Service", arguments: Family.allCases)
    func ownProcess(_ family: Family) throws {
        let edge = try Edge.withOwnProcess(family)
        // The former connection is over.
        #expect(try edge.datapath.run(edge.arriving(Edge.clientPort, .rst), on: .fromNetwork) == .passed)
        #expect(try edge.datapath.run(edge.direct(.syn), on: .fromNetwork) == .passed)
        #expect(edge.datapath.output == edge.direct(.syn).bytes)
        #expect(try edge.datapath.run(edge.leaving(from: edge.node, 8080), on: .toNetwork) == .passed)
        #expect(edge.datapath.output == edge.leaving(from: edge.node, 8080).bytes)
    }

    @Test("… and the former connection is told to have ended, if it was not before", arguments: Family.allCases)
    func formerConnectionEnds(_ family: Family) throws {
        let edge = try Edge.withOwnProcess(family)
        // Both ends have sent FIN, and nobody the last acknowledgement.
        try edge.datapath.run(edge.arriving(Edge.clientPort, [.fin, .ack]), on: .fromNetwork)
        try edge.datapath.run(
            edge.leaving(from: edge.node, 8080, to: nil, Edge.clientPort, [.fin, .ack]), on: .toNetwork)
        #expect(try edge.datapath.eventCount(.APUS_EVENTS_ENDINGS) == 0)
        _ = edge.datapath.events()
        #expect(try edge.datapath.run(edge.direct(.syn), on: .fromNetwork) == .passed)
        #expect(edge.datapath.events().map(\.kind) == [.closed])
        #expect(try edge.datapath.connectionCount() == 0)
    }

    @Test("… but a SYN, which anyone can write, does not end what the Service leads there", arguments: Family.allCases)
    func forgedOpening(_ family: Family) throws {
        let edge = try Edge.withOwnProcess(family)
        #expect(try edge.datapath.run(edge.direct(.syn), on: .fromNetwork) == .passed)
        #expect(edge.datapath.output == edge.direct(.syn).bytes)
        // What the process says to it, as to all else, comes from the node port: a client that knows it not resets it.
        #expect(try edge.datapath.run(edge.leaving(from: edge.node, 8080), on: .toNetwork) == .passed)
        #expect(edge.datapath.output == edge.leaving(from: edge.node, Edge.nodePort).bytes)
        #expect(try edge.datapath.run(edge.arriving(Edge.clientPort, .ack), on: .fromNetwork) == .passed)
        #expect(edge.datapath.outputView?.destinationPort == 8080)
    }

    @Test("Datagrams of the node's process do not keep what its client has left", arguments: Family.allCases)
    func answersKeepNothing(_ family: Family) throws {
        let edge = try Edge.withOwnProcess(family, .udp)
        let answer = edge.leaving(from: edge.node, 8080)
        let asked = try #require(try edge.datapath.connection(of: answer)).entry
        edge.datapath.passTime()
        #expect(try edge.datapath.run(answer, on: .toNetwork) == .passed)
        let answered = try #require(try edge.datapath.connection(of: answer)).entry
        #expect(answered.last_seen_ns == asked.last_seen_ns)
        #expect(answered.responderSide.packets == asked.responderSide.packets + 1)
    }

    @Test("A frame that the uplink hears for another host is left alone", arguments: Family.allCases)
    func overheard(_ family: Family) throws {
        let edge = try Edge(family)
        let server = try edge.datapath.addPod()
        try edge.expose([server[family]])
        let toPod = edge.arriving(from: nil, 40000, to: server[family], 8080)
        for packet in [edge.arriving(), toPod] {
            #expect(try edge.datapath.run(packet, on: .overheard) == .passed)
            #expect(edge.datapath.output == packet.bytes)
            #expect(try edge.datapath.connectionCount() == 0)
            #expect(try edge.datapath.run(packet, on: .fromNetwork) == .delivered)
            try edge.datapath.forgetConnections()
        }
    }
}

extension Edge {
    /// A packet of the client to the node port.
    fileprivate func arriving(_ port: Port, _ flags: TCPFlags) -> Packet {
        arriving(from: nil, port, to: nil, Self.nodePort, flags)
    }

    fileprivate func arriving(_ port: Port) -> Packet { arriving(port, .syn) }

    /// A packet of the client to the process behind the node port.
    fileprivate func direct(_ flags: TCPFlags) -> Packet {
        arriving(from: nil, Self.clientPort, to: nil, 8080, flags)
    }

    /// A node whose own process is behind the node port, and has answered the client there.
    fileprivate static func withOwnProcess(_ family: Family, _ transport: Transport = .tcp) throws -> Edge {
        let edge = try Edge(family, transport)
        try edge.expose([edge.node])
        #expect(try edge.datapath.run(edge.arriving(), on: .fromNetwork) == .passed)
        #expect(edge.datapath.outputView?.destinationPort == 8080)
        #expect(try edge.datapath.run(edge.leaving(from: edge.node, 8080), on: .toNetwork) == .passed)
        #expect(edge.datapath.output == edge.leaving(from: edge.node, nodePort).bytes)
        return edge
    }
}
