import Addressing
import FlowExport
import Flows
import PrometheusText
import TestSupport
import Testing

@Suite struct FlowMetricsTexts {
    private static let front = Pod("front-1", "10.1.0.1", node: "node-a")
    private static let cart = Pod("cart-1", "10.1.0.2", node: "node-a")
    private static let away = Pod("away-1", "10.2.0.3", node: "node-b")
    private static let world = Peer(address: ip("198.51.100.1"))

    /// The lines of a metric's samples, in order and without the labels that are alike everywhere here.
    private func samples(_ metrics: inout FlowMetrics, _ name: String) -> [String] {
        PrometheusText.text(metrics.families()).split(separator: "\n").filter { $0.hasPrefix("\(name){") }
            .map { String($0.dropFirst(name.count)).replacing("node_name=\"node-a\",", with: "") }.sorted()
    }

    private func ends(_ source: String, _ destination: String) -> String {
        [("source", source), ("destination", destination)].map { end, pod in
            let (namespace, workload) = pod.isEmpty || pod == "other" ? (pod, pod) : ("shop", "\(pod.dropLast(2))")
            return "\(end)_namespace=\"\(namespace)\",\(end)_workload=\"\(workload)\",\(end)_pod=\"\(pod)\""
        }.joined(separator: ",")
    }

    private func forwarded(_ source: String, _ destination: String, port: String = "80", reply: Bool = false) -> String
    {
        "{protocol=\"tcp\",port=\"\(port)\",verdict=\"forwarded\",verdict_reason=\"\",is_reply=\"\(reply)\","
            + "\(ends(source, destination))}"
    }

