internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// Which of a connection's packets.
enum Way: CaseIterable, Sendable {
    case request, answer
}

/// Where a backend elsewhere is: behind the interface that clients are behind, or behind another one.
struct Place: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let isSeparate: Bool

    static let all = [
        Place(testDescription: "behind the clients' uplink", isSeparate: false),
        Place(testDescription: "behind another uplink", isSeparate: true),
    ]
}

@Suite("The shortcut at XDP")
struct ShortcutTests {
    @Test(
        "What is forwarded is what the usual way makes of it, byte by byte",
        arguments: Family.allCases.flatMap { family in Transport.forwarded.map { (family, $0) } }, Place.all)
    func forwards(_ kind: (family: Family, transport: Transport), _ place: Place) throws {
        let namespace = try RoutedNamespace(separate: place.isSeparate)
        try namespace.run {
            let shortcut = try Shortcut(kind.family, kind.transport, in: namespace)
            let before = try shortcut.connection()
            for text in ["", "x", "some text", String(repeating: "long", count: 300)] {
                try expectSame(shortcut, .request, shortcut.request(payload: text).bytes, place)
                try expectSame(shortcut, .answer, shortcut.answer(payload: text).bytes, place)
            }
            let entry = try shortcut.connection()
            // Once by the shortcut and once by the usual way; by that test runs count answers twice, as a process's.
            #expect(entry.openerSide.packets == before.openerSide.packets + 8)
            #expect(entry.responderSide.packets == before.responderSide.packets + 12)
            #expect(try shortcut.counts() == (8, 0))
            _ = shortcut.datapath.events()
        }
    }

