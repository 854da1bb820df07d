import Foundation
import JSONText
import TestSupport

/// A real Prometheus that scrapes the agent of its node once a second.
struct LabPrometheus {
    private static let address = "127.0.0.1:9090"

    private let node: LabHost
    private let server: ChildProcess

    /// - Parameter rules: a file of alerts.
    init(on node: LabHost, in directory: String, rules: String? = nil) async throws {
        try """
        global: {scrape_interval: 1s, evaluation_interval: 1s}
        rule_files: [\(rules.map { "\"\($0)\"" } ?? "")]
        scrape_configs:
          - job_name: apus
            static_configs: [{targets: ["127.0.0.1:9990"]}]

        """.write(toFile: "\(directory)/prometheus.yaml", atomically: true, encoding: .utf8)
        self.node = node
        server = try node.spawn(
            [
                "prometheus", "--config.file=\(directory)/prometheus.yaml",
                "--storage.tsdb.path=\(directory)/prometheus", "--web.listen-address=\(Self.address)",
            ], covered: false, log: "\(directory)/prometheus.log")
    }

    func stop() async { await server.stop() }

    /// The series that a query finds now, as promtool prints them.
    func query(_ query: String) async throws -> String {
        let result = try await node.run(
            ["promtool", "query", "instant", "http://\(Self.address)", query], covered: false)
        guard result.succeeded else { throw LabError("ask Prometheus", "\(result.output)\(result.errors)") }
        return result.output
    }

    /// Whether a query finds a number. The rate of what did not happen and its quantiles are none: "NaN".
    func hasData(_ query: String) async throws -> Bool {
        try await self.query(query).split(separator: "\n").contains { $0.contains("=> ") && !$0.contains("=> NaN ") }
    }

    /// What its API answers.
    func api(_ path: String) async throws -> JSONText {
        let result = try await node.run(
            ["curl", "-sS", "-g", "--max-time", "60", "http://\(Self.address)/api/v1/\(path)"], covered: false)
        guard result.succeeded, let data = try JSONText(result.output.utf8)["data"] else {
            throw LabError("ask Prometheus for \(path)", "\(result.output)\(result.errors)")
        }
        return data
    }
}

/// The metrics that the contract with those who graph and alert names, each with its labels.
enum MetricContract {
    private static let ends = ["source", "destination"].flatMap { end in
        ["workload", "namespace", "pod"].map { "\(end)_\($0)" }
    }
    private static let podFlow =
        ["protocol", "port", "verdict", "verdict_reason", "is_reply", "node_name"] + ends

    static let labels: [String: [String]] = [
        "pod_flow_ingress_flows_count": podFlow, "pod_flow_egress_flows_count": podFlow, "policy_event_count": [],
        "policy_logging_enabled": [], "policy_logging_records_total": [], "policy_logging_events_total": [],
        "policy_logging_dropped_events_total": [], "policy_logging_failures_total": [], "policy_logging_failing": [],
        "hubble_flows_processed_total": ["type", "subtype", "verdict"], "hubble_drop_total": ["reason", "protocol"],
        "hubble_tcp_flags_total": [], "hubble_dns_queries_total": [],
        "hubble_dns_responses_total": ["rcode", "qtypes", "ips_returned"], "hubble_port_distribution_total": [],
        "hubble_icmp_total": [], "hubble_lost_events_total": ["source"],
        "kubeproxy_sync_proxy_rules_duration_seconds_bucket": ["le"],
        "kubeproxy_sync_proxy_rules_duration_seconds_count": [],
        "kubeproxy_sync_proxy_rules_duration_seconds_sum": [],
        "kubeproxy_network_programming_duration_seconds_bucket": ["le"],
        "kubeproxy_network_programming_duration_seconds_count": [],
        "kubeproxy_network_programming_duration_seconds_sum": [],
    ]

    /// The names of it that `promtool check metrics` minds: they end in `_count` and are no histograms.
    static let remarkable: Set<String> = [
        "pod_flow_ingress_flows_count", "pod_flow_egress_flows_count", "policy_event_count",
    ]

    /// The names in remarks of promtool.
    static func remarked(_ remarks: [String]) -> Set<String> {
        Set(remarks.compactMap { $0.split(separator: " ").first.map(String.init) })
    }
}
