import TestSupport
import Testing

extension TrafficTests {
    /// Hints of EndpointSlices, as the control plane writes them for a Service's traffic distribution.
    @Suite(.serialized) struct Topology {
        private static func node(zone: String) -> String {
            """
            apiVersion: v1
            kind: Node
            metadata: {name: node-a, labels: {topology.kubernetes.io/zone: \(zone)}}

            """
        }

        /// The Service with a hint for each pod, `forZones` or `forNodes`.
        private static func service(_ lab: Lab, _ kind: String, _ hints: [String: String]) -> String {
            hints.reduce(Echo.service(lab, Echo.pods)) { text, hint in
                lab.pod(hint.key).addresses.reduce(text) { text, address in
                    text.replacing(
                        "{addresses: [\"\(address)\"],",
                        with: "{addresses: [\"\(address)\"], hints: {\(kind): [{name: \(hint.value)}]},")
                }
            }
        }

        @Test(.shows(.zoneHints, .nodeHints, .nodeHintsFallBack))
        func clientsAreLedToTheEndpointsMeantForTheirZoneOrNode() async throws {
            try await withEcho(more: ["node.yaml": Self.node(zone: "north")]) { echo in
                let zones = ["web-1": "north", "web-2": "south", "web-3": "south"]
                try echo.agent.manifests.write("echo.yaml", Self.service(echo.lab, "forZones", zones))
                try await expect(echo, ["web-1"], .zoneHints)
                try await expectTrace(echo)
                try echo.agent.manifests.write("node.yaml", Self.node(zone: "south"))
                try await expect(echo, ["web-2", "web-3"])
                try echo.agent.manifests.write("node.yaml", Self.node(zone: "east"))
                try await expect(echo, Echo.pods)
                let nodes = ["web-1": "node-b", "web-2": "node-b", "web-3": "node-a"]
                try echo.agent.manifests.write("echo.yaml", Self.service(echo.lab, "forNodes", nodes))
                try await expect(echo, ["web-3"], .nodeHints)
                try await expectFallBack(echo)
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        /// Where no endpoint is on the node its zone's serve, and where none is in the zone all do.
        private func expectFallBack(_ echo: Echo) async throws {
            try echo.agent.manifests.write("node.yaml", Self.node(zone: "north"))
            let places = ["web-1": ("node-c", "south"), "web-2": ("node-b", "north"), "web-3": ("node-a", "north")]
            let states = [
                (["web-1", "web-2", "web-3"], "web-3"), (["web-1", "web-2"], "web-2"), (["web-1"], "web-1"),
                (["web-1", "web-3"], "web-3"),
            ]
            for (pods, serving) in states {
                let text = pods.reduce(Echo.service(echo.lab, pods)) { text, pod in
                    let (node, zone) = places[pod] ?? ("", "")
                    return echo.lab.pod(pod).addresses.reduce(text) { text, address in
                        let hints = "hints: {forNodes: [{name: \(node)}], forZones: [{name: \(zone)}]}"
                        return text.replacing(
                            "{addresses: [\"\(address)\"],", with: "{addresses: [\"\(address)\"], \(hints),")
                    }
                }
                try echo.agent.manifests.write("echo.yaml", text)
                try await expect(echo, [serving], .nodeHintsFallBack)
            }
        }

        /// What `apus` tells of it.
        private func expectTrace(_ echo: Echo) async throws {
            let vip = "\(Echo.addresses[0]):\(Echo.tcpPort)"
            let trace = try await echo.agent.apus("service", "trace", "--from", "default/client", "--to", vip)
            #expect(trace.succeeded, "\(trace.errors)")
            let lines = trace.output.split(separator: "\n")
            let served = lines.filter { $0.hasSuffix("yes") }
            #expect(
                served.count == 1 && served.allSatisfy { $0.contains("\(echo.lab.pod("web-1").addresses[0]):8080") })
            #expect(lines.filter { $0.hasSuffix("no: its hints name other zones") }.count == 2, "\(trace.output)")
            let backends = try await echo.agent.apus("backend", "list").output
            #expect(backends.contains("default/web-1  default/echo:tcp-80\n"), "\(backends)")
            #expect(!backends.contains("default/web-2"), "\(backends)")
            let service = try await echo.agent.apus("service", "get", "default/echo").output
            #expect(service.contains("default/echo:udp-53") && service.contains("default/web-1"), "\(service)")
        }

        private func expect(_ echo: Echo, _ backends: [String], _ row: ServiceRow? = nil) async throws {
            for path in EchoPath.all where !path.unconnected {
                let what = "\(path) to reach \(backends)"
                try await eventually(what) { try await echo.leads(path, to: backends) }
                row?.seen(path)
            }
        }
    }
}
