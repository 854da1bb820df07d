import Foundation
import JSONText
import TestSupport
import Testing

extension AgentLifeTests {
    /// What the dashboard and the alerts in `deploy/monitoring` ask for is what an agent tells.
    @Suite(.serialized) struct Monitoring {
        /// The names of metrics in a file.
        private static func names(in file: String) throws -> Set<String> {
            // From this file's place in the repository: …/Tests/NetworkTests/MonitoringTests.swift
            let root = (0..<3).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
            let text = try String(
                contentsOf: root.appendingPathComponent("deploy/monitoring/\(file)"), encoding: .utf8)
            let pattern = /\b(?:apus|hubble|policy|pod_flow|kubeproxy)_[a-z_]+/
            return Set(text.matches(of: pattern).map { String($0.output) })
        }

        /// A pod that no interface leads to: an object that is not in force.
        private static let lostPod = """
            apiVersion: v1
            kind: Pod
            metadata: {name: lost, namespace: shop, uid: lost}
            spec: {nodeName: node-a, containers: [{name: a, image: a}]}
            status: {phase: Running, podIP: 10.244.1.99, podIPs: [{ip: 10.244.1.99}]}

            """

        @Test func everyMetricThatIsAskedForIsTold() async throws {
            let names = try Self.names(in: "alerts.yaml").union(try Self.names(in: "dashboard.json"))
            #expect(names.count >= 15, "\(names)")
            try await withShop { shop in
                try await shop.agent.restart(options: ["--export-file", "\(shop.lab.directory)/flows.log"])
                #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80, within: .seconds(60)).isAnswered)
                _ = try await shop.lab.pod("intruder").ask(
                    shop.lab.pod("web-1").ipv4, 8080, within: .milliseconds(400))
                try shop.agent.manifests.write("lost.yaml", Self.lostPod)
                try await eventually("all metrics to be told", every: .milliseconds(200)) {
                    let lines = try await shop.agent.metrics().split(separator: "\n")
                    let told = Set(lines.map { $0.prefix { $0 != "{" && $0 != " " } }.map(String.init))
                    let missing = names.subtracting(told)
                    guard missing.isEmpty else { throw LabError("look for metrics", "\(missing.sorted())") }
                    return true
                }
            }
        }

        /// The queries of the dashboard's panels, for all nodes.
        private static func queries() throws -> [String] {
            let root = (0..<3).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }
            let data = try Data(contentsOf: root.appendingPathComponent("deploy/monitoring/dashboard.json"))
            let panels = try JSONText(data)["panels"]?.elements ?? []
            return panels.flatMap { $0["targets"]?.elements ?? [] }.compactMap { $0["expr"]?.string }.map {
                $0.replacing("$__rate_interval", with: "60s").replacing("$instance", with: ".*")
            }
        }

        /// Has the slices say that their endpoints changed just now, as their controller does.
        private func changeEndpoints(_ shop: Shop) throws {
            let slices = try ManifestDirectory.shopFiles()["endpointslices.yaml"] ?? ""
            let annotation = "endpoints.kubernetes.io/last-change-trigger-time: \"\(Date().formatted(.iso8601))\""
            let changed = slices.replacing(
                "    metadata:\n", with: "    metadata:\n      annotations: {\(annotation)}\n")
            try shop.agent.manifests.write("endpointslices.yaml", changed)
        }

        /// Prometheus itself scrapes an agent, and every panel has something to draw.
        @Test func aRealPrometheusHasDataForTheWholeDashboard() async throws {
            let queries = try Self.queries()
            #expect(queries.count >= 10)
            try await withShop { shop in
                let (node, directory) = (shop.agent.node, shop.lab.directory)
                try await shop.agent.restart(options: ["--export-file", "\(directory)/flows.log"])
                try shop.agent.manifests.write("lost.yaml", Self.lostPod)
                #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80, within: .seconds(60)).isAnswered)
                _ = try await shop.lab.pod("intruder").ask(
                    shop.lab.pod("web-1").ipv4, 8080, within: .milliseconds(400))
                let prometheus = try await LabPrometheus(on: node, in: directory)
                for query in queries {
                    try await eventually("data for \(query)", every: .milliseconds(500)) {
                        // A quantile is one of what came between two scrapes.
                        try changeEndpoints(shop)
                        guard try await prometheus.hasData(query) else { throw LabError("ask Prometheus", query) }
                        return true
                    }
                }
                await prometheus.stop()
            }
        }
    }
}
