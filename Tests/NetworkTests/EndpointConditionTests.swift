import Addressing
import Datapath
import TestSupport
import Testing

extension TrafficTests {
    /// Which endpoints serve by what EndpointSlices say of them, and what becomes of connections to those that go.
    @Suite(.serialized) struct EndpointConditions {
        static let ready = "conditions: {ready: true}, nodeName: node-a"
        private static let notReady = "conditions: {ready: false, serving: false, terminating: false}, nodeName: node-a"
        static let terminating =
            "conditions: {ready: false, serving: true, terminating: true}, nodeName: node-a"
        static let gone = "conditions: {ready: false, serving: false, terminating: true}, nodeName: node-a"
        /// What the control plane says of a pod that is not ready and is going away, where it is to be published.
        private static let published = "conditions: {ready: true, serving: false, terminating: true}, nodeName: node-a"
        private static let elsewhere = "conditions: {ready: true}, nodeName: node-b"

        /// The Service with what its slices say of each pod.
        static func service(_ lab: Lab, _ pods: [String: String], policy: String = "") -> String {
            let text = Echo.service(lab, pods.keys.sorted()).replacing(
                "type: ClusterIP", with: "type: ClusterIP\n\(policy)")
            return pods.reduce(text) { text, pod in
                lab.pod(pod.key).addresses.reduce(text) { text, address in
                    text.replacing(
                        "{addresses: [\"\(address)\"], \(ready)}", with: "{addresses: [\"\(address)\"], \(pod.value)}")
                }
            }
        }

