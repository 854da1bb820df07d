internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport

/// A node with Services for clients outside, and what passes by its uplink.
struct Edge {
    static let node = (v4: ip("10.0.0.1"), v6: ip("fd00:a::1"))
    /// A pod of another node.
    static let remote = (v4: ip("10.244.2.7"), v6: ip("fd00:2::7"))
    static let nodePort: Port = 30080
    static let clientPort: Port = 40000
    /// The router that the uplink leads to, and the node's own end of the link.
    static let router = MACAddress(bits: 0x0200_0000_00aa)
    static let uplink = MACAddress(bits: 0x0200_0000_00bb)

    let datapath: DatapathFixture
    let family: Family
    let transport: Transport

    init(
        _ family: Family, _ transport: Transport = .tcp, _ configure: (inout apus_config) -> Void = { _ in }
    ) throws {
        datapath = try DatapathFixture(configure)
        self.family = family
        self.transport = transport
        try datapath.addUplink(v4: Self.node.v4, v6: Self.node.v6)
    }

    var node: IPAddress { family == .v4 ? Self.node.v4 : Self.node.v6 }
    var remote: IPAddress { family == .v4 ? Self.remote.v4 : Self.remote.v6 }
    var client: IPAddress { family.outside }

    /// A NodePort of the transport with these backends; see `DatapathFixture.addService`.
    @discardableResult
    func expose(
        _ backends: [IPAddress], at address: IPAddress? = nil, port: Port = Edge.nodePort,
        kind: apus_service_kind = .APUS_SERVICE_NODE_PORT, flags: [apus_service_flag] = [], affinity: UInt32 = 0,
        local: Range<Int>? = nil, limits: [CIDR] = []
    ) throws -> Service {
        try datapath.addService(
            SocketAddress(address ?? node, port), transport.number, to: backends.map { SocketAddress($0, 8080) },
            kind: kind, flags: flags, affinity: affinity, local: local, limits: limits)
    }

    /// A packet that comes in.
    func arriving(
        from source: IPAddress? = nil, _ sourcePort: Port = Edge.clientPort, to destination: IPAddress? = nil,
        _ port: Port = Edge.nodePort, _ flags: TCPFlags = .syn, ttl: UInt8 = 64
    ) -> Packet {
        let frame = Packet.ethernet(from: Self.router, to: Self.uplink)
            .ip(from: source ?? client, to: destination ?? node, ttl: ttl)
        return transport.header(on: frame, from: sourcePort, to: port, flags).payload("text")
    }

    /// A packet that leaves.
    func leaving(
        from source: IPAddress, _ sourcePort: Port, to destination: IPAddress? = nil, _ port: Port = Edge.clientPort,
        _ flags: TCPFlags = .ack
    ) -> Packet {
        let frame = Packet.ethernet(from: Self.uplink, to: Self.router).ip(from: source, to: destination ?? client)
        return transport.header(on: frame, from: sourcePort, to: port, flags).payload("text")
    }

    /// Sends a client's packet on to a backend elsewhere, and says from which port; nil when it was dropped.
    func sendOn(from client: IPAddress? = nil, _ clientPort: Port, _ flags: TCPFlags = .syn) throws -> Port? {
        let source = client ?? self.client
        guard
            try datapath.run(arriving(from: source, clientPort, flags), on: .fromNetwork) == .passed,
            try datapath.run(leaving(from: source, clientPort, to: remote, 8080, flags), on: .toNetwork) == .passed
        else { return nil }
        return datapath.outputView?.sourcePort
    }

    private func arriving(from source: IPAddress, _ port: Port, _ flags: TCPFlags) -> Packet {
        arriving(from: source, port, to: nil, Self.nodePort, flags)
    }
}

extension DatapathFixture {
    /// Lets the interface that packets of a test run have be an uplink; as a rule, one that Services are served by.
    func addUplink(
        v4: IPAddress? = nil, v6: IPAddress? = nil, _ flags: [apus_uplink_flag] = [APUS_UPLINK_SERVES],
        routeMTU: UInt32 = 0
    ) throws {
        let value = apus_uplink(
            v4: v4.map { apus_address($0) } ?? .none, v6: v6.map { apus_address($0) } ?? .none,
            flags: flags.reduce(0) { $0 | $1.rawValue }, route_mtu: routeMTU)
        try maps.uplinks.update(UInt32(1), value)
    }
}
