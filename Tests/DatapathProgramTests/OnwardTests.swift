internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Forwarding past the stack, at an uplink's ingress")
struct OnwardTests {
    @Test(
        "From its opening to its end a connection is forwarded as the usual way would, byte by byte",
        arguments: Family.allCases.flatMap { family in Transport.forwarded.map { (family, $0) } }, Place.all)
    func life(_ kind: (family: Family, transport: Transport), _ place: Place) throws {
        let namespace = try RoutedNamespace(separate: place.isSeparate)
        try namespace.run {
            let onward = try Onward(kind.family, kind.transport, in: namespace)
            #expect(try onward.send(onward.request(.syn).bytes) == .delivered)
            let port = try #require(onward.edge.datapath.outputView?.sourcePort)
            let talk: [Packet] = [
                onward.answer([.syn, .ack], to: port), onward.request(), onward.answer(to: port),
                onward.request(payload: String(repeating: "long", count: 300)), onward.answer(to: port, payload: ""),
                onward.request([.fin, .ack]), onward.answer([.fin, .ack], to: port), onward.request(),
            ]
            for packet in talk {
                #expect(try onward.send(packet.bytes) == .delivered)
                #expect(PacketView(onward.edge.datapath.output)?.transportChecksumIsRight == true)
                #expect(PacketView(onward.edge.datapath.output)?.headerChecksumIsRight != false)
            }
            let entries = try onward.connections()
            #expect(entries[0]?.openerSide.packets == 5 && entries[0]?.responderSide.packets == 4)
            #expect(entries[0]?.flags == entries[1]?.flags)
            let kinds = [onward.edge, onward.usual].map { $0.datapath.events().map(\.kind) }
            #expect(kinds[0] == kinds[1] && !kinds[0].isEmpty)
        }
    }

    @Test("What the stack has to answer, cut or decide is left to it", arguments: Reservation.all, Family.allCases)
    func leaves(_ reservation: Reservation, _ family: Family) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            for transport in reservation.transports {
                let onward = try Onward(family, transport, in: namespace)
                let port = try onward.establish()
                for usual in [onward.request(), onward.answer(to: port)] {
                    #expect(try onward.send(usual.bytes) == .delivered)
                }
                for frame in try reservation.frames(onward, port, namespace) {
                    #expect(try onward.send(frame) == .passed, "\(transport)")
                }
            }
        }
    }

    @Test("With the switch off all take the way through the stack", arguments: Family.allCases)
    func off(_ family: Family) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let edge = try Edge(family)
            try edge.expose([edge.remote])
            try edge.datapath.copyUplink(to: namespace.up)
            #expect(try edge.sendOn(Edge.clientPort) != nil)
        }
    }

    @Test("What a route of IPv4 takes is the stack's to say", arguments: Family.allCases)
    func routeMTU(_ family: Family) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let onward = try Onward(family, .tcp, in: namespace)
            for edge in [onward.edge, onward.usual] {
                try edge.datapath.addUplink(v4: Edge.node.v4, v6: Edge.node.v6, routeMTU: 1300)
                try edge.datapath.copyUplink(to: namespace.up)
            }
            _ = try onward.establish()
            let headers = family == .v4 ? 40 : 60
            func request(_ size: Int) -> [UInt8] {
                onward.request(payload: String(repeating: "x", count: size - headers)).bytes
            }
            #expect(try onward.send(request(1300)) == .delivered)
            // Of IPv6 no router heeds it.
            #expect(try onward.send(request(1301)) == (family == .v4 ? .passed : .delivered))
        }
    }

    @Test("A neighbour that is not known yet is the kernel's to ask for", arguments: Family.allCases)
    func unknownNeighbour(_ family: Family) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let onward = try Onward(family, .tcp, in: namespace)
            let hop = family == .v4 ? RoutedNamespace.router.v4 : RoutedNamespace.router.v6
            try namespace.change("neighbour delete \(hop) dev eth0")
            #expect(try onward.send(onward.request(.syn).bytes) == .delivered)
        }
    }

    @Test("Segments that the kernel has merged are as long as each of them is", arguments: Family.allCases)
    func merged(_ family: Family) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let onward = try Onward(family, .tcp, in: namespace)
            _ = try onward.establish()
            let headers = family == .v4 ? 40 : 60
            let large = onward.request(payload: String(repeating: "x", count: 3400)).bytes
            #expect(try onward.send(large, gsoSize: UInt32(1400 - headers)) == .delivered)
            #expect(try onward.send(large, gsoSize: UInt32(1401 - headers)) == .passed)
            #expect(try onward.send(large) == .passed)
        }
    }

    @Test("What went on is left alone where it leaves")
    func mark() throws {
        let edge = try Edge(.v4)
        try edge.expose([edge.remote])
        _ = try edge.sendOn(Edge.clientPort)
        let packet = edge.leaving(from: edge.client, Edge.clientPort, to: edge.remote, 8080).bytes
        // Of struct __sk_buff: the second word of its control block.
        var context = [UInt8](repeating: 0, count: 192)
        context.withUnsafeMutableBytes { $0.storeBytes(of: 0x4170_7573, toByteOffset: 52, as: UInt32.self) }
        let marked = try edge.datapath.loaded.toNetwork.testRun(packet: packet, context: context)
        #expect(marked.returnValue == Verdict.next && marked.packet == packet)
        #expect(try edge.datapath.run(packet, on: .toNetwork) == .passed)
        #expect(edge.datapath.outputView?.source == edge.node)
    }

    @Test("What is wrapped goes through the stack, and nothing else does for that", arguments: Family.allCases)
    func directReturn(_ family: Family) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let onward = try Onward(family, .tcp, in: namespace) {
                $0.direct_return = UInt8(APUS_DIRECT_RETURN_CONNECTIONS)
            }
            let port = try onward.establish()
            #expect(try onward.send(onward.answer(to: port).bytes) == .delivered, "no other node unwraps: as ever")
            for edge in [onward.edge, onward.usual] {
                try edge.datapath.addNodeRange(CIDR(host: edge.remote), [APUS_NODE_RANGE_UNWRAPS])
                try edge.datapath.addNodeRange(CIDR(host: edge.node), [APUS_NODE_RANGE_OWN])
            }
            #expect(try onward.send(onward.request().bytes) == .delivered, "one that has a port already")
            let other = onward.edge.arriving(from: nil, Edge.clientPort + 1, to: nil, Edge.nodePort, .syn)
            #expect(try onward.send(other.bytes) == .passed)
            #expect(
                PacketView(onward.edge.datapath.output)?.ipProtocol == IPProtocol(rawValue: 47),
                "wrapped, where it leaves")
        }
    }
}

