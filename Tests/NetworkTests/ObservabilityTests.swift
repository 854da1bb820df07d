import Addressing
import AgentAPI
import TestSupport
import Testing

extension AgentLifeTests {
    /// What the agent tells over HTTP, asked from its node.
    @Suite(.serialized) struct HTTPObservability {
        @Test func metricsTellWhatTheDataPathDoes() async throws {
            try await withShop { shop in
                #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80).isAnswered)
                #expect(
                    try await shop.lab.pod("intruder").ask(Shop.webAddresses[0], 80, within: .milliseconds(400))
                        == .timedOut)
                try await eventually("the drops to be counted") {
                    try await shop.agent.metric("apus_drop_packets_total", ["reason": "policy_isolated"]) ?? 0 > 0
                }
                for name in ["apus_in_force", "apus_endpoints_attached", "apus_ring_records_total"] {
                    #expect(try await shop.agent.metric(name) ?? 0 > 0, "\(name)")
                }
                #expect(try await shop.agent.metric("apus_endpoints") == 6)
                #expect(try await shop.agent.metric("apus_map_entries", ["map": "endpoints"]) == 6)
                #expect(try await shop.agent.metric("apus_map_capacity", ["map": "endpoints"]) == 64)
                #expect(try await shop.agent.metric("kubeproxy_sync_proxy_rules_duration_seconds_count") ?? 0 > 0)
                let denied = ["source_pod": "intruder", "verdict": "dropped", "verdict_reason": "policy_isolated"]
                try await eventually("the flows to be counted") {
                    try await shop.agent.metric("pod_flow_ingress_flows_count", denied) ?? 0 > 0
                }
                let opened = ["source_pod": "client", "verdict": "forwarded", "port": "8080", "is_reply": "false"]
                #expect(try await shop.agent.metric("pod_flow_egress_flows_count", opened) == 1)
                #expect(try await shop.agent.metric("pod_flow_ingress_flows_count", opened) == 1)
                #expect(try await shop.agent.metric("hubble_tcp_flags_total", ["flag": "SYN"]) ?? 0 >= 1)
                let remarks = try await promtoolRemarks(on: shop.agent.metrics())
                #expect(MetricContract.remarked(remarks) == MetricContract.remarkable)
            }
        }

        @Test func healthIsTheAgentsAndTheProxysIsAlsoTheNodes() async throws {
            let options = ["--proxy-health-address", "127.0.0.1:10256", "--metrics-address", ""]
            try await withShop(options: options) { shop in
                let agent = shop.agent
                #expect(try await agent.http("127.0.0.1:9879/healthz") == (200, "ok\n"))
                #expect(try await agent.http("127.0.0.1:9879/readyz") == (200, "ok\n"))
                let (status, body) = try await agent.http("127.0.0.1:10256/healthz")
                #expect(status == 200 && body.contains("\"nodeEligible\": true"), "\(body)")
                await #expect(throws: LabError.self) { try await agent.http("127.0.0.1:9990/metrics") }
                try agent.manifests.edit(
                    "node.yaml", "spec:",
                    to: "spec:\n  taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]")
                try await eventually("the proxy to be unhealthy") {
                    try await agent.http("127.0.0.1:10256/healthz").status == 503
                }
                #expect(try await agent.http("127.0.0.1:10256/livez").status == 200)
                #expect(try await agent.http("127.0.0.1:9879/healthz").status == 200)
            }
        }

        /// As on a node where kube-proxy is still there.
        @Test func theProxysAddressIsWaitedFor() async throws {
            try await withLab(.oneNode(pods: [])) { lab in
                let other = try lab.node("node-a").traffic(["tcp-echo", "--port", "10256"])
                try await eventually("the port to be taken") {
                    if case .answered = try await lab.node("node-a").ask(ip("127.0.0.1"), 10256) { true } else { false }
                }
                let agent = try await AgentProcess.started(
                    lab, manifests: try ManifestDirectory(lab, [:]),
                    options: ["--proxy-health-address", "127.0.0.1:10256"])
                try await eventually("a warning") { agent.logged.contains("An address is taken, and waited for") }
                #expect(try await agent.http("127.0.0.1:9879/healthz").status == 200)
                _ = await other.stop()
                try await eventually("the address") { try await agent.http("127.0.0.1:10256/healthz").status == 200 }
            }
        }

        @Test func anAddressThatIsTakenKeepsASecondAgentOutAndTheFirstGoesOn() async throws {
            try await withShop { shop in
                let other = "\(shop.lab.bpffs)/other"
                let second = try await shop.agent.runSecond(options: ["--bpffs", other, "--hubble-socket", ""])
                #expect(!second.succeeded)
                #expect(
                    second.errors.contains("can't listen on :9990: ") && second.errors.contains("--metrics-address"),
                    "\(second.errors)")
                #expect(try await shop.agent.http("127.0.0.1:9990/metrics").status == 200)
            }
        }
    }
}

extension AgentProcess {
    /// Asks over HTTP in the node's namespace.
    func http(_ place: String) async throws -> (status: Int, body: String) {
        let command = ["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", "http://\(place)"]
        let result = try await node.run(command, covered: false)
        guard result.succeeded, let end = result.output.lastIndex(of: "\n"),
            let status = Int(result.output[result.output.index(after: end)...])
        else { throw LabError("ask \(place)", result.errors) }
        return (status, String(result.output[..<end]))
    }

    /// All metrics, as text.
    func metrics() async throws -> String {
        let (status, body) = try await http("127.0.0.1:9990/metrics")
        guard status == 200 else { throw LabError("scrape", "status \(status): \(body)") }
        return body
    }

    /// The sum of a metric's samples that have these labels; nil when there is none.
    func metric(_ name: String, _ labels: [String: String] = [:]) async throws -> Double? {
        let samples = try await metrics().split(separator: "\n").filter { line in
            (line.hasPrefix("\(name){") || line.hasPrefix("\(name) "))
                && labels.allSatisfy { line.contains("\($0.key)=\"\($0.value)\"") }
        }
        let values = samples.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
        return values.isEmpty ? nil : values.reduce(0, +)
    }
}
