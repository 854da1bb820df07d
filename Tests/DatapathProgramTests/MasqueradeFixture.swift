internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport

/// What has a port, or something that stands for one.
enum Talk: CaseIterable, Sendable {
    case tcp, udp, sctp, echo

    init(_ transport: Transport) {
        switch transport {
        case .tcp: self = .tcp
        case .udp: self = .udp
        case .sctp: self = .sctp
        }
    }

    /// Whether a packet says that nothing follows.
    var hasEnd: Bool { self == .tcp || self == .sctp }

    /// What the end that opened sends.
    func forth(on packet: Packet, from source: Port, to destination: Port, _ flags: TCPFlags = .syn) -> Packet {
        switch self {
        case .tcp: packet.tcp(from: source, to: destination, flags: flags).payload("text")
        case .udp: packet.udp(from: source, to: destination).payload("text")
        case .sctp: Transport.sctp.header(on: packet, from: source, to: destination, flags).payload("text")
        case .echo: packet.echo(identifier: source).payload("text")
        }
    }

    /// What is answered to it.
    func back(on packet: Packet, from source: Port, to destination: Port, _ flags: TCPFlags = .ack) -> Packet {
        switch self {
        case .tcp: packet.tcp(from: source, to: destination, flags: flags).payload("text")
        case .udp: packet.udp(from: source, to: destination).payload("text")
        case .sctp: Transport.sctp.header(on: packet, from: source, to: destination, flags).payload("text")
        case .echo: packet.echo(reply: true, identifier: destination).payload("text")
        }
    }
}

/// A node whose pods reach the world in the node's name.
struct Gate {
    static let port: Port = 443
    static let podPort: Port = 40000

    let datapath: DatapathFixture
    let family: Family
    let talk: Talk

    init(
        _ family: Family, _ talk: Talk = .tcp, flags: [apus_uplink_flag] = [APUS_UPLINK_MASQUERADES],
        _ configure: (inout apus_config) -> Void = { _ in }
    ) throws {
        datapath = try DatapathFixture(configure)
        self.family = family
        self.talk = talk
        try datapath.addUplink(v4: Edge.node.v4, v6: Edge.node.v6, flags)
    }

    var node: IPAddress { family == .v4 ? Edge.node.v4 : Edge.node.v6 }
    var world: IPAddress { family.outside }

    /// What the pod sends, as it is when it leaves the pod.
    func sent(_ pod: Pod, _ port: Port = podPort, to world: IPAddress? = nil, _ flags: TCPFlags = .syn) -> Packet {
        talk.forth(on: pod.sends(to: world ?? self.world), from: port, to: Self.port, flags)
    }

    /// The same behind the stack; in the end, from the node.
    func leaving(
        from source: IPAddress, _ port: Port = podPort, to world: IPAddress? = nil, _ flags: TCPFlags = .syn
    ) -> Packet {
        let frame = Packet.ethernet(from: Edge.uplink, to: Edge.router).ip(from: source, to: world ?? self.world)
        return talk.forth(on: frame, from: port, to: Self.port, flags)
    }

    /// An answer of the world that comes in.
    func arriving(
        from world: IPAddress? = nil, to destination: IPAddress, _ port: Port, _ flags: TCPFlags = .ack
    ) -> Packet {
        let frame = Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: world ?? self.world, to: destination)
        return talk.back(on: frame, from: Self.port, to: port, flags)
    }

    /// What the pod gets of it.
    func received(_ pod: Pod, _ port: Port = podPort, from world: IPAddress? = nil) -> Packet {
        talk.back(on: pod.receives(from: world ?? self.world, ttl: 63), from: Self.port, to: port)
    }

    /// Lets a pod send to the world. Returns what became of the packet at the uplink.
    @discardableResult
    func send(
        _ pod: Pod, _ port: Port = podPort, to world: IPAddress? = nil, _ flags: TCPFlags = .syn
    ) throws -> Fate {
        let fate = try datapath.run(sent(pod, port, to: world, flags), on: .fromPod(pod))
        guard fate == .passed else { return fate }
        return try datapath.run(leaving(from: pod[family], port, to: world, flags), on: .toNetwork)
    }

    /// A later packet of the connection from the usual port.
    @discardableResult
    func send(_ pod: Pod, _ flags: TCPFlags) throws -> Fate { try send(pod, Self.podPort, flags) }

    func leaving(from source: IPAddress, _ flags: TCPFlags) -> Packet { leaving(from: source, Self.podPort, flags) }

    /// The node's port that the pod's connection has; nil: none.
    func port(of pod: Pod, _ port: Port = podPort, to world: IPAddress? = nil) throws -> Port? {
        let entry = try datapath.connection(of: sent(pod, port, to: world))?.entry
        return entry.flatMap { $0.source_port == 0 ? nil : $0.source_port.bigEndian }
    }

    func except(_ range: CIDR) throws {
        try datapath.maps.nonMasquerade.update(apus_prefix_key(range), UInt32(1))
    }
}
