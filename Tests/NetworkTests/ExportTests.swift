import Foundation
import JSONText
import TestSupport
import Testing

extension AgentLifeTests {
    /// Flows that leave the agent by themselves.
    @Suite(.serialized) struct Export {
        /// A collector that writes what it gets as lines: the path and the body.
        private static let collector = """
            import http.server, sys
            class Collector(http.server.BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"
                def do_POST(self):
                    body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                    with open(sys.argv[2], "a") as file: file.write(self.path + " " + body + "\\n")
                    self.send_response(200)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                def log_message(self, *arguments): pass
            http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Collector).serve_forever()
            """

        @Test func whatIsAllowedAndDeniedIsInTheFileAndAtTheCollector() async throws {
            try await withShop { shop in
                let (agent, directory) = (shop.agent, shop.lab.directory)
                let (file, got) = ("\(directory)/logs/flows.log", "\(directory)/collector.log")
                // In a namespace of its own, so that any port is free.
                let collector = try agent.node.spawn(
                    ["/usr/bin/python3", "-c", Self.collector, "4318", got], covered: false,
                    log: "\(directory)/collector-errors.log")
                try await agent.restart(options: [
                    "--export-file", file, "--export-denylist", #"{"source_pod":["visitors/client"]}"#,
                    "--otlp-endpoint", "http://127.0.0.1:4318", "--otlp-metrics-interval", "1",
                ])
                #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80, within: .seconds(60)).isAnswered)
                _ = try await shop.lab.pod("intruder").ask(
                    shop.lab.pod("web-1").ipv4, 8080, within: .milliseconds(400))
                let denied = try await Self.line(in: file) {
                    $0["flow"]?["verdict"]?.string == "DROPPED"
                        && $0["flow"]?["source"]?["pod_name"]?.string == "intruder"
                }
                #expect(denied["flow"]?["ingress_denied_by"]?.elements.first?["kind"]?.string == "NetworkPolicy")
                #expect(denied["node_name"]?.string == "node-a")
                try await Self.expect(
                    in: got, "/v1/logs",
                    [
                        #""stringValue":"intruder""#,
                        #"{"key":"apus.drop.reason","value":{"stringValue":"policy_isolated"}}"#,
                    ]
                )
                try await Self.expect(
                    in: got, "/v1/metrics", [#""name":"pod_flow_ingress_flows_count""#, #""isMonotonic":true"#])
                #expect(try await agent.metric("apus_export_records_total", ["exporter": "file"]) ?? 0 >= 1)
                #expect(try await agent.metric("apus_export_failing", ["exporter": "otlp_logs"]) == 0)
                let text = try String(contentsOfFile: file, encoding: .utf8)
                #expect(
                    try text.split(separator: "\n").allSatisfy {
                        try JSONText($0.utf8)["flow"]?["source"]?["pod_name"]?.string != "client"
                    })

                // The collector dies: that is counted, and nothing else minds.
                await collector.stop()
                _ = try await shop.lab.pod("intruder").ask(
                    shop.lab.pod("web-2").ipv4, 8080, within: .milliseconds(400))
                try await eventually("the failure to be counted") {
                    try await agent.metric("apus_export_failing", ["exporter": "otlp_logs"]) == 1
                }
                _ = try await Self.line(in: file) {
                    $0["flow"]?["destination"]?["pod_name"]?.string == "web-2"
                        && $0["flow"]?["source"]?["pod_name"]?.string == "intruder"
                }
            }
        }

        /// Waits for a line of a file.
        private static func line(
            in path: String, _ matches: @escaping @Sendable (JSONText) -> Bool
        ) async throws -> JSONText {
            var found: JSONText?
            try await eventually("a line", every: .milliseconds(100)) {
                let text = try String(contentsOfFile: path, encoding: .utf8)
                found = try text.split(separator: "\n").map { try JSONText($0.utf8) }.first(where: matches)
                guard found != nil else { throw LabError("look for a line", text) }
                return true
            }
            guard let found else { throw LabError("look for a line", path) }
            return found
        }

        /// Waits until requests to a path have had all these texts.
        private static func expect(in file: String, _ path: String, _ texts: [String]) async throws {
            try await eventually("requests to \(path)", every: .milliseconds(200)) {
                let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
                    .filter { $0.hasPrefix("\(path) ") }
                guard texts.allSatisfy({ text in lines.contains { $0.contains(text) } }) else {
                    throw LabError("look for \(texts)", "\(lines.count) requests, the last: \(lines.last ?? "")")
                }
                return true
            }
        }
    }
}
