internal import Addressing
public import Flows
internal import GRPCCore
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
        /// Who signs certificates of clients; nil: clients need none. Read at the start only.
        public var clientAuthority: String?
        /// How often the certificate and its key are read again.
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
    private let running: [Running]
    private let file: SocketName?
    private let certificate: ServerCertificate?

    /// A server to run, on a socket that listens already.
    private struct Running: Sendable {
        let place: String
        let server: GRPCServer<HTTP2ServerTransport.Posix>
    }

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
        rules: HubbleRules = HubbleRules(), counters: HubbleCounters, started: UInt64? = nil, complain: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(HubbleServerError) {
        let started = started ?? HubbleNodeDescription.now()
        let services = Services(
            node: node, version: version, started: started, hub: hub, peers: peers, counters: counters,
            encoder: FlowEncoder(node: node, version: version, epoch: started, match: rules.match))
        var running: [Running] = []
        var (port, certificate) = (0, nil as ServerCertificate?)
        if let address = configuration.address {
            certificate = try configuration.tls.map { files throws(HubbleServerError) in
                try Self.check(files)
                return try ServerCertificate(files, counters: counters, complain: complain)
            }
            let authority = configuration.tls?.clientAuthority
            let security = try certificate?.security(clientAuthority: authority) ?? .plaintext
            let socket = try ListeningSocket(.address(address))
            port = socket.port
            running.append(
                services.server(socket.release(), at: address, port: port, security, usesTLS: certificate != nil))
        }
        var file: SocketName?
        if let path = configuration.socket {
            let socket = try ListeningSocket(.path(path))
            file = socket.file
            running.append(services.server(socket.release(), at: path))
        }
        self.port = port
        self.file = file
        self.certificate = certificate
        self.running = running
    }

    /// What each socket is served with.
    private struct Services {
        let node: String
        let version: String
        let started: UInt64
        let hub: FlowHub
        let peers: HubblePeers
        let counters: HubbleCounters
        let encoder: FlowEncoder

        func server(
            _ descriptor: Int, at address: ListenAddress, port: Int,
            _ security: HTTP2ServerTransport.Posix.TransportSecurity, usesTLS: Bool
        ) -> Running {
            let host = address.host.map { $0.contains(":") ? "[\($0)]" : $0 } ?? ""
            var description = description("\(host):\(port)")
            description.isEverywhere = address.isEverywhere
            description.port = Port(port)
            description.usesTLS = usesTLS
            return server(descriptor, security, description)
        }

        func server(_ descriptor: Int, at path: String) -> Running {
            server(descriptor, .plaintext, description("unix://\(path)"))
        }

        private func description(_ place: String) -> HubbleNodeDescription {
            HubbleNodeDescription(
                name: node, version: "Apus \(version)", place: place, isEverywhere: false, port: nil, usesTLS: false,
                started: started)
        }

        private func server(
            _ descriptor: Int, _ security: HTTP2ServerTransport.Posix.TransportSecurity,
            _ description: HubbleNodeDescription
        ) -> Running {
            let server = GRPCServer(
                transport: HTTP2ServerTransport.Posix(
                    listeningSocketDescriptor: descriptor, transportSecurity: security, config: HubbleServer.limits),
                services: [
                    ObserverService(
                        hub: hub, encoder: encoder, node: description, peers: peers, counters: counters),
                    PeerService(node: description, peers: peers), HealthService(),
                ])
            return Running(place: description.place, server: server)
        }
    }

    /// Serves until the task is cancelled.
    ///
    /// Then it first stops listening, and a moment later ends what clients still read: a connection that had just been
    /// accepted must be taken before its server goes.
    /// - Parameter announce: is told of each place that is listened on.
    public func run(_ announce: @escaping @Sendable (String) -> Void) async throws {
        defer { file?.remove() }
        let (running, certificate) = (running, certificate)
        let serving = Task {
            try await withThrowingTaskGroup { group in
                let reading = certificate.map { certificate in Task { try await certificate.run() } }
                defer { reading?.cancel() }
                for one in running {
                    group.addTask {
                        announce(one.place)
                        try await one.server.serve()
                    }
                }
                try await group.waitForAll()
            }
        }
        try await withTaskCancellationHandler {
            try await serving.value
        } onCancel: {
            for one in running {
                Task {
                    // One that has yet to register its socket would find it closed, which NIO takes for a mistake.
                    _ = try? await one.server.listeningAddress
                    one.server.beginGracefulShutdown()
                }
            }
            Task {
                try await Task.sleep(for: .milliseconds(500))
                serving.cancel()
            }
        }
    }

    /// A silent connection is asked whether it lives: a client that is gone must not keep a stream. Requests are small.
    private static var limits: HTTP2ServerTransport.Posix.Config {
        .defaults { config in
            config.rpc.maxRequestPayloadSize = 1 << 16
            config.connection.keepalive.time = .seconds(60)
            config.connection.keepalive.timeout = .seconds(20)
            config.connection.keepalive.clientBehavior.allowWithoutCalls = true
        }
    }
}