    private func expectSame(_ shortcut: Shortcut, _ way: Way, _ frame: [UInt8], _ place: Place) throws {
        let run = try shortcut.run(frame)
        #expect(run.fate == .redirected)
        let usual = try #require(try shortcut.usualWay(frame, ttl: 63))
        let isAcross = place.isSeparate && way == .request
        let hop = isAcross ? MACAddress(RoutedNamespace.neighbour.mac) : Edge.router
        #expect(
            run.frame
                == usual.onLink(
                    from: isAcross ? RoutedNamespace.acrossMAC : Edge.uplink, to: try #require(hop)))
        #expect(PacketView(run.frame)?.transportChecksumIsRight == true)
        #expect(PacketView(run.frame)?.headerChecksumIsRight != false)
    }

    @Test("By the interface that it came by a frame is returned", arguments: Family.allCases, Transport.forwarded)
    func returns(_ family: Family, _ transport: Transport) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let shortcut = try Shortcut(family, transport, in: namespace)
            let link = try shortcut.datapath.loaded.attachShortcut(to: namespace.up)
            #expect(try shortcut.run(shortcut.request().bytes, receivedBy: namespace.up).fate == .returned)
            #expect(try shortcut.run(shortcut.answer().bytes, receivedBy: namespace.up).fate == .returned)
            try shortcut.datapath.setXDPLink(namespace.up, mac: Edge.uplink, [APUS_XDP_TRANSMITS])
            #expect(try shortcut.run(shortcut.request().bytes, receivedBy: namespace.up).fate == .redirected)
            try shortcut.datapath.setXDPLink(namespace.up, mac: Edge.uplink, [])
            #expect(try shortcut.run(shortcut.request().bytes, receivedBy: namespace.up).fate == .passed)
            _ = consume link
        }
    }

    @Test("What can't be redirected takes the usual way", arguments: Family.allCases)
    func noTransmission(_ family: Family) throws {
        let namespace = try RoutedNamespace(separate: true)
        try namespace.run {
            let shortcut = try Shortcut(family, .tcp, in: namespace)
            try shortcut.datapath.setXDPLink(namespace.across, mac: RoutedNamespace.acrossMAC, [APUS_XDP_BOUNCES])
            #expect(try shortcut.run(shortcut.request().bytes).fate == .passed)
            #expect(try shortcut.run(shortcut.answer().bytes).fate == .redirected)
            try shortcut.datapath.maps.uplinks.delete(namespace.up)
            #expect(try shortcut.run(shortcut.answer().bytes).fate == .passed)
        }
    }

    @Test("A datagram without a checksum stays without one")
    func noChecksum() throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let shortcut = try Shortcut(.v4, .udp, in: namespace)
            let frame = Packet.ethernet(from: Edge.router, to: Edge.uplink)
                .ip(from: shortcut.edge.client, to: shortcut.edge.node)
                .udp(from: Edge.clientPort, to: Edge.nodePort, checksum: .zero).payload("text")
            let run = try shortcut.run(frame.bytes)
            #expect(run.fate == .redirected && run.frame[40...41] == [0, 0])
        }
    }

    @Test("What is too large for its way, or has none, is the stack's", arguments: Family.allCases)
    func routes(_ family: Family) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let shortcut = try Shortcut(family, .tcp, in: namespace)
            let headers = family == .v4 ? 40 : 60
            for (size, fate) in [(1400, ShortcutFate.redirected), (1401, .passed)] {
                let text = String(repeating: "x", count: size - headers)
                #expect(try shortcut.run(shortcut.request(payload: text).bytes).fate == fate, "\(size)")
            }
            let hop = family == .v4 ? RoutedNamespace.router.v4 : RoutedNamespace.router.v6
            try namespace.change("neighbour delete \(hop) dev eth0")
            #expect(try shortcut.run(shortcut.request().bytes).fate == .passed)
            try namespace.change("neighbour add \(hop) lladdr \(RoutedNamespace.router.mac) dev eth0")
            #expect(try shortcut.run(shortcut.request().bytes).fate == .redirected)
            try namespace.change("route add blackhole \(shortcut.edge.remote)")
            #expect(try shortcut.run(shortcut.request().bytes).fate == .passed)
        }
    }

    @Test("Where each packet is told, each takes the usual way")
    func packetsTold() throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            let shortcut = try Shortcut(.v4, .tcp, in: namespace) { $0.flow_detail = FlowDetail.packets.abi }
            #expect(try shortcut.run(shortcut.request().bytes).fate == .passed)
            #expect(try shortcut.counts() == (0, 1))
        }
    }

    @Test(
        "What the shortcut has any doubt about takes the usual way, as it came", arguments: Doubt.rows,
        Family.allCases)
    func doubts(_ doubt: Doubt, _ family: Family) throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            for transport in doubt.transports {
                for way in Way.allCases {
                    let shortcut = try Shortcut(family, transport, in: namespace)
                    let usual = try shortcut.frame(way)
                    #expect(try shortcut.run(usual).fate == .redirected)
                    guard let frame = try doubt.frame(shortcut, way) else { continue }
                    let before = try shortcut.knownConnection()
                    let run = try shortcut.run(frame)
                    #expect(run.fate == .passed, "\(transport) \(way)")
                    #expect(run.frame == frame, "\(transport) \(way)")
                    let after = try shortcut.knownConnection()
                    #expect(after?.openerSide.packets == before?.openerSide.packets)
                    #expect(after?.responderSide.packets == before?.responderSide.packets)
                }
            }
        }
    }
}

extension Shortcut {
    func frame(_ way: Way, _ flags: TCPFlags = .ack, ttl: UInt8 = 64) throws -> [UInt8] {
        way == .request ? request(flags, ttl: ttl).bytes : answer(flags, ttl: ttl).bytes
    }
}

