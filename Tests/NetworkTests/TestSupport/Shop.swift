import Addressing
import TestSupport

/// A lab with the addresses of `examples/shop`, its servers and the agent.
struct Shop {
    let lab: Lab
    let agent: AgentProcess

    static let webAddresses = [ip("10.96.0.10"), ip("fd00:10:96::10")]
    static let webPods = ["web-1", "web-2", "web-3"]

    static var plan: LabPlan {
        let hosts = [("web-1", 11), ("web-2", 12), ("web-3", 13), ("db-1", 21), ("client", 31), ("intruder", 32)]
        var node = NodePlan("node-a", number: 1)
        node.pods = hosts.map { name, number in
            PodPlan(name, addresses: [ip("10.244.1.\(number)"), ip("fd00:10:244:1::\(number)")])
        }
        return LabPlan(nodes: [node], outside: [HostPlan("outside", number: 1, moreAddresses: internet)])
    }

    /// Addresses of the outside host behind the fabric's router.
    static let internet = [ip("198.51.100.1"), ip("2001:db8:51::1")]

    /// Starts the servers of the shop.
    func openShop() async throws {
        for name in Self.webPods { try await lab.pod(name).serve(port: 8080) }
        try await lab.pod("db-1").serve(port: 5432)
    }
}

/// Lends a shop with servers and a ready agent.
func withShop<Result>(
    options: [String] = [], isolation: isolated (any Actor)? = #isolation, _ body: (Shop) async throws -> Result
) async throws -> Result {
    try await withLab(Shop.plan) { lab in
        let agent = try await AgentProcess.started(lab, manifests: .shop(lab), options: options)
        let shop = Shop(lab: lab, agent: agent)
        try await shop.openShop()
        return try await body(shop)
    }
}

extension ChildProcess {
    /// The first words of its lines: what `apus-traffic hold` says about its connection.
    var states: [String] { lines.compactMap { $0.split(separator: " ").first.map(String.init) } }

    /// Waits until the last word is this one.
    func reaches(_ state: String, within bound: Duration = .patience) async throws {
        try await eventually("a held connection to be \(state)", within: bound) {
            guard states.last == state else { throw LabError("hold", "\(lines)") }
            return true
        }
    }
}

extension LabHost {
    /// Opens a connection that exchanges a byte every few milliseconds and says when it stalls.
    func hold(_ address: IPAddress, _ port: Port, covered: Bool = true) async throws -> ChildProcess {
        let held = try traffic(
            ["hold", "--interval-ms", "20", "--timeout-ms", "1500", "\(address)", "\(port)"], covered: covered)
        try await held.reaches("connected")
        return held
    }
}

extension AskOutcome {
    /// Whether somebody answered.
    var isAnswered: Bool {
        if case .answered = self { true } else { false }
    }
}
