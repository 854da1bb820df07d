internal import Addressing
internal import BPF
internal import DatapathABI
internal import Glibc
internal import LinuxKernel
internal import Synchronization
internal import TestSupport
internal import Testing

extension Transport {
    /// Those that the shortcut forwards.
    static let forwarded = [Transport.tcp, .udp]
}

/// A node's namespace with routes: to clients by `up`, an uplink, and to pods of other nodes by `across`, another one,
/// or by `up`, too.
final class RoutedNamespace: Sendable {
    /// Where clients are, and where other nodes are where that is another interface.
    let up: UInt32
    let across: UInt32
    private let name: String
    private static let counter = Atomic(0)

    /// The router behind `up`, and the node behind `across`.
    static let router = (v4: "10.0.0.254", v6: "fd00:a::fe", mac: "\(Edge.router)")
    static let neighbour = (v4: "10.0.1.253", v6: "fd00:b::fd", mac: "02:00:00:00:00:cc")
    static let acrossMAC = MACAddress(bits: 0x0200_0000_00dd)

    init(separate: Bool) throws {
        name = "apus-xdp-\(getpid())-\(Self.counter.add(1, ordering: .relaxed).newValue)"
        try Self.ip("netns add \(name)")
        do {
            try Self.ip("netns exec \(name) sysctl -qw net.ipv4.conf.all.forwarding=1 net.ipv6.conf.all.forwarding=1")
            let commands = Self.commands(separate).joined(separator: "\n")
            try Self.ip("-n \(name) -batch - <<'END'\n\(commands)\nEND")
            up = try Self.index(of: "eth0", in: name)
            across = try Self.index(of: "eth1", in: name)
        } catch {
            try? Self.ip("netns delete \(name)")
            throw error
        }
    }

    deinit { try? Self.ip("netns delete \(name)") }

    private static func commands(_ separate: Bool) -> [String] {
        let (near, far) = (router, separate ? neighbour : router)
        let device = separate ? "eth1" : "eth0"
        return [
            "link set lo up", "link add eth0 type veth peer name far0", "link add eth1 type veth peer name far1",
            "link set eth0 address \(Edge.uplink)", "link set eth1 address \(acrossMAC)",
        ] + ["eth0", "far0", "eth1", "far1"].map { "link set \($0) up" } + [
            "address add \(Edge.node.v4)/24 dev eth0", "address add \(Edge.node.v6)/64 dev eth0 nodad",
            "address add 10.0.1.1/24 dev eth1", "address add fd00:b::1/64 dev eth1 nodad",
            "neighbour add \(near.v4) lladdr \(near.mac) dev eth0",
            "neighbour add \(near.v6) lladdr \(near.mac) dev eth0",
            "neighbour add \(neighbour.v4) lladdr \(neighbour.mac) dev eth1",
            "neighbour add \(neighbour.v6) lladdr \(neighbour.mac) dev eth1",
            "route add default via \(near.v4)", "route add default via \(near.v6)",
            "route add 10.244.0.0/16 via \(far.v4) dev \(device) mtu lock 1400",
            "route add fd00:2::/64 via \(far.v6) dev \(device) mtu lock 1400",
        ]
    }

    private static func index(of interface: String, in namespace: String) throws -> UInt32 {
        var netlink = try Netlink(inNamespaceAt: "/run/netns/\(namespace)")
        return try #require(try netlink.interface(named: interface)).index
    }

    static func ip(_ command: String) throws {
        let status = system("ip \(command)")
        guard status == 0 else { throw LabError("ip \(command)", "status \(status)") }
    }

    /// Changes something of the namespace.
    func change(_ command: String) throws { try Self.ip("-n \(name) \(command)") }

    /// Runs on a thread in the namespace.
    func run(_ body: @Sendable () throws -> Void) throws {
        let outcome = Mutex<Result<Void, any Error>>(.success(()))
        try withoutActuallyEscaping(body) { body in
            try NetworkNamespace.run(at: "/run/netns/\(name)") { () throws(KernelError) in
                outcome.withLock { $0 = Result { try body() } }
            }
        }
        try outcome.withLock { try $0.get() }
    }
}

/// What became of a frame at XDP.
enum ShortcutFate: Hashable {
    case passed
    /// Back out of the interface that it came by, or out of another one.
    case returned, redirected
    case impossible(UInt32)

    init(_ verdict: UInt32) {
        switch verdict {
        case 2: self = .passed
        case 3: self = .returned
        case 4: self = .redirected
        default: self = .impossible(verdict)
        }
    }
}

/// An edge whose backend elsewhere a client is connected to, and the shortcut of its packets. To be made and used in a
/// namespace with routes.
///
/// Frames come in by loopback, as those of all test runs.
struct Shortcut {
    let edge: Edge
    let service: Service
    /// The port that the backend knows the client by.
    let port: Port
    let namespace: RoutedNamespace

    var datapath: DatapathFixture { edge.datapath }