/// Why a packet can't take the shortcut.
struct Doubt: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var transports = Transport.forwarded
    /// Changes what is known, and gives the frame that must pass; nil: there is none of the kind.
    let frame: @Sendable (Shortcut, Way) throws -> [UInt8]?

    init(
        _ name: String, _ transports: [Transport] = Transport.forwarded,
        _ frame: @escaping @Sendable (Shortcut, Way) throws -> [UInt8]?
    ) {
        (testDescription, self.transports, self.frame) = (name, transports, frame)
    }

    /// The usual frame, once something is known otherwise.
    static func known(
        _ name: String, _ transports: [Transport] = Transport.forwarded,
        _ change: @escaping @Sendable (Shortcut) throws -> Void
    ) -> Doubt {
        Doubt(name, transports) { shortcut, way in
            try change(shortcut)
            return try shortcut.frame(way)
        }
    }

    static func flags(_ name: String, _ flags: TCPFlags) -> Doubt {
        Doubt(name, [.tcp]) { try $0.frame($1, flags) }
    }

    static let rows = ofFrames + ofConnections + ofRecords

    private static let ofFrames = [
        flags("SYN", .syn), flags("FIN", [.fin, .ack]), flags("RST", .rst), flags("SYN ACK", [.syn, .ack]),
        Doubt("a hop count that ends here") { try $0.frame($1, ttl: 1) },
        Doubt("another hardware address") { try $0.frame($1).onLink(from: Edge.router, to: Edge.router) },
        Doubt("for all on the link") {
            try $0.frame($1).onLink(from: Edge.router, to: MACAddress(bits: 0xffff_ffff_ffff))
        },
        Doubt("a VLAN tag") { shortcut, way in
            let frame = try shortcut.frame(way)
            return frame[..<12] + [0x81, 0x00, 0x00, 0x05] + frame[12...]
        },
        Doubt("a fragment") { shortcut, way in
            let whole = way == .request ? shortcut.request() : shortcut.answer()
            return whole.payload([UInt8](repeating: 7, count: 200)).fragments(of: 64).first?.bytes
        },
        Doubt("IP options") { shortcut, way in
            let frame = try shortcut.frame(way)
            guard shortcut.edge.family == .v4 else { return frame.withExtension() }
            return frame.withOption()
        },
        Doubt("a broken IPv4 header") { shortcut, way in
            var frame = try shortcut.frame(way)
            frame[24] ^= 1
            return shortcut.edge.family == .v4 ? frame : nil
        },
        Doubt("cut off") { Array(try $0.frame($1).dropLast(5)) },
        Doubt("a checksum that a card is to complete") { shortcut, way in try shortcut.partial(way) },
    ]

    private static let ofConnections = [
        known("a client that goes by another port") { shortcut in
            try shortcut.set {
                $0.sides.0.flags = UInt8(APUS_SIDE_OTHER_PORT.rawValue)
                $0.sides.1.flags = UInt8(APUS_SIDE_OTHER_PORT.rawValue)
            }
        },
        known("not answered yet") { try $0.set { $0.flags |= UInt8(APUS_CONNECTION_UNANSWERED.rawValue) } },
        known("closed", [.tcp]) { try $0.set { $0.flags |= UInt8(APUS_CONNECTION_CLOSED.rawValue) } },
        known("both ends have sent FIN", [.tcp]) {
            try $0.set {
                $0.sides.0.tcp_flags |= 1
                $0.sides.1.tcp_flags |= 1
            }
        },
        known("not from outside") { try $0.set { $0.flags &= ~UInt8(APUS_CONNECTION_FROM_OUTSIDE.rawValue) } },
        known("not translated") { try $0.set { $0.flags &= ~UInt8(APUS_CONNECTION_TRANSLATED.rawValue) } },
        known("came by no interface") { try $0.set { $0.flags &= ~UInt8(APUS_CONNECTION_RECEIVED.rawValue) } },
        known("to the node itself") { try $0.set { $0.flags |= UInt8(APUS_CONNECTION_TO_NODE.rawValue) } },
        known("without a port of the node") { try $0.set { $0.source_port = 0 } },
        known("a pod at one end") { try $0.set { $0.sides.0.endpoint = 3 } },
        known("a pod at the other end") { try $0.set { $0.sides.1.endpoint = 3 } },
        known("expired") { try $0.set { $0.last_seen_ns = 1 } },
        known("no connection") { try $0.datapath.forgetConnections() },
    ]

    private static let ofRecords = [
        known("no translations") {
            try $0.datapath.maps.translations.clear(apus_translation_key.self)
            try $0.datapath.maps.disposableTranslations.clear(apus_translation_key.self)
        },
        Doubt("through another frontend") { shortcut, way in
            try shortcut.set { $0.frontend_port = Port(30081).bigEndian }
            return way == .request ? try shortcut.frame(way) : nil
        },
        Doubt("its port leads to somebody else") { shortcut, way in
            let keys = try shortcut.datapath.maps.translations.keys(as: apus_translation_key.self)
            for key in keys where key.frontend_port == shortcut.port.bigEndian {
                try shortcut.datapath.maps.translations.delete(key)
            }
            return try shortcut.frame(way)
        },
        Doubt("a datagram whose Service is gone", [.udp]) { shortcut, way in
            try shortcut.datapath.remove(shortcut.service)
            return way == .request ? try shortcut.frame(way) : nil
        },
        Doubt("a datagram whose backend serves no more", [.udp]) { shortcut, way in
            var backend = apus_backend()
            backend.in_use = 0
            for index in shortcut.service.backends { try shortcut.datapath.maps.backends.update(index, backend) }
            return way == .request ? try shortcut.frame(way) : nil
        },
        Doubt("a datagram whose backend is marked as one that serves no more", [.udp]) { shortcut, way in
            for index in shortcut.service.backends {
                var backend = try #require(try shortcut.datapath.maps.backends.lookup(index, as: apus_backend.self))
                backend.flags = UInt8(APUS_BACKEND_GONE.rawValue)
                try shortcut.datapath.maps.backends.update(index, backend)
            }
            return way == .request ? try shortcut.frame(way) : nil
        },
        known("the interface is no uplink") { try $0.datapath.maps.uplinks.delete(UInt32(1)) },
        known("the interface is not the program's") { try $0.datapath.maps.xdpLinks.delete(UInt32(1)) },
        Doubt("no Service serves by it") { shortcut, way in
            try shortcut.datapath.addUplink(v4: Edge.node.v4, v6: Edge.node.v6, [])
            return way == .request ? try shortcut.frame(way) : nil
        },
        known("the node has no address there") { shortcut in
            try shortcut.datapath.maps.uplinks.update(shortcut.namespace.up, apus_uplink())
        }.requestsOnly,
    ]

    private var requestsOnly: Doubt {
        Doubt(testDescription, transports) { shortcut, way in way == .request ? try frame(shortcut, way) : nil }
    }
}