    @Test func aConnectionCountsAtTheEndsThatArePodsOfThisNode() {
        var metrics = FlowMetrics(node: "node-a")
        metrics.count([
            flow(.opened, Self.front.peer, Self.cart.peer), flow(.opened, Self.front.peer, Self.away.peer),
            flow(.opened, Self.away.peer, Self.cart.peer), flow(.opened, Self.world, Self.cart.peer),
            flow(.opened, Self.away.peer, Self.world),
        ])
        #expect(
            samples(&metrics, "pod_flow_egress_flows_count") == [
                "\(forwarded("front-1", "away-1")) 1", "\(forwarded("front-1", "cart-1")) 1",
            ])
        #expect(
            samples(&metrics, "pod_flow_ingress_flows_count") == [
                "\(forwarded("", "cart-1")) 1", "\(forwarded("away-1", "cart-1")) 1",
                "\(forwarded("front-1", "cart-1")) 1",
            ])
    }

    @Test func answersAreFlowsTheOtherWayOnceTheConnectionEnds() {
        var metrics = FlowMetrics(node: "node-a")
        metrics.count([
            flow(.closed, Self.front.peer, Self.away.peer) { $0.counters = FlowCounters(reverse: .init(packets: 3)) },
            flow(.closed, Self.front.peer, Self.away.peer) { $0.counters = FlowCounters(forward: .init(packets: 3)) },
            flow(.active, Self.front.peer, Self.away.peer) { $0.counters = FlowCounters(reverse: .init(packets: 3)) },
        ])
        #expect(samples(&metrics, "pod_flow_egress_flows_count") == [])
        #expect(
            samples(&metrics, "pod_flow_ingress_flows_count") == ["\(forwarded("away-1", "front-1", reply: true)) 1"])
    }

    @Test func answersOfResolversCountByTypeCodeAndNumberOfAddresses() {
        var limits = FlowMetrics.Limits()
        limits.ports = 3
        var metrics = FlowMetrics(node: "node-a", limits: limits)
        func answer(_ type: UInt16, _ code: UInt16, _ count: Int) -> Flow {
            flow(.dns, Self.front.peer, Self.cart.peer) {
                $0.dns = DNSAnswer(query: "a.test", type: type, code: code, addressCount: count, latency: 1)
            }
        }
        metrics.count([answer(1, 0, 2), answer(1, 0, 2), answer(28, 3, 0)])
        #expect(
            samples(&metrics, "hubble_dns_responses_total") == [
                #"{rcode="No Error",qtypes="A",ips_returned="2"} 2"#,
                #"{rcode="Non-Existent Domain",qtypes="AAAA",ips_returned="0"} 1"#,
            ])
        metrics.count([answer(1, 0, 1), answer(1, 0, 7)])
        // Which of them are beyond the limit is left to chance.
        let responses = samples(&metrics, "hubble_dns_responses_total")
        #expect(responses.count == 4 && responses.contains { $0.hasPrefix(#"{rcode="other",qtypes="other""#) })
        #expect(
            samples(&metrics, "hubble_dns_queries_total") == [
                #"{rcode="",qtypes="A",ips_returned="0"} 4"#, #"{rcode="",qtypes="AAAA",ips_returned="0"} 1"#,
            ])
        #expect(
            samples(&metrics, "hubble_flows_processed_total") == [
                #"{type="L7",subtype="DNS",verdict="FORWARDED"} 5"#
            ])
        #expect(samples(&metrics, "pod_flow_egress_flows_count") == [])
    }

    @Test func aQuestionWithoutAnAnswerIsAQuestion() {
        var metrics = FlowMetrics(node: "node-a")
        metrics.count([
            flow(.dns, Self.front.peer, Self.cart.peer) {
                $0.dns = DNSAnswer(query: "a.test", type: 1, code: 0, latency: 1, isAnswered: false)
            }
        ])
        #expect(
            samples(&metrics, "hubble_dns_queries_total") == [#"{rcode="",qtypes="A",ips_returned="0"} 1"#])
        #expect(samples(&metrics, "hubble_dns_responses_total") == [])
    }

    @Test func whatIsDeniedCountsWhereItWasWithItsReasonAndNumber() {
        var metrics = FlowMetrics(node: "node-a")
        for (direction, count) in [(Flow.Direction.egress, 3), (.ingress, 4)] {
            metrics.count([
                flow(.denied, Self.front.peer, Self.cart.peer) {
                    $0.direction = direction
                    $0.count = UInt64(count)
                    $0.dropReason = "policy_isolated"
                }
            ])
        }
        let labels = forwarded("front-1", "cart-1").replacing("forwarded", with: "dropped")
            .replacing("verdict_reason=\"\"", with: "verdict_reason=\"policy_isolated\"")
        #expect(samples(&metrics, "pod_flow_egress_flows_count") == ["\(labels) 3"])
        #expect(samples(&metrics, "pod_flow_ingress_flows_count") == ["\(labels) 4"])
        #expect(samples(&metrics, "hubble_drop_total") == [#"{reason="POLICY_DENIED",protocol="TCP"} 7"#])
        #expect(
            samples(&metrics, "policy_event_count") == [
                #"{direction="egress",verdict="dropped",node_name="node-a"} 3"#,
                #"{direction="ingress",verdict="dropped",node_name="node-a"} 4"#,
            ])
    }

    @Test func whatAnAuditedPolicyWouldDenyCountsBesidesTheOpening() {
        var metrics = FlowMetrics(node: "node-a")
        metrics.count([
            flow(.opened, Self.front.peer, Self.cart.peer),
            flow(.audited, Self.front.peer, Self.cart.peer) {
                $0.verdict = .audit
                $0.direction = .ingress
                $0.dropReason = "policy_denied"
                $0.count = 2
            },
        ])
        let labels = forwarded("front-1", "cart-1")
        let audited = labels.replacing("forwarded", with: "audit")
            .replacing("verdict_reason=\"\"", with: "verdict_reason=\"policy_denied\"")
        #expect(samples(&metrics, "pod_flow_egress_flows_count") == ["\(labels) 1"])
        #expect(samples(&metrics, "pod_flow_ingress_flows_count") == ["\(audited) 2", "\(labels) 1"])
        #expect(
            samples(&metrics, "policy_event_count") == [#"{direction="ingress",verdict="audit",node_name="node-a"} 2"#])
        #expect(
            samples(&metrics, "hubble_flows_processed_total") == [
                #"{type="PolicyVerdict",subtype="",verdict="AUDIT"} 2"#,
                #"{type="Trace",subtype="to-endpoint",verdict="FORWARDED"} 1"#,
            ])
        #expect(samples(&metrics, "hubble_drop_total") == [])
    }

    @Test func portsOfClientsAreBlank() {
        var metrics = FlowMetrics(node: "node-a")
        for port: Port in [32767, 32768, 65535] {
            metrics.count([flow(.opened, Self.front.peer, Self.world, port: port)])
        }
        #expect(
            samples(&metrics, "pod_flow_egress_flows_count") == [
                "\(forwarded("front-1", "", port: "")) 2", "\(forwarded("front-1", "", port: "32767")) 1",
            ])
        #expect(
            samples(&metrics, "hubble_port_distribution_total") == [
                #"{protocol="TCP",port="32767"} 1"#, #"{protocol="TCP",port="other"} 2"#,
            ])
    }

    @Test func policyEventsAreCountedWhereARuleDecided() {
        var metrics = FlowMetrics(node: "node-a")
        let rule = RuleReference("NetworkPolicy/shop/cart/ingress/0")
        metrics.count([
            flow(.opened, Self.front.peer, Self.cart.peer) { $0.ingressRule = rule },
            flow(.opened, Self.front.peer, Self.cart.peer) { ($0.ingressRule, $0.egressRule) = (rule, rule) },
            flow(.opened, Self.front.peer, Self.cart.peer),
            flow(.closed, Self.front.peer, Self.cart.peer) {
                $0.ingressRule = rule
            },
        ])
        #expect(
            samples(&metrics, "policy_event_count") == [
                #"{direction="egress",verdict="forwarded",node_name="node-a"} 1"#,
                #"{direction="ingress",verdict="forwarded",node_name="node-a"} 2"#,
            ])
    }

    @Test func hubblesCountersHaveHubblesNames() {
        var metrics = FlowMetrics(node: "node-a")
        metrics.count([
            flow(.opened, Self.front.peer, Self.cart.peer), flow(.opened, Self.cart.peer, Self.world),
            flow(.closed, Self.front.peer, Self.cart.peer) {
                $0.counters = FlowCounters(reverse: .init(packets: 3))
                $0.tcpFlags = [.syn, .ack, .fin, .rst]
            },
            flow(.opened, Self.front.peer, Self.cart.peer, port: 0, .icmp) { $0.icmp = ICMPMessage(type: 8, code: 0) },
            flow(.denied, Self.front.peer, Self.cart.peer) {
                $0.dropReason = "no_backend"
                $0.count = 5
            },
            .lost(17, by: .kernelRing, time: 1, node: "node-a"),
        ])
        let expected = [
            "hubble_flows_processed_total": [
                #"{type="Drop",subtype="",verdict="DROPPED"} 5"#,
                #"{type="Trace",subtype="to-endpoint",verdict="FORWARDED"} 3"#,
                #"{type="Trace",subtype="to-network",verdict="FORWARDED"} 1"#,
            ],
            "hubble_drop_total": [#"{reason="SERVICE_BACKEND_NOT_FOUND",protocol="TCP"} 5"#],
            "hubble_tcp_flags_total": [
                #"{flag="FIN",family="IPv4"} 1"#, #"{flag="RST",family="IPv4"} 1"#,
                #"{flag="SYN",family="IPv4"} 2"#, #"{flag="SYN-ACK",family="IPv4"} 1"#,
            ],
            "hubble_port_distribution_total": [
                #"{protocol="ICMPv4",port="0"} 1"#, #"{protocol="TCP",port="80"} 2"#,
            ],
            "hubble_icmp_total": [#"{family="IPv4",type="EchoRequest"} 1"#],
            "hubble_lost_events_total": [
                #"{source="OBSERVER_EVENTS_QUEUE"} 0"#, #"{source="PERF_EVENT_RING_BUFFER"} 17"#,
            ],
        ]
        for (name, lines) in expected { #expect(samples(&metrics, name) == lines, "\(name)") }
    }
}

/// What keeps memory and scrapes bounded.
@Suite struct FlowMetricsBounds {
    private let server = Pod("server-1", "10.1.0.9", node: "node-a").peer

    private func total(_ metrics: inout FlowMetrics, _ name: String) -> (series: Int, flows: UInt64) {
        let samples = metrics.families().first { $0.name == name }?.samples ?? []
        return samples.reduce((0, 0)) { sum, sample in
            guard case .count(let count) = sample.value else { return sum }
            return (sum.0 + 1, sum.1 + count)
        }
    }

    @Test func whatFindsNoRoomIsCountedAsOther() {
        var limits = FlowMetrics.Limits()
        (limits.podSeries, limits.ports, limits.shapes) = (5, 3, 2)
        var metrics = FlowMetrics(node: "node-a", limits: limits)
        for number in 0..<50 {
            let client = Pod("client-\(number)", "10.2.0.\(number)", node: "node-b").peer
            metrics.count([flow(.opened, client, server, port: Port(number + 1))])
        }
        let ingress = total(&metrics, "pod_flow_ingress_flows_count")
        #expect(ingress == (6, 50))
        let ports = total(&metrics, "hubble_port_distribution_total")
        #expect(ports == (4, 50))
        let text = PrometheusText.text(metrics.families())
        #expect(text.contains(#"source_pod="other",destination_namespace="other""#))
        #expect(text.contains(#"hubble_port_distribution_total{protocol="TCP",port="other"} 47"#))
    }

    @Test func seriesOfPodsThatAreGoneMakeRoomAfterTheirGrace() {
        var limits = FlowMetrics.Limits()
        (limits.podSeries, limits.grace) = (2, 100)
        var metrics = FlowMetrics(node: "node-a", limits: limits)
        var known: Set<String> = ["server-1", "old-1", "new-1"]
        func forget(at now: UInt64) { metrics.forgetGonePods(now: now) { known.contains($0.name) } }
        metrics.count([flow(.opened, Pod("old-1", "10.2.0.1", node: "node-b").peer, server)])
        metrics.count([flow(.opened, Peer(address: ip("198.51.100.1")), server)])
        forget(at: 1000)
        known.remove("old-1")
        forget(at: 1001)
        forget(at: 1100)
        #expect(total(&metrics, "pod_flow_ingress_flows_count").series == 2)
        forget(at: 1101)
        #expect(total(&metrics, "pod_flow_ingress_flows_count").series == 1, "a stranger is no pod that could go")
        metrics.count([flow(.opened, Pod("new-1", "10.2.0.2", node: "node-b").peer, server)])
        #expect(total(&metrics, "pod_flow_ingress_flows_count").series == 2)
        #expect(PrometheusText.text(metrics.families()).contains(#"source_pod="new-1""#))
    }

    @Test func aPodThatComesBackKeepsItsSeries() {
        var metrics = FlowMetrics(node: "node-a")
        metrics.count([flow(.opened, Pod("old-1", "10.2.0.1", node: "node-b").peer, server)])
        for now in stride(from: 0, through: 900_000_000_000, by: 100_000_000_000) as StrideThrough<UInt64> {
            metrics.forgetGonePods(now: now) { _ in now % 200_000_000_000 == 0 }
        }
        #expect(total(&metrics, "pod_flow_ingress_flows_count").series == 1)
    }

    /// A pod's names are another object after each change of its labels; its series stay the same.
    @Test func aPodWhoseLabelsChangeHasOneSeries() {
        var metrics = FlowMetrics(node: "node-a")
        for _ in 0..<3 { metrics.count([flow(.opened, Pod("client-1", "10.2.0.1", node: "node-b").peer, server)]) }
        #expect(total(&metrics, "pod_flow_ingress_flows_count") == (1, 3))
    }

    /// Names that others have fixed are the only thing that Prometheus remarks on.
    @Test func prometheusOnlyMindsNamesThatOthersHaveFixed() async throws {
        var metrics = FlowMetrics(node: "node-a")
        metrics.count([
            flow(.opened, server, server) { $0.egressRule = RuleReference("NetworkPolicy/a/b/egress/0") },
            flow(.closed, server, server) { $0.counters = FlowCounters(reverse: .init(packets: 1)) },
            flow(.denied, server, server) { $0.dropReason = "policy_denied" },
            .lost(1, by: .follower, time: 1, node: "node-a"),
        ])
        let remarks = try await promtoolRemarks(on: PrometheusText.text(metrics.families()))
        let names = Set(remarks.compactMap { $0.split(separator: " ").first.map(String.init) })
        #expect(
            names == ["pod_flow_ingress_flows_count", "pod_flow_egress_flows_count", "policy_event_count"], "\(remarks)"
        )
    }
}

/// A pod, named so that its workload can be told.
struct Pod {
    let peer: Peer

    init(_ name: String, _ address: String, node: String) {
        peer = Peer(
            address: ip(address), kind: .pod, namespace: "shop", name: name,
            workload: Peer.Workload(kind: "Deployment", name: "\(name.dropLast(2))"), node: node)
    }
}

/// A flow between two peers, seen on node-a.
func flow(
    _ kind: Flow.Kind, _ source: Peer, _ destination: Peer, port: Port = 80, _ ipProtocol: IPProtocol = .tcp,
    _ edit: (inout Flow) -> Void = { _ in }
) -> Flow {
    let tuple = FlowTuple(
        source: SocketAddress(source.address, 50000), destination: SocketAddress(destination.address, port),
        ipProtocol: ipProtocol)
    var flow = Flow(
        time: 1, kind: kind, verdict: kind == .denied ? .dropped : .forwarded, direction: .egress, tuple: tuple,
        node: "node-a")
    (flow.source, flow.destination) = (source, destination)
    edit(&flow)
    return flow
}
