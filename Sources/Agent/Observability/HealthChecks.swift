internal import Addressing
internal import HTTPEndpoint
internal import LoadBalancing
internal import Logging
internal import ServiceLifecycle
internal import Synchronization

/// The ports where load balancers ask for endpoints of this node, at which of its addresses, and what they are told.
final class HealthChecks: Sendable {
    /// How many of the ports are listened at, and how many can't be.
    struct Counts: Sendable, Hashable {
        var listening = 0
        var failed = 0
    }

    private struct State {
        var wanted: [Port: HealthCheck] = [:]
        var hosts: Set<IPAddress>?
        /// Each host with each port.
        var addresses: Set<ListenAddress> = []
        var served: Set<ListenAddress> = []
        var problems: [ListenAddress: String] = [:]
    }

    private let state = Mutex(State())

    /// Takes in what is wanted. Where two Services want one port, the first by its name has it.
    ///
    /// - Parameter hosts: the addresses of the node where the ports are; nil: all of them.
    func note(_ checks: some Sequence<HealthCheck>, at hosts: Set<IPAddress>? = nil) {
        let wanted = Dictionary(checks.map { ($0.port, $0) }) { $0.service < $1.service ? $0 : $1 }
        state.withLock { state in
            guard state.wanted != wanted || state.hosts != hosts else { return }
            (state.wanted, state.hosts) = (wanted, hosts)
            let addresses = Set(wanted.keys.flatMap { Self.addresses($0, hosts) })
            state.addresses = addresses
            state.problems = state.problems.filter { addresses.contains($0.key) }
        }
    }

    private static func addresses(_ port: Port, _ hosts: Set<IPAddress>?) -> [ListenAddress] {
        let texts = hosts.map { hosts in hosts.map { "\(SocketAddress($0, port))" } } ?? [":\(port)"]
        return texts.compactMap { ListenAddress($0) }
    }

    /// Where nobody listens yet; the caller does so from here on.
    func takeUnserved() -> [ListenAddress] {
        state.withLock { state in
            let unserved = state.addresses.subtracting(state.served)
            state.served.formUnion(unserved)
            return unserved.sorted { $0.description < $1.description }
        }
    }

    /// Nobody listens there any more.
    func release(_ address: ListenAddress) { state.withLock { _ = $0.served.remove(address) } }

    func isWanted(_ address: ListenAddress) -> Bool { state.withLock { $0.addresses.contains(address) } }

    func check(at port: Port) -> HealthCheck? { state.withLock { $0.wanted[port] } }

    /// Notes why nobody can listen somewhere, nil when somebody does; true when that is news.
    func note(_ problem: String?, at address: ListenAddress) -> Bool {
        state.withLock { state in
            guard state.addresses.contains(address) else { return false }
            defer { state.problems[address] = problem }
            return state.problems[address] != problem
        }
    }

    /// A port counts as failed where one of its addresses can't be listened at.
    var counts: Counts {
        state.withLock { state in
            let failed = Set(state.problems.keys.map(\.port))
            return Counts(listening: Set(state.served.map(\.port)).subtracting(failed).count, failed: failed.count)
        }
    }
}

extension AgentHealth {
    /// What a load balancer is told at a port, as kube-proxy words it; any path will do.
    func answerCheck(at address: ListenAddress) -> HTTPAnswer {
        guard let check = checks.check(at: Port(address.port)) else { return .notFound }
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
    /// After how long an address is tried again that somebody else has, or that is not usable yet.
    private static let patience: Duration = .seconds(5)
    let health: AgentHealth
    let log: Logger

    func run() async throws {
        try await untilShutdown {
            await withDiscardingTaskGroup { group in
                while !Task.isCancelled {
                    for address in health.checks.takeUnserved() { group.addTask { await serve(address) } }
                    try? await Task.sleep(for: Self.interval)
                }
                group.cancelAll()
            }
        }
    }

    private func serve(_ address: ListenAddress) async {
        defer { health.checks.release(address) }
        do throws(HTTPEndpointError) {
            let endpoint = try await HTTPEndpoint(address, flag: nil)
            _ = health.checks.note(nil, at: address)
            await answer(at: endpoint)
        } catch {
            if health.checks.note(error.description, at: address) {
                let service = health.checks.check(at: Port(address.port)).map { "\($0.service)" } ?? ""
                log.error(
                    "A load balancer is not answered (healthCheckNodePort)",
                    metadata: ["service": "\(service)", "problem": "\(error)"])
            }
            try? await Task.sleep(for: Self.patience)
        }
    }

    /// Answers until the address and its port are not wanted any more.
    private func answer(at endpoint: HTTPEndpoint) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await endpoint.serve { _ in health.answerCheck(at: endpoint.address) } }
            group.addTask {
                while !Task.isCancelled, health.checks.isWanted(endpoint.address) {
                    try? await Task.sleep(for: Self.interval)
                }
            }
            await group.next()
            group.cancelAll()
        }
    }
}