extension Shortcut {
    /// A frame whose sum is that of the pseudo header alone.
    fileprivate func partial(_ way: Way) throws -> [UInt8] {
        let (source, target) = way == .request ? (edge.client, edge.node) : (edge.remote, edge.node)
        let ports = way == .request ? (Edge.clientPort, Edge.nodePort) : (8080, port)
        let packet = Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: source, to: target)
        return
            (edge.transport == .tcp
            ? packet.tcp(from: ports.0, to: ports.1, flags: .ack, checksum: .partial)
            : packet.udp(from: ports.0, to: ports.1, checksum: .partial)).payload("text").bytes
    }
}

extension [UInt8] {
    /// The IPv4 frame with an option that does nothing.
    func withOption() -> [UInt8] {
        var copy = self[..<34] + [1, 1, 1, 0] + self[34...]
        copy[14] = 0x46
        let length = copy.count - 14
        copy.replaceSubrange(16..<18, with: [UInt8(length >> 8), UInt8(length & 0xff)])
        copy.replaceSubrange(24..<26, with: [0, 0])
        let sum = Checksum.internet(copy[14..<38])
        copy.replaceSubrange(24..<26, with: [UInt8(sum >> 8), UInt8(sum & 0xff)])
        return Array(copy)
    }

    /// The IPv6 frame with options for its destination that do nothing.
    func withExtension() -> [UInt8] {
        var copy = self[..<54] + [self[20], 0, 1, 4, 0, 0, 0, 0] + self[54...]
        copy[20] = 60
        let length = copy.count - 54
        copy.replaceSubrange(18..<20, with: [UInt8(length >> 8), UInt8(length & 0xff)])
        return Array(copy)
    }
}
