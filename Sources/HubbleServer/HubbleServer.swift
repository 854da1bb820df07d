internal import Addressing
public import Flows
internal import GRPCNIOTransportHTTP2Posix
public import HTTPEndpoint
internal import HubbleFlows

/// Serves flows to Hubble's clients over gRPC: `observer.Observer`, `peer.Peer` and `grpc.health.v1.Health`.
///
/// A client reads from the store at its own pace: one that is slow, or stuck, delays nobody and holds no queue, and what
/// was overwritten before it came is told to it as lost.
public struct HubbleServer: Sendable {
    /// Where and how flows are served.
    public struct Configuration: Sendable, Hashable {
        /// A Unix socket, mode 0660; nil: none.
        public var socket: String?
        /// A TCP address; nil: none.
        public var address: ListenAddress?
        /// How the TCP address is secured; nil: not at all.
        public var tls: Security?

        public init(socket: String? = nil, address: ListenAddress? = nil, tls: Security? = nil) {
            self.socket = socket
            self.address = address
            self.tls = tls
        }
    }

    /// Files in PEM format.
    public struct Security: Sendable, Hashable {
        public var certificate: String
        public var key: String
        /// Who signs certificates of clients; nil: clients need none.
        public var clientAuthority: String?
        /// How often the files are read again.
        public var refreshInterval: Duration

        public init(
            certificate: String, key: String, clientAuthority: String? = nil, refreshInterval: Duration = .seconds(30)
        ) {
            self.certificate = certificate
            self.key = key
            self.clientAuthority = clientAuthority
            self.refreshInterval = refreshInterval
        }
    }

    /// The port of the TCP address, also where the address left it to the kernel; 0 without one.
    public let port: Int
    private let running: [PlaceServer]
    private let file: SocketName?
    /// What goes on beside the servers.
    private let readings: [@Sendable () async throws -> Void]

    /// Listens; what connects waits until ``run(_:)``.
    ///
    /// - Parameters:
    ///   - node: the name of this node.
    ///   - version: that of the agent.
    ///   - rules: what the rules of policies ask for.
    ///   - started: when that began to take in flows, in nanoseconds since 1970; nil: now.
    ///   - complain: is told why files that were replaced can't be used.
    public init(
        _ configuration: Configuration, node: String, version: String, hub: FlowHub, peers: HubblePeers,
        rules: HubbleRules = HubbleRules(), counters: HubbleCounters, started: UInt64? = nil,
        complain: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(HubbleServerError) {
        let started = started ?? HubbleNodeDescription.now()
        let services = ServedServices(
            node: node, version: version, started: started, hub: hub, peers: peers, counters: counters,
            encoder: FlowEncoder(node: node, version: version, epoch: started, match: rules.match))
        var running: [PlaceServer] = []
        var (port, readings) = (0, [] as [@Sendable () async throws -> Void])
        if let address = configuration.address {
            let server = try SecuredServer(at: address, configuration.tls, services, complain: complain)
            port = server.port
            running.append(server.server)
            readings = server.readings
        }
        var file: SocketName?
        if let path = configuration.socket {
            let socket = try ListeningSocket(.path(path))
            file = socket.file
            let description = services.description("unix://\(path)")
            let server = services.server(try socket.duplicate(), .plaintext, description)
            running.append(PlaceServer(description.place, server, on: socket))
        }
        self.port = port
        self.file = file
        self.readings = readings
        self.running = running
    }

    /// Serves until the task is cancelled.
    ///
    /// Then it first stops listening, and a moment later ends what clients still read: a connection that had just been
    /// accepted must be taken before its server goes.
    /// - Parameter announce: is told of each place that is listened on.
    public func run(_ announce: @escaping @Sendable (String) -> Void) async throws {
        defer { file?.remove() }
        let (running, readings) = (running, readings)
        let serving = Task {
            try await withThrowingTaskGroup { group in
                let reading = readings.map { read in Task { try await read() } }
                defer { for one in reading { one.cancel() } }
                for one in running {
                    group.addTask {
                        announce(one.place)
                        try await one.serve()
                    }
                }
                try await group.waitForAll()
            }
        }
        try await withTaskCancellationHandler {
            try await serving.value
        } onCancel: {
            for one in running { one.stop() }
            Task {
                try await Task.sleep(for: .milliseconds(500))
                serving.cancel()
            }
        }
    }
}
