import BenchSupport
import Foundation
import TestSupport

/// A network to resolve names in: dnsmasq in one pod, a web server in another, and two that ask, of which one can have
/// a policy with names.
struct NameNetwork {
    static let node = "node-a"
    private static let pods = ["client", "free", "dns", "web"]

    let lab: Lab
    /// None: the kernel routes, and that is all.
    let agent: ApusAgent?

    /// What a pod's run of `apus-traffic resolve` found.
    struct Latency: Decodable {
        var ok: Int
        var median: Double
        var slowest: Double

        enum CodingKeys: String, CodingKey {
            case ok
            case median = "p50_us"
            case slowest = "p99_us"
        }
    }

    init(hasAgent: Bool) async throws {
        let lab = try await Lab(LabPlan(nodes: [NodePlan(Self.node, number: 1, pods: Self.pods)]))
        do {
            let records = ["--address=/web.test/\(lab.pod("web").ipv4)", "--local=/test/"]
            let servers = [
                try await lab.pod("dns").serveNames(records),
                try await lab.pod("web").serve(port: NameManifests.port, options: ["--serial"]),
            ]
            agent = hasAgent ? try await Self.agent(in: lab) : nil
            try await Mode.pinned.confine(servers: servers, agent)
        } catch {
            await lab.tearDown()
            throw error
        }
        self.lab = lab
    }

    private static func agent(in lab: Lab) async throws -> ApusAgent {
        let node = lab.node(Self.node)
        let files = NameManifests.files(node: node.name, node.ipv4, pods: pods.map { ($0, lab.pod($0).ipv4) })
        return try await ApusAgent(
            "names", in: lab, node: node, manifests: files, options: ["--dns-server", "\(node.ipv4)"]
        ) {
            // Both programs of every pod.
            let links = try FileManager.default.contentsOfDirectory(atPath: lab.bpffs + "/apus/links")
            return links.count { $0.hasPrefix("pod-") } == pods.count * 2
        }
    }

    /// Lets the client have a policy with so many patterns, and waits until they are in force.
    func program(names count: Int) async throws {
        guard let agent else { return }
        let patterns = NamePatterns(count: count)
        try agent.write(NameManifests.policyFile, NameManifests.policy(patterns))
        try await eventually("\(count) names in force", within: .seconds(60)) {
            try NamesInForce.count(bpffs: agent.bpffs) == count
        }
        _ = try await resolve(from: "client", count: 1)
    }

    /// Resolves fresh names, one after the other, and connects to each at once.
    func resolve(from pod: String, count: Int) async throws -> Latency {
        let command = [
            try BuiltProducts.path(of: "apus-traffic"), "resolve", "--udp", "--id", "web.test", "--target-port",
            "\(NameManifests.port)", "--count", "\(count)", "--timeout-ms", "5000", "--cpu", "\(Mode.pinned.clientCPU)",
            "\(lab.pod("dns").ipv4)", "53",
        ]
        let result = try await lab.pod(pod).run(command, within: .seconds(120))
        guard result.succeeded, let latency = try? JSONDecoder().decode(Latency.self, from: Data(result.output.utf8)),
            latency.ok == count
        else { throw LabError("resolve names from \(pod)", "\(result.output) \(result.errors)") }
        return latency
    }
}
