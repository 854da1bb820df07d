internal import Addressing
internal import HTTPEndpoint
internal import LoadBalancing
internal import Logging
internal import ServiceLifecycle
internal import Synchronization

/// The ports where load balancers ask for endpoints of this node, and what they are told there.
final class HealthChecks: Sendable {
    /// How many of the ports are listened at, and how many can't be.
    struct Counts: Sendable, Hashable {
        var listening = 0
        var failed = 0
    }

    private struct State {
        var wanted: [Port: HealthCheck] = [:]
        var served: Set<Port> = []
        var problems: [Port: String] = [:]
    }

    private let state = Mutex(State())

    /// Takes in what is wanted. Where two Services want one port, the first by its name has it.
    func note(_ checks: some Sequence<HealthCheck>) {
        let wanted = Dictionary(checks.map { ($0.port, $0) }) { $0.service < $1.service ? $0 : $1 }
        state.withLock { state in
            guard state.wanted != wanted else { return }
            state.wanted = wanted
            state.problems = state.problems.filter { wanted[$0.key] != nil }
        }
    }

    /// The ports at which nobody listens yet; the caller does so from here on.
    func takeUnserved() -> [Port] {
        state.withLock { state in
            let ports = state.wanted.keys.filter { !state.served.contains($0) }
            state.served.formUnion(ports)
            return ports.sorted()
        }
    }

    /// Nobody listens at the port any more.
    func release(_ port: Port) { state.withLock { _ = $0.served.remove(port) } }

    func check(at port: Port) -> HealthCheck? { state.withLock { $0.wanted[port] } }

    /// Notes why nobody can listen at a port, nil when somebody does; true when that is news.
    func note(_ problem: String?, at port: Port) -> Bool {
        state.withLock { state in
            defer { state.problems[port] = problem }
            return state.problems[port] != problem
        }
    }

    var counts: Counts {
        state.withLock { state in
            Counts(listening: state.served.count - state.problems.count, failed: state.problems.count)
        }
    }
}

extension AgentHealth {
    /// What a load balancer is told at a port, as kube-proxy words it; any path will do.
    func answerCheck(at port: Port) -> HTTPAnswer {
        guard let check = checks.check(at: port) else { return .notFound }
        return .check(check, proxyIsHealthy: servicesAreHealthy)
    }
}

extension HTTPAnswer {
    static func check(_ check: HealthCheck, proxyIsHealthy: Bool) -> HTTPAnswer {
        let lines = [
            "{", "\t\"service\": {", "\t\t\"namespace\": \"\(check.service.namespace)\",",
            "\t\t\"name\": \"\(check.service.name)\"", "\t},", "\t\"localEndpoints\": \(check.localEndpoints),",
            "\t\"serviceProxyHealthy\": \(proxyIsHealthy)", "}",
        ]
        return HTTPAnswer(
            check.localEndpoints > 0 && proxyIsHealthy ? 200 : 503, contentType: "application/json",
            headers: ["X-Load-Balancing-Endpoint-Weight": "\(check.localEndpoints)"], lines.joined(separator: "\n"))
    }
}

/// Answers load balancers that look for nodes with endpoints, at the ports that their Services name.
struct HealthCheckService: ServiceLifecycle.Service {
    private static let interval: Duration = .milliseconds(100)
    /// After how long a port is tried again that somebody else has.
    private static let patience: Duration = .seconds(5)
    let health: AgentHealth
    let log: Logger

    func run() async throws {
        try await untilShutdown {
            await withDiscardingTaskGroup { group in
                while !Task.isCancelled {
                    for port in health.checks.takeUnserved() { group.addTask { await serve(port) } }
                    try? await Task.sleep(for: Self.interval)
                }
                group.cancelAll()
            }
        }
    }

    private func serve(_ port: Port) async {
        defer { health.checks.release(port) }
        guard let address = ListenAddress(":\(port)") else { return }
        do throws(HTTPEndpointError) {
            let endpoint = try await HTTPEndpoint(address, flag: nil)
            _ = health.checks.note(nil, at: port)
            await answer(at: endpoint, port)
        } catch {
            if health.checks.note(error.description, at: port) {
                let service = health.checks.check(at: port).map { "\($0.service)" } ?? ""
                log.error(
                    "A load balancer is not answered (healthCheckNodePort)",
                    metadata: ["service": "\(service)", "problem": "\(error)"])
            }
            try? await Task.sleep(for: Self.patience)
        }
    }

    /// Answers until the port is not wanted any more.
    private func answer(at endpoint: HTTPEndpoint, _ port: Port) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await endpoint.serve { _ in health.answerCheck(at: port) } }
            group.addTask {
                while !Task.isCancelled, health.checks.check(at: port) != nil {
                    try? await Task.sleep(for: Self.interval)
                }
            }
            await group.next()
            group.cancelAll()
        }
    }
}
