internal import HTTPEndpoint
internal import Logging
internal import ServiceLifecycle
internal import WebPage

/// The HTTP endpoints that listen: all of them before the data path is touched, so that a port that is taken keeps an
/// agent from starting instead of stopping one half-way.
struct HTTPEndpoints: Sendable {
    /// What an endpoint is for; the raw value is the flag that names its address.
    private enum Purpose: String {
        case metrics = "metrics-address"
        case health = "health-address"
        case web = "web-address"
    }

    private var endpoints: [(purpose: Purpose, endpoint: HTTPEndpoint)] = []
    /// Where kube-proxy may still be: it is waited for.
    private let proxyHealth: ListenAddress?

    /// Listens at each address that is given, but for that of kube-proxy.
    init(_ addresses: AgentConfiguration.Addresses) async throws(HTTPEndpointError) {
        proxyHealth = addresses.proxyHealth
        let wanted: [(Purpose, ListenAddress?)] = [
            (.metrics, addresses.metrics), (.health, addresses.health), (.web, addresses.web),
        ]
        for case (let purpose, let address?) in wanted {
            do throws(HTTPEndpointError) {
                endpoints.append((purpose, try await HTTPEndpoint(address, flag: purpose.rawValue)))
            } catch {
                await discard()
                throw error
            }
        }
    }

    /// Stops listening without having served.
    func discard() async {
        for (_, endpoint) in endpoints { await endpoint.discard() }
    }

    /// Services that answer.
    func services(
        metrics: MetricsSource, health: AgentHealth, page: WebPage, log: Logger
    ) -> [any ServiceLifecycle.Service] {
        let listening: [any ServiceLifecycle.Service] = endpoints.map { purpose, endpoint in
            switch purpose {
            case .metrics: HTTPService(endpoint: endpoint, log: log) { await metrics.answer($0) }
            case .health: HTTPService(endpoint: endpoint, log: log) { health.answer($0) }
            case .web: HTTPService(endpoint: endpoint, log: log) { await page.answer($0) }
            }
        }
        let late = proxyHealth.map { address in
            LateHTTPService(address: address, flag: "proxy-health-address", log: log) { health.answerAsProxy($0) }
        }
        return listening + [late].compactMap { $0 } + [HealthCheckService(health: health, log: log)]
    }
}

/// Answers HTTP questions from when the address is free until the agent is told to stop.
struct LateHTTPService: ServiceLifecycle.Service {
    /// After how long an address is tried again that somebody else has.
    private static let patience: Duration = .seconds(5)

    let address: ListenAddress
    let flag: String
    let log: Logger
    let handler: HTTPEndpoint.Handler

    func run() async throws {
        try await untilShutdown {
            guard let endpoint = try await listen() else { return }
            log.info("Listening", metadata: ["address": "\(endpoint.address)"])
            try await endpoint.serve(handler)
        }
    }

    private func listen() async throws -> HTTPEndpoint? {
        var problem: String?
        while !Task.isCancelled {
            do throws(HTTPEndpointError) { return try await HTTPEndpoint(address, flag: flag) } catch {
                if error.description != problem {
                    log.warning("An address is taken, and waited for", metadata: ["problem": "\(error)"])
                }
                problem = error.description
            }
            try await Task.sleep(for: Self.patience)
        }
        return nil
    }
}

/// Answers HTTP questions until the agent is told to stop.
struct HTTPService: ServiceLifecycle.Service {
    let endpoint: HTTPEndpoint
    let log: Logger
    let handler: HTTPEndpoint.Handler

    func run() async throws {
        log.info("Listening", metadata: ["address": "\(endpoint.address)"])
        try await untilShutdown { try await endpoint.serve(handler) }
    }
}
