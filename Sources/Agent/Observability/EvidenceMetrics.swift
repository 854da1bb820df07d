internal import Datapath
internal import Flows
internal import Kubernetes
internal import KubernetesAPI
internal import PrometheusText

extension AgentMetrics {
    /// What became of requests to the API server; nothing with a directory of manifests.
    var requestFamilies: [MetricFamily] {
        guard let requests else { return [] }
        var lists = MetricFamily(
            "apus_api_lists_total", .counter, "Lists of a kind that were begun; all after the first are relists.")
        var watches = MetricFamily("apus_api_watches_total", .counter, "Watches of a kind that were begun.")
        var failures = MetricFamily(
            "apus_api_failures_total", .counter, "Lists and watches of a kind that failed, by how they did.")
        for (kind, counts) in requests.current.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            let label = MetricLabel("kind", kind.rawValue)
            lists.add(.count(counts.lists), [label])
            watches.add(.count(counts.watches), [label])
            for failure in APIStatistics.Failure.allCases {
                failures.add(.count(counts.failures[failure] ?? 0), [label, MetricLabel("reason", failure.rawValue)])
            }
        }
        return [lists, watches, failures]
    }

    /// What became of the data path's records.
    var evidenceFamilies: [MetricFamily] {
        var lost = MetricFamily("apus_flows_lost_total", .counter, "Flow records that were lost, by where.")
        lost.add(.count(hub.lostInKernel), [MetricLabel("place", FlowLoss.Source.kernelRing.rawValue)])
        lost.add(.count(hub.lostByFollowers), [MetricLabel("place", FlowLoss.Source.follower.rawValue)])
        lost.add(.count(evidence.undecodable), [MetricLabel("place", "decoder")])
        lost.add(.count(evidence.lostAnswers), [MetricLabel("place", "answers")])
        return [
            MetricFamily(
                "apus_flows_total", .counter, "Flow records that were stored and handed to followers.",
                [MetricSample(.count(hub.appended))]),
            lost,
            MetricFamily(
                "apus_flows_stored", .gauge, "Flows that can be asked for now.", [MetricSample(.count(hub.stored))]),
            MetricFamily(
                "apus_flow_followers", .gauge, "Readers that follow flows now.", [MetricSample(.count(hub.followers))]),
            MetricFamily(
                "apus_scan_failures_total", .counter, "Looks at connections and denied packets that failed.",
                [MetricSample(.count(evidence.failedScans))]),
            MetricFamily(
                "apus_connections_untold_total", .counter,
                "Connections whose end is never told, as the kernel has evicted them from a full map.",
                [MetricSample(.count(evidence.untoldConnections.total))]),
            MetricFamily(
                "apus_denied_packets_untold_total", .counter,
                "Denied packets that are never told, as what counted them was evicted or found no room in the ring.",
                [MetricSample(.count(evidence.untoldDenials.total))]),
        ] + ringFamilies
    }

    private var ringFamilies: [MetricFamily] {
        guard let events else { return [] }
        return [
            MetricFamily(
                "apus_ring_records_total", .counter, "Records that the data path put into the ring buffer.",
                [MetricSample(.count(events.submitted))], outlivesProcess: true),
            MetricFamily(
                "apus_ring_records_lost_total", .counter, "Records that found no room in the ring buffer.",
                [MetricSample(.count(events.lost))], outlivesProcess: true),
        ]
    }

    /// What the data path counts itself, since its maps were made.
    var packetFamilies: [MetricFamily] {
        guard let drops else { return [] }
        var packets = MetricFamily(
            "apus_drop_packets_total", .counter, "Packets that were dropped, by reason.", outlivesProcess: true)
        var bytes = MetricFamily(
            "apus_drop_bytes_total", .counter, "Bytes of packets that were dropped, by reason.", outlivesProcess: true)
        for drop in drops {
            let labels = [MetricLabel("reason", drop.reason.text), MetricLabel("direction", drop.direction.text)]
            packets.add(.count(drop.dropped.packets), labels)
            bytes.add(.count(drop.dropped.bytes), labels)
        }
        return [packets, bytes]
    }
}
