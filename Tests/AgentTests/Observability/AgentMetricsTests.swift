import Addressing
import Datapath
import Flows
import Kubernetes
import KubernetesAPI
import PrometheusText
import TestSupport
import Testing

@testable import Agent

@Suite struct AgentMetricsTexts {
    private func metrics() -> AgentMetrics {
        var scan = ScanSummary()
        scan.established = 40
        var ports = PortUse(capacity: 4)
        _ = ports.note([PortDestination(.udp, SocketAddress(ip("1.2.3.4"), 53)): 3])
        let pod = ObjectReference(kind: "Pod", namespace: "shop", name: "web-1")
        let controller = ControllerReport(
            isInForce: true,
            maps: [
                .init(name: "connections", entries: nil, capacity: 100, failures: 0),
                .init(name: "services", entries: 3, capacity: 16, failures: 2),
            ],
            kinds: [.init(kind: .pod, objects: 7, isSynced: true, isConnected: false)],
            problems: [
                ObjectProblem(object: pod, reason: .noInterface, message: "one"),
                ObjectProblem(object: pod, reason: .noInterface, message: "two"),
                ObjectProblem(
                    object: ObjectReference(kind: "Pod", namespace: "shop", name: "web-2"), reason: .closed,
                    message: "m"),
            ],
            unreadable: [.syntax: 2], retries: 1, written: 12,
            passes: Histogram(exponential: 0.0001, factor: 2, count: 18),
            latency: ProgrammingLatency(start: 0).histogram, endpoints: 2, attached: 1,
            handedOverInterfaces: (2, 1), frontends: 5, learned: LearnedCounts(), handedOver: HandedOverCounts(),
            unanswered: 3, uncopied: 0)
        let hub = FlowHub(capacity: 8)
        hub.append(Flow.lost(3, by: .kernelRing, time: 1, node: "node-a"))
        return AgentMetrics(
            node: "node-a", controller: controller, requests: APIStatistics([.pod]),
            hub: hub.statistics,
            evidence: EvidenceCounters.Counts(undecodable: 1, lostAnswers: 4, scan: scan, ports: ports, failedScans: 0),
            drops: [
                DropCount(
                    reason: .policyDenied, direction: .ingress, dropped: TrafficCount(packets: 4, bytes: 400)),
                DropCount(
                    reason: .portsExhausted, direction: .egress, dropped: TrafficCount(packets: 5, bytes: 300)),
            ],
            events: EventCounters(submitted: 9, lost: 2), names: [.learned: 6, .unasked: 1])
    }

    @Test func whatTheAgentKnowsIsThere() {
        let lines = PrometheusText.text(metrics().families).split(separator: "\n").map(String.init)
        for line in [
            "apus_build_info{version=\"0.1.0\",node_name=\"node-a\"} 1", "apus_in_force 1",
            "apus_map_entries{map=\"connections\"} 40", "apus_map_entries{map=\"services\"} 3",
            "apus_map_capacity{map=\"connections\"} 100", "apus_map_write_failures_total{map=\"services\"} 2",
            "apus_source_connected{kind=\"Pod\"} 0", "apus_objects{kind=\"Pod\"} 7",
            "apus_unprogrammed_objects{kind=\"Pod\",reason=\"Closed\"} 1",
            "apus_unprogrammed_objects{kind=\"Pod\",reason=\"NoInterface\"} 1",
            "apus_unreadable_sources{reason=\"Syntax\"} 2", "apus_unreadable_sources{reason=\"Unreadable\"} 0",
            "apus_api_failures_total{kind=\"Pod\",reason=\"unreachable\"} 0",
            "apus_flows_lost_total{place=\"decoder\"} 1", "apus_flows_lost_total{place=\"kernel_ring\"} 3",
            "apus_flows_lost_total{place=\"answers\"} 4",
            "apus_ring_records_lost_total 2",
            "apus_drop_packets_total{reason=\"policy_denied\",direction=\"ingress\"} 4",
            "apus_fqdn_outcomes_total{outcome=\"unasked\"} 1", "apus_fqdn_evicted_total 0",
            "apus_fqdn_unanswered_total 3",
            "apus_masquerade_ports_in_use{destination=\"1.2.3.4:53\",protocol=\"UDP\"} 3",
            "apus_masquerade_ports_in_use{destination=\"other\",protocol=\"\"} 0", "apus_masquerade_ports 4",
            "apus_masquerade_crowded_destinations 1", "apus_masquerade_port_failures_total 5",
            "kubeproxy_sync_proxy_rules_duration_seconds_count 0",
            "kubeproxy_network_programming_duration_seconds_count 0",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
        #expect(!lines.contains { $0.hasPrefix("apus_map_write_failures_total{map=\"connections\"}") })
    }

    @Test func prometheusHasNothingToSayAboutThem() async throws {
        #expect(try await promtoolRemarks(on: PrometheusText.text(metrics().families)) == [])
    }

    @Test func familiesHaveEachNameOnceAndNoLabelsTwice() {
        let families = metrics().families
        #expect(Set(families.map(\.name)).count == families.count)
        for family in families { #expect(Set(family.samples.map(\.labels)).count == family.samples.count) }
    }
}
