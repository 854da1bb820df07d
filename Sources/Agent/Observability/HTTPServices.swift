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
        case proxyHealth = "proxy-health-address"
        case web = "web-address"
    }

    private var endpoints: [(purpose: Purpose, endpoint: HTTPEndpoint)] = []

    /// Listens at each address that is given.
    init(_ addresses: AgentConfiguration.Addresses) async throws(HTTPEndpointError) {
        let wanted: [(Purpose, ListenAddress?)] = [
            (.metrics, addresses.metrics), (.health, addresses.health), (.proxyHealth, addresses.proxyHealth),
            (.web, addresses.web),
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
            case .proxyHealth: HTTPService(endpoint: endpoint, log: log) { health.answerAsProxy($0) }
            case .web: HTTPService(endpoint: endpoint, log: log) { await page.answer($0) }
            }
        }
        return listening + [HealthCheckService(health: health, log: log)]
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
