import ArgumentParser
import BenchSupport
import Foundation
import TestSupport

/// What a large cluster costs the agent of one of its nodes, which has none of the pods.
struct ScaleFigures {
    let settings: Settings

    private static let (node, port) = ("node-a", 6443)

    static let memory = "large cluster: resident memory of apusd"
    static func latency(_ percent: Int) -> String {
        "large cluster: from a changed EndpointSlice to the maps, p\(percent)"
    }

    func all() async throws -> [Report.Figure] {
        let lab = try await Lab(LabPlan(nodes: [NodePlan(Self.node, number: 1, pods: ["client"])]))
        do {
            let figures = try await figures(lab)
            await lab.tearDown()
            return figures
        } catch {
            await lab.tearDown()
            throw error
        }
    }

    private func figures(_ lab: Lab) async throws -> [Report.Figure] {
        let node = lab.node(Self.node)
        let server = try await server(lab, node)
        let agent = try await agent(lab, node)
        try await Mode.pinned.confine(servers: [server], agent)
        let times = try await changes(node)
        // What the start and the changes left to do is done by now.
        try await Task.sleep(for: .seconds(settings.rest / 2))
        let before = try agent.cpuSeconds()
        try await Task.sleep(for: .seconds(settings.rest))
        let used = try agent.cpuSeconds() - before
        let cluster = settings.cluster
        let size = "\(cluster.services) Services × \(cluster.endpoints) endpoints, \(cluster.pods) pods"
        return [
            .init("large cluster: \(size), from the agent's start to the maps", agent.startup / .seconds(1), "s"),
            .init(Self.memory, try agent.residentMemory(), "MiB"),
            .init("large cluster: the most resident memory of apusd", try agent.mostResidentMemory(), "MiB"),
            .init("large cluster: CPU time of apusd at rest", used / settings.rest * 1000, "ms/s"),
            .init(Self.latency(50), Self.percentile(50, times), "ms"),
            .init(Self.latency(99), Self.percentile(99, times), "ms"),
        ]
    }

    private static func percentile(_ percent: Int, _ times: [Double]) -> Double {
        let sorted = times.sorted()
        return sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, sorted.count * percent / 100)]
    }

    private func server(_ lab: Lab, _ node: LabHost) async throws -> ChildProcess {
        let cluster = settings.cluster
        let server = try node.spawn([
            try BuiltProducts.path(of: "apus-bench"), "scale-server", "--bpffs", lab.bpffs + "/apus", "--node",
            node.name,
            "--port", "\(Self.port)", "--services", "\(cluster.services)", "--pods", "\(cluster.pods)", "--endpoints",
            "\(cluster.endpoints)",
        ])
        try await eventually("the API server to listen", within: .seconds(120)) {
            if let result = server.result { throw LabError("run the API server", "\(result)") }
            return server.lines.contains("listening")
        }
        return server
    }

    private func agent(_ lab: Lab, _ node: LabHost) async throws -> ApusAgent {
        let kubeconfig = lab.directory + "/kubeconfig"
        let text = """
            current-context: bench
            contexts: [{name: bench, context: {cluster: bench, user: agent}}]
            clusters: [{name: bench, cluster: {server: "http://127.0.0.1:\(Self.port)"}}]
            users: [{name: agent, user: {token: none}}]

            """
        try text.write(toFile: kubeconfig, atomically: true, encoding: .utf8)
        let (cluster, bpffs) = (settings.cluster, lab.bpffs + "/apus")
        let sample = stride(from: 0, to: cluster.services, by: max(1, cluster.services / 100))
        return try await ApusAgent(
            "a large cluster", in: lab, node: node, options: ["--kubeconfig", kubeconfig], within: .seconds(120)
        ) {
            guard let inForce = try? ServicesInForce(bpffs: bpffs) else { return false }
            return sample.allSatisfy { inForce.backends(of: ScaleCluster.frontend($0)) == cluster.endpoints }
        }
    }

    /// Has the server change slices, and gets the times in milliseconds.
    private func changes(_ node: LabHost) async throws -> [Double] {
        let url = "http://127.0.0.1:\(Self.port)/changes?count=\(settings.changes)"
        let result = try await node.run(["curl", "-sS", "--max-time", "120", url], within: .seconds(130))
        guard result.succeeded, let times = try? JSONDecoder().decode([Double].self, from: Data(result.output.utf8)),
            times.count == settings.changes
        else { throw LabError("change EndpointSlices", "\(result.output) \(result.errors)") }
        return times
    }
}

/// The large cluster alone.
struct ScaleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale", abstract: "Measures the agent of a node in a large cluster, and nothing else.")

    @Flag(help: "Take a small cluster: to see that everything works.") var quick = false

    func run() async throws {
        for figure in try await ScaleFigures(settings: quick ? .quick : .full).all() {
            print("\(figure.name): \(figure.value) \(figure.unit)")
        }
    }
}
