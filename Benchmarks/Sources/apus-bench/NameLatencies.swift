import TestSupport

/// What a policy with names costs a client that resolves a name and connects to it.
struct NameLatencies {
    let settings: Settings

    /// The patterns of the client's policy.
    private static let patterns = 100
    /// Turns of each client in a round.
    private static let turns = 3

    static let policy = "a policy with \(patterns) patterns"
    static let noPolicy = "no policy"
    static func title(_ percent: Int, _ client: String) -> String { "resolve and connect, p\(percent), \(client)" }

    /// Makes networks of their own, and takes them away again.
    func figures() async throws -> [Report.Figure] {
        let network = try await NameNetwork(hasAgent: true)
        var labs = [network.lab]
        do {
            let kernel = try await NameNetwork(hasAgent: false)
            labs.append(kernel.lab)
            let figures = try await figures(network, kernel)
            for lab in labs { await lab.tearDown() }
            return figures
        } catch {
            for lab in labs { await lab.tearDown() }
            throw error
        }
    }

    /// Turn by turn, another one first each time; a figure is the median of the turns.
    private func figures(_ network: NameNetwork, _ kernel: NameNetwork) async throws -> [Report.Figure] {
        try await network.program(names: Self.patterns)
        let clients = [
            (Self.policy, network, "client"), (Self.noPolicy, network, "free"), ("kernel", kernel, "client"),
        ]
        var found: [String: [Double]] = [:]
        for turn in 0..<Self.turns {
            for place in clients.indices {
                let (title, network, pod) = clients[(turn + place) % clients.count]
                let latency = try await network.resolve(from: pod, count: settings.lookups)
                found[Self.title(50, title), default: []].append(latency.median)
                found[Self.title(99, title), default: []].append(latency.slowest)
            }
        }
        return [50, 99].flatMap { percent in
            clients.compactMap { title, _, _ in
                let name = Self.title(percent, title)
                return Summary(found[name] ?? []).map { .init(name, $0.median, "µs") }
            }
        }
    }
}
