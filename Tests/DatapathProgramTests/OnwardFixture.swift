internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// Two nodes that have the same to do, of which one forwards past its stack. To be made and used in a namespace with
/// routes.
///
/// Frames come in by loopback, as those of all test runs.
struct Onward {
    let edge: Edge
    /// The node that leaves all to its stack.
    let usual: Edge
    let service: Service

    /// - Parameter backends: Where connections end; nil: at a pod of another node.
    init(
        _ family: Family, _ transport: Transport, in namespace: RoutedNamespace, to backends: [IPAddress]? = nil,
        _ configure: (inout apus_config) -> Void = { _ in }
    ) throws {
        edge = try Edge(family, transport) {
            configure(&$0)
            $0.redirect_uplink = 1
        }
        usual = try Edge(family, transport, configure)
        service = try edge.expose(backends ?? [edge.remote])
        try usual.expose(backends ?? [edge.remote])
        for edge in [edge, usual] {
            for index in [namespace.up, namespace.across] { try edge.datapath.copyUplink(to: index) }
        }
    }

    /// Opens the connection of `Edge.clientPort`, and says by which port the backend knows the client.
    func establish() throws -> Port {
        _ = try send(request(.syn).bytes)
        let port = try #require(edge.datapath.outputView?.sourcePort)
        _ = try send(answer([.syn, .ack], to: port).bytes)
        _ = try send(request(.ack).bytes)
        return port
    }

    func request(_ flags: TCPFlags = .ack, ttl: UInt8 = 64, payload: String = "text") -> Packet {
        edge.arriving(from: nil, Edge.clientPort, to: nil, Edge.nodePort, flags, ttl: ttl).payload(payload)
    }

    func answer(_ flags: TCPFlags = .ack, to port: Port, ttl: UInt8 = 64, payload: String = "text") -> Packet {
        edge.arriving(from: edge.remote, 8080, to: edge.node, port, flags, ttl: ttl).payload(payload)
    }

    /// Lets a frame come in at both nodes, and expects that the same comes of it. Returns what became of it at the one
    /// that forwards: it was redirected, or is the stack's.
    @discardableResult
    func send(_ frame: [UInt8], gsoSize: UInt32 = 0) throws -> Fate {
        let fate = try edge.datapath.run(frame, on: .fromNetwork, gsoSize: gsoSize)
        let usualFate = try usual.datapath.run(frame, on: .fromNetwork, gsoSize: gsoSize)
        guard fate == .delivered else {
            #expect(fate == usualFate && edge.datapath.output == usual.datapath.output, "\(frame)")
            if fate == .passed { try leave(frame) }
            return fate
        }
        guard usualFate == .passed else {
            #expect(usualFate == .delivered && edge.datapath.output == usual.datapath.output, "refused: \(frame)")
            return fate
        }
        let hops = frame[usual.family == .v4 ? 22 : 21]
        let routed = usual.datapath.output.withHopCount(hops &- 1)
        #expect(try usual.datapath.run(routed, on: .toNetwork) == .passed)
        #expect(edge.datapath.output == usual.datapath.output, "\(frame)")
        return fate
    }

    /// The stack forwards what the hook has let pass.
    private func leave(_ frame: [UInt8]) throws {
        let fates = try [edge, usual].map { try $0.datapath.run($0.datapath.output, on: .toNetwork) }
        #expect(fates[0] == fates[1] && edge.datapath.output == usual.datapath.output, "\(frame)")
    }

    /// The connection of `Edge.clientPort`, at both nodes.
    func connections() throws -> [apus_connection?] {
        try [edge, usual].map {
            let packet = $0.leaving(from: $0.remote, 8080, to: $0.client, Edge.clientPort)
            return try $0.datapath.connection(of: packet)?.entry
        }
    }

    /// Changes the connection's entry at both nodes.
    func set(_ change: (inout apus_connection) -> Void) throws {
        let packet = edge.leaving(from: edge.remote, 8080, to: edge.client, Edge.clientPort)
        let key = apus_connection_key(try #require(PacketView(packet.bytes)?.connectionTuple))
        for (edge, entry) in zip([edge, usual], try connections()) {
            var entry = try #require(entry)
            change(&entry)
            try edge.datapath.maps.connections.update(key, entry)
        }
    }
}
