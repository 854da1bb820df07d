internal import Addressing
internal import Flows
internal import PrometheusText

/// Flows into and out of the pods of a node, by both ends: a bounded number of series.
struct PodFlowCounters: Sendable {
    /// One end in labels; all empty for what is no pod.
    struct End: Hashable, Sendable {
        var namespace = ""
        var workload = ""
        var pod = ""

        static let other = End(namespace: "other", workload: "other", pod: "other")

        init(_ peer: Peer) {
            guard peer.kind == .pod else { return }
            namespace = peer.namespace ?? ""
            workload = peer.workload?.name ?? ""
            pod = peer.name ?? ""
        }

        init(namespace: String, workload: String, pod: String) {
            self.namespace = namespace
            self.workload = workload
            self.pod = pod
        }

        /// The pod that keeps a series alive; nil for what does not go.
        var owner: PeerOwner? {
            pod.isEmpty || self == .other ? nil : PeerOwner(kind: .pod, namespace: namespace, name: pod)
        }
    }

    struct Series: Hashable, Sendable {
        var direction: Flow.Direction
        var ipProtocol: IPProtocol
        var port: Port
        var verdict: Flow.Verdict
        var reason: String?
        var isReply: Bool
        /// Where the packets come from and go to, which with replies is not who opened the connection.
        var source: End
        var destination: End

        /// The series that takes what finds no room.
        var bucket: Series {
            var bucket = self
            (bucket.source, bucket.destination, bucket.port) = (.other, .other, 0)
            return bucket
        }
    }

    private struct Count: Sendable {
        var flows: UInt64 = 0
        /// Since when one of its pods is gone.
        var goneSince: UInt64?
    }

    private let node: String
    private let limit: Int
    private var counts: [Series: Count] = [:]

    init(node: String, limit: Int) {
        self.node = node
        self.limit = limit
    }

    /// Counts flows of a shape at the ends that are pods of this node.
    mutating func add(_ shape: FlowShape, _ source: Peer, _ destination: Peer, _ count: UInt64) {
        let isReply: Bool
        switch shape.kind {
        case .opened, .denied, .audited: isReply = false
        case .closed where shape.isAnswered: isReply = true
        case .closed, .active, .packet, .dns, .lost: return
        }
        let (from, to) = isReply ? (destination, source) : (source, destination)
        for direction in [Flow.Direction.egress, .ingress] {
            let local = direction == .egress ? from : to
            guard local.kind == .pod, local.node == node else { continue }
            // What was denied on its way out never came to the other end, and one report tells of what is audited.
            if shape.kind == .denied || shape.kind == .audited, direction != shape.direction { continue }
            add(
                Series(
                    direction: direction, ipProtocol: shape.ipProtocol, port: shape.port, verdict: shape.verdict,
                    reason: shape.reason, isReply: isReply, source: End(from), destination: End(to)), count)
        }
    }

    private mutating func add(_ series: Series, _ count: UInt64) {
        let hasRoom = counts[series] != nil || counts.count < limit
        counts[hasRoom ? series : series.bucket, default: Count()].flows += count
    }

    /// Forgets series one of whose pods has been gone for the grace period.
    mutating func forgetGone(now: UInt64, grace: UInt64, isKnown: (PeerOwner) -> Bool) {
        for (series, count) in counts {
            let pods = [series.source.owner, series.destination.owner].compactMap { $0 }
            if pods.allSatisfy(isKnown) {
                if count.goneSince != nil { counts[series]?.goneSince = nil }
            } else if let since = count.goneSince {
                if now - since >= grace { counts[series] = nil }
            } else {
                counts[series]?.goneSince = now
            }
        }
    }

    var families: [MetricFamily] {
        [
            family("pod_flow_ingress_flows_count", .ingress, "Flows into pods of this node."),
            family("pod_flow_egress_flows_count", .egress, "Flows out of pods of this node."),
        ]
    }

    private func family(_ name: String, _ direction: Flow.Direction, _ help: String) -> MetricFamily {
        var family = MetricFamily(name, .counter, help)
        for (series, count) in counts where series.direction == direction {
            family.add(.count(count.flows), labels(series))
        }
        return family
    }

    private func labels(_ series: Series) -> [MetricLabel] {
        [
            MetricLabel("protocol", series.ipProtocol.description.lowercased()),
            MetricLabel("port", series.port == 0 ? "" : "\(series.port)"),
            MetricLabel("verdict", series.verdict.rawValue), MetricLabel("verdict_reason", series.reason ?? ""),
            MetricLabel("is_reply", series.isReply ? "true" : "false"), MetricLabel("node_name", node),
            MetricLabel("source_namespace", series.source.namespace),
            MetricLabel("source_workload", series.source.workload), MetricLabel("source_pod", series.source.pod),
            MetricLabel("destination_namespace", series.destination.namespace),
            MetricLabel("destination_workload", series.destination.workload),
            MetricLabel("destination_pod", series.destination.pod),
        ]
    }
}
