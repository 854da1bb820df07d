import Foundation
import JSONText
import TestSupport
import Testing

extension NameLabTests {
    /// What a real Prometheus gets from an agent in whose lab all sorts of flows are.
    @Suite(.serialized) struct MetricContracts {
        private static let seconds = ProcessInfo.processInfo.environment["APUS_SCRAPE_SECONDS"].flatMap(Int.init) ?? 5

        private static let alerts = (0..<3).reduce(URL(fileURLWithPath: #filePath)) { url, _ in
            url.deletingLastPathComponent()
        }.appendingPathComponent("deploy/monitoring/alerts.yaml").path

        /// Sends an ICMP echo request.
        private static let echo = """
            import socket, sys
            sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            sender.sendto(bytes.fromhex("0800f7fd00010001"), (sys.argv[1], 0))
            """

        /// Connections that are allowed and denied, messages of ICMP, questions to a resolver.
        private func traffic(_ names: NameLab) async throws {
            let (client, free) = (names.client, names.lab.pod("fake"))
            #expect(try await names.look(up: "a.web.test", from: client).contains("\(NameLab.web[0])"))
            #expect(try await client.ask(NameLab.web[0], NameLab.port).isAnswered)
            _ = try await client.ask(NameLab.unnamed[0], NameLab.port, within: .milliseconds(400))
            let asked = try await free.run(
                ["/usr/bin/python3", "-c", Self.echo, "\(names.lab.pod("dns").ipv4)"], covered: false)
            #expect(asked.succeeded, "\(asked.output)\(asked.errors)")
        }

        /// Whether the agent tells a metric, and each series of it with these labels. Prometheus has no labels that are
        /// empty, so it is asked for the metric alone.
        private func tells(_ metric: String, _ labels: [String], _ agent: AgentProcess) async throws -> Bool {
            let lines = try await agent.metrics().split(separator: "\n").filter {
                $0.hasPrefix("\(metric){") || $0.hasPrefix("\(metric) ")
            }
            return !lines.isEmpty && lines.allSatisfy { line in labels.allSatisfy { line.contains("\($0)=\"") } }
        }

        @Test func everyNameAndLabelIsScrapedAndEveryAlertIsEvaluated() async throws {
            try await NameLab.run { names in
                let directory = names.lab.directory
                try await names.agent.restart(options: ["--policy-log", "\(directory)/policy.log"])
                let prometheus = try await LabPrometheus(on: names.agent.node, in: directory, rules: Self.alerts)
                try await traffic(names)
                for (metric, labels) in MetricContract.labels.sorted(by: { $0.key < $1.key }) {
                    try await eventually("\(metric) with \(labels)", every: .milliseconds(500)) {
                        guard try await prometheus.hasData(metric) else { return false }
                        return try await tells(metric, labels, names.agent)
                    }
                }
                let remarks = try await promtoolRemarks(on: names.agent.metrics())
                #expect(MetricContract.remarked(remarks) == MetricContract.remarkable, "\(remarks)")
                try await eventually("so many scrapes", within: .seconds(120 + 2 * Self.seconds)) {
                    try await prometheus.hasData("count_over_time(up{job=\"apus\"}[1h]) >= \(Self.seconds)")
                }
                #expect(try await prometheus.hasData("min_over_time(up{job=\"apus\"}[1h]) == 1"))
                try await eventually("all alerts to be evaluated") {
                    let rules = try await prometheus.api("rules")["groups"]?.elements.flatMap {
                        $0["rules"]?.elements ?? []
                    }
                    guard let rules, rules.count >= 10 else {
                        throw LabError("look at the alerts", "\(rules?.count ?? 0)")
                    }
                    let broken = rules.filter { $0["health"]?.string != "ok" }.map { $0["name"]?.string ?? "" }
                    guard broken.isEmpty else { throw LabError("look at the alerts", "\(broken)") }
                    return true
                }
                // Nothing is wrong in this lab that lasts: an alert that fires says something untrue.
                #expect(try await !prometheus.hasData("ALERTS{alertstate=\"firing\"}"))
                await prometheus.stop()
            }
        }
    }
}
