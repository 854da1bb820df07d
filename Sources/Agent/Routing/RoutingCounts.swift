internal import NodeRouting
internal import PrometheusText

/// How routes to the pods of other nodes stand, for a scrape.
struct RoutingCounts: Sendable, Hashable {
    /// Other nodes, and those of them whose pods are routed to.
    var nodes = 0
    var routed = 0
    /// Routes, neighbours and forwarding entries that there should be.
    var entries = 0
    /// What is not as Nodes ask, or as it should be in the kernel.
    var problems = 0
    /// Changes of the kernel's tables that were made, and that it refused.
    var writes: UInt64 = 0
    var failures: UInt64 = 0

    var families: [MetricFamily] {
        [
            MetricFamily(
                "apus_routing_nodes", .gauge, "Other nodes, and those of them whose pods are routed to.",
                [
                    MetricSample(.count(nodes), [MetricLabel("state", "known")]),
                    MetricSample(.count(routed), [MetricLabel("state", "routed")]),
                ]),
            MetricFamily(
                "apus_routing_entries", .gauge,
                "Routes, neighbours and forwarding entries to other nodes that there should be.",
                [MetricSample(.count(entries))]),
            MetricFamily(
                "apus_routing_problems", .gauge, "Problems with routes to other nodes, as apus status lists them.",
                [MetricSample(.count(problems))]),
            MetricFamily(
                "apus_routing_writes_total", .counter, "Entries that were made, changed and removed.",
                [MetricSample(.count(writes))]),
            MetricFamily(
                "apus_routing_write_failures_total", .counter,
                "Changes of entries that the kernel refused; they are tried again.",
                [MetricSample(.count(failures))]),
        ]
    }
}

extension NodeRoutes {
    var counts: RoutingCounts {
        RoutingCounts(
            nodes: plan.nodeCount, routed: plan.routedCount, entries: wantedCount,
            problems: complaints.count + problems.problems.count, writes: writes, failures: failures)
    }
}