        @Test(.shows(.notReady, .publishNotReady, .terminatingFallback, .internalLocal, .trace))
        func conditionsAndPoliciesSayWhoServes() async throws {
            try await withEcho { echo in
                try await expect(echo, ["web-1": Self.notReady, "web-2": Self.ready], ["web-2"], .notReady)
                let mixed = ["web-1": Self.ready, "web-2": Self.terminating, "web-3": Self.notReady]
                try await expect(echo, mixed, ["web-1"])
                try await expectTrace(echo)
                let leaving = ["web-1": Self.terminating, "web-2": Self.gone, "web-3": Self.notReady]
                try await expect(echo, leaving, ["web-1"], .terminatingFallback)
                // The control plane makes them ready, whatever else it says of them.
                try await expect(
                    echo, ["web-1": Self.ready, "web-2": Self.published], ["web-1", "web-2"], .publishNotReady,
                    policy: "  publishNotReadyAddresses: true")
                let spread = ["web-1": Self.elsewhere, "web-2": Self.ready, "web-3": Self.elsewhere]
                let local = "  internalTrafficPolicy: Local"
                try await expect(echo, spread, ["web-2"], .internalLocal, policy: local)
                try await expect(echo, ["web-1": Self.elsewhere], [], policy: local)
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        @Test(.shows(.removedBackendStream, .terminatingKeeps))
        func connectionsOfBackendsThatGoLiveUntilTheyEndByThemselves() async throws {
            try await withEcho { echo in
                let paths = EchoPath.all.filter { $0.ipProtocol == .tcp }
                var servers: [String: ChildProcess] = [:]
                for pod in ["web-1", "web-2"] { servers[pod] = try await echo.lab.pod(pod).serve(port: 8090) }
                try await lead(echo, ["web-1": Self.ready], to: ["web-1"])
                let held = try paths.map { path in
                    try echo.client.traffic(
                        [
                            "load", "--hold", "--rate", "50", "--timeout-ms", "60000", "\(Echo.addresses[path.family])",
                            "\(Echo.tcpPort)",
                        ], covered: path.covered)
                }
                try await eventually("four open connections") { try Self.packets(echo, to: "web-1").count >= 4 }
                try await lead(
                    echo, ["web-1": Self.terminating, "web-2": Self.ready], to: ["web-2"])
                try await expectExchanges(echo)
                for path in paths { ServiceRow.terminatingKeeps.seen(path) }
                // No endpoint of the Service any more.
                try await lead(echo, ["web-2": Self.ready], to: ["web-2"])
                try await expectExchanges(echo)
                _ = await servers["web-1"]?.stop()
                try await eventually("connections to the other pod") { try Self.packets(echo, to: "web-2").count >= 4 }
                for (path, load) in zip(paths, held) {
                    let report = try LoadReport(parsing: await load.stop().output)
                    #expect(report.failed <= 1 && Set(report.ids.keys) == ["web-1", "web-2"], "\(path): \(report)")
                    ServiceRow.removedBackendStream.seen(path)
                }
            }
        }

        /// Writes the Service, here with a port of its own for the servers that end, and waits until it leads there.
        private func lead(_ echo: Echo, _ pods: [String: String], to backends: [String]) async throws {
            let text = Self.service(echo.lab, pods).replacing("port: 8080}", with: "port: 8090}")
            try echo.agent.manifests.write("echo.yaml", text)
            for path in EchoPath.all where path.ipProtocol == .tcp {
                try await eventually("\(path) to reach \(backends)") { try await echo.leads(path, to: backends) }
            }
        }

        /// Packets of each open connection to a pod.
        private static func packets(_ echo: Echo, to pod: String) throws -> [FlowTuple: UInt64] {
            let open = try DatapathReader(bpffs: echo.agent.bpffs).connections().filter {
                echo.lab.pod(pod).addresses.contains($0.tuple.destination.address) && $0.tuple.destination.port == 8090
                    && $0.state == .established
            }
            return Dictionary(open.map { ($0.tuple, $0.destination.sent.packets) }) { max($0, $1) }
        }

        /// Waits until all four connections to the pod that goes have got ten answers more.
        private func expectExchanges(_ echo: Echo) async throws {
            let before = try Self.packets(echo, to: "web-1")
            try await eventually("exchanges with the backend that goes") {
                let now = try Self.packets(echo, to: "web-1")
                return before.filter { tuple, packets in now[tuple].map { $0 >= packets + 10 } ?? false }.count >= 4
            }
        }

        private func expect(
            _ echo: Echo, _ pods: [String: String], _ backends: [String], _ row: ServiceRow? = nil, policy: String = ""
        ) async throws {
            try echo.agent.manifests.write("echo.yaml", Self.service(echo.lab, pods, policy: policy))
            for path in EchoPath.all where !path.unconnected {
                try await eventually("\(path) to reach \(backends): \(pods)") {
                    try await echo.leads(path, to: backends)
                }
                row?.seen(path)
            }
        }

        /// The first pod serves, the second one is going away, the third one is not ready.
        private func expectTrace(_ echo: Echo) async throws {
            for path in EchoPath.all where path.covered && !path.unconnected {
                let port = path.ipProtocol == .udp ? Echo.udpPort : Echo.tcpPort
                let trace = try await echo.agent.apus(
                    "service", "trace", "--from", "default/client", "--to", "\(Echo.addresses[path.family])", "--port",
                    "\(port)", "--protocol", "\(path.ipProtocol)")
                let lines = trace.output.split(separator: "\n")
                for (pod, serves) in [("web-1", true), ("web-2", false), ("web-3", false)] {
                    let address = echo.lab.pod(pod).addresses[path.family]
                    let line = try #require(
                        lines.first { $0.contains("\(address):") || $0.contains("[\(address)]:") }, "\(trace)")
                    #expect(line.hasSuffix(" yes") == serves, "\(line)")
                    #expect(serves || line.contains(" no: "), "\(line)")
                }
                let name = "\(path.ipProtocol)".lowercased() + "-\(port)"
                let shownBy = [
                    try await echo.agent.apus("service", "get", "default/echo").output,
                    try await echo.agent.apus("backend", "list").output,
                ]
                for shown in shownBy {
                    #expect(shown.contains("default/web-1") && shown.contains("default/echo:\(name)"), "\(shown)")
                    #expect(!shown.contains("default/web-2") && !shown.contains("default/web-3"), "\(shown)")
                }
                let list = try await echo.agent.apus("service", "list").output
                #expect(list.contains("\(Echo.addresses[path.family])"), "\(list)")
                ServiceRow.trace.seen(path)
            }
        }
    }
}