    init(
        _ family: Family, _ transport: Transport, in namespace: RoutedNamespace,
        kind: apus_service_kind = .APUS_SERVICE_NODE_PORT, flags: [apus_service_flag] = [],
        _ configure: (inout apus_config) -> Void = { _ in }
    ) throws {
        edge = try Edge(family, transport, configure)
        self.namespace = namespace
        service = try edge.expose([edge.remote], kind: kind, flags: flags)
        for index in [namespace.up, namespace.across] { try edge.datapath.copyUplink(to: index) }
        for index in [1, namespace.up, namespace.across] { try edge.datapath.setXDPLink(index, mac: Edge.uplink) }
        port = try #require(try edge.sendOn(Edge.clientPort))
        try answerOnce()
    }

    /// The first answer, after which the connection is established.
    private func answerOnce() throws {
        let answer = edge.arriving(from: edge.remote, 8080, to: edge.node, port, [.syn, .ack])
        #expect(try datapath.run(answer, on: .fromNetwork) == .passed)
        let leaving = edge.leaving(from: edge.remote, 8080, to: nil, Edge.clientPort, [.syn, .ack])
        #expect(try datapath.run(leaving, on: .toNetwork) == .passed)
        #expect(try connection().has(APUS_CONNECTION_UNANSWERED) == false)
    }

    func connection() throws -> apus_connection { try #require(try knownConnection()) }

    /// nil where there is none any more.
    func knownConnection() throws -> apus_connection? {
        let packet = edge.leaving(from: edge.remote, 8080, to: edge.client, Edge.clientPort)
        return try datapath.connection(of: packet)?.entry
    }

    /// Changes the connection's entry.
    func set(_ change: (inout apus_connection) -> Void) throws {
        let packet = edge.leaving(from: edge.remote, 8080, to: edge.client, Edge.clientPort)
        let key = apus_connection_key(try #require(PacketView(packet.bytes)?.connectionTuple))
        var entry = try connection()
        change(&entry)
        try datapath.maps.connections.update(key, entry)
    }

    /// A packet of the client to the frontend, and one of the backend to the node.
    func request(_ flags: TCPFlags = .ack, ttl: UInt8 = 64, payload: String = "text") -> Packet {
        edge.arriving(from: nil, Edge.clientPort, to: nil, Edge.nodePort, flags, ttl: ttl).payload(payload)
    }

    func answer(_ flags: TCPFlags = .ack, ttl: UInt8 = 64, payload: String = "text") -> Packet {
        edge.arriving(from: edge.remote, 8080, to: edge.node, port, flags, ttl: ttl).payload(payload)
    }

    func run(_ frame: [UInt8], receivedBy interface: UInt32? = nil) throws -> (fate: ShortcutFate, frame: [UInt8]) {
        let run = try datapath.loaded.shortcut.testRun(frame: frame, receivedBy: interface)
        return (ShortcutFate(run.returnValue), run.packet)
    }

    /// What the programs of tcx and a router in between make of a frame; nil where they don't let it out.
    func usualWay(_ frame: [UInt8], ttl: UInt8) throws -> [UInt8]? {
        guard try datapath.run(frame, on: .fromNetwork) == .passed else { return nil }
        let routed = datapath.output.withHopCount(ttl)
        guard try datapath.run(routed, on: .toNetwork) == .passed else { return nil }
        return datapath.output
    }

    func counts() throws -> (forwarded: UInt64, passed: UInt64) {
        func count(_ counter: apus_xdp_counter) throws -> UInt64 {
            try datapath.maps.xdpCounters.lookupSum(counter.rawValue, as: UInt64.self) ?? 0
        }
        return (try count(.APUS_XDP_FORWARDED), try count(.APUS_XDP_PASSED))
    }
}

extension DatapathFixture {
    /// Lets another interface be the same uplink as loopback.
    func copyUplink(to index: UInt32) throws {
        let uplink = try #require(try maps.uplinks.lookup(UInt32(1), as: apus_uplink.self))
        try maps.uplinks.update(index, uplink)
    }

    func setXDPLink(
        _ index: UInt32, mac: MACAddress, _ flags: [apus_xdp_flag] = [APUS_XDP_BOUNCES, APUS_XDP_TRANSMITS]
    ) throws {
        var link = apus_xdp_link()
        withUnsafeMutableBytes(of: &link) { $0.copyBytes(from: mac.bytes) }
        link.flags = UInt8(flags.reduce(0) { $0 | $1.rawValue })
        try maps.xdpLinks.update(index, link)
    }
}

extension [UInt8] {
    /// The frame with another hop count, the sum of an IPv4 header with it.
    func withHopCount(_ count: UInt8) -> [UInt8] {
        var copy = self
        guard self[12] == 0x08 else {
            copy[21] = count
            return copy
        }
        copy[22] = count
        copy.replaceSubrange(24..<26, with: [0, 0])
        let sum = Checksum.internet(copy[14..<34])
        copy.replaceSubrange(24..<26, with: [UInt8(sum >> 8), UInt8(sum & 0xff)])
        return copy
    }

    /// The frame on another link.
    func onLink(from source: MACAddress, to destination: MACAddress) -> [UInt8] {
        destination.bytes + source.bytes + dropFirst(12)
    }
}