/// Why a packet is left to the stack.
struct Reservation: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let transports: [Transport]
    let frames: @Sendable (Onward, Port, RoutedNamespace) throws -> [[UInt8]]

    init(
        _ name: String, _ transports: [Transport] = Transport.forwarded,
        _ frames: @escaping @Sendable (Onward, Port, RoutedNamespace) throws -> [[UInt8]]
    ) {
        (testDescription, self.transports, self.frames) = (name, transports, frames)
    }

    /// Both directions, once something is known otherwise.
    static func known(
        _ name: String, _ change: @escaping @Sendable (Onward, RoutedNamespace) throws -> Void
    ) -> Reservation {
        Reservation(name) { onward, port, namespace in
            try change(onward, namespace)
            return [onward.request().bytes, onward.answer(to: port).bytes]
        }
    }

    static let all = [
        Reservation("a hop count that ends here") { onward, port, _ in
            [onward.request(ttl: 1).bytes, onward.answer(to: port, ttl: 1).bytes]
        },
        Reservation("larger than the way takes", [.tcp, .udp]) { onward, _, _ in
            [onward.request(payload: String(repeating: "x", count: 1400)).bytes]
        },
        Reservation("a broken IPv4 header") { onward, port, _ in
            guard onward.edge.family == .v4 else { return [] }
            return [onward.request().bytes, onward.answer(to: port).bytes].map { frame in
                frame[..<24] + [frame[24] ^ 1] + frame[25...]
            }
        },
        Reservation("a packet of SCTP") { onward, port, _ in
            let edge = onward.edge
            return [
                Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: edge.client, to: edge.node)
                    .sctp(from: Edge.clientPort, to: Edge.nodePort, chunk: Chunk.opening.bytes).bytes
            ]
        },
        Reservation("more behind the IP packet than the way takes") { onward, _, _ in
            [onward.request().bytes + [UInt8](repeating: 0, count: 1400)]
        },
        Reservation("a fragment", [.udp]) { onward, _, _ in
            onward.request().payload([UInt8](repeating: 7, count: 200)).fragments(of: 64).map(\.bytes)
        },
        Reservation("IP options or extension headers") { onward, port, _ in
            [onward.request().bytes, onward.answer(to: port).bytes].map {
                onward.edge.family == .v4 ? $0.withOption() : $0.withExtension()
            }
        },
        Reservation("sent to all on the link", [.udp]) { onward, _, _ in
            [onward.request().bytes.onLink(from: Edge.router, to: MACAddress(bits: 0xffff_ffff_ffff))]
        },
        Reservation("from an address that no host beyond the link has") { onward, _, _ in
            let sources =
                onward.edge.family == .v4
                ? ["127.0.0.9", "0.0.0.9", "224.0.0.9", "255.255.255.255"] : ["::1", "ff02::9", "fe80::9"]
            return sources.map { onward.edge.arriving(from: ip($0)).bytes }
        },
        Reservation("no way to the backend", [.tcp]) { onward, _, namespace in
            try namespace.change("route replace blackhole \(onward.edge.remote)")
            return [onward.request().bytes]
        },
        known("no uplink leads there") { onward, namespace in
            for edge in [onward.edge, onward.usual] { try edge.datapath.maps.uplinks.delete(namespace.up) }
        },
        known("to the node itself") { onward, _ in
            try onward.set { $0.flags |= UInt8(APUS_CONNECTION_TO_NODE.rawValue) }
        },
        known("not from outside") { onward, _ in
            try onward.set { $0.flags &= ~UInt8(APUS_CONNECTION_FROM_OUTSIDE.rawValue) }
        },
    ]
}
