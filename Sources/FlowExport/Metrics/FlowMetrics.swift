internal import Addressing
public import Flows
public import PrometheusText

/// Counts flows for Prometheus.
///
/// Counting is cheap: flows are only told apart by their shape, and what a shape means to each metric is worked out when
/// somebody asks, or when there are many shapes.
public struct FlowMetrics: Sendable {
    /// The bounds of what is kept.
    public struct Limits: Sendable {
        /// Shapes that are told apart before they are worked out.
        public var shapes = 4096
        /// Series of each metric about pods; what is beyond goes to series whose ends are `other`.
        public var podSeries = 8192
        /// Ports, and types of ICMP messages, that are told apart.
        public var ports = 512
        /// For how many nanoseconds series of a pod that is gone are still told.
        public var grace: UInt64 = 300_000_000_000

        public init() {}
    }

    /// Flows of one shape.
    private struct Tally: Sendable {
        var count: UInt64 = 0
        let source: Peer
        let destination: Peer
    }

    private let limits: Limits
    private let node: String
    private var tallies: [FlowShape: Tally] = [:]
    private var pods: PodFlowCounters
    private var hubble: HubbleCounters
    private var policies: [PolicyEvent: UInt64] = [:]

    /// - Parameter node: the node that flows are seen on; its pods are those whose flows are counted.
    public init(node: String, limits: Limits = Limits()) {
        self.node = node
        self.limits = limits
        pods = PodFlowCounters(node: node, limit: limits.podSeries)
        hubble = HubbleCounters(limit: limits.ports)
    }

    /// Counts flows with names.
    public mutating func count(_ flows: [Flow]) {
        // An element of an array would be copied for each look at it.
        let flows = flows.span
        for index in flows.indices {
            let shape = FlowShape(flows[index])
            if let place = tallies.index(forKey: shape) {
                tallies.values[place].count += flows[index].count
            } else {
                let (source, destination) = (flows[index].source, flows[index].destination)
                tallies[shape] = Tally(count: flows[index].count, source: source, destination: destination)
            }
        }
        if tallies.count >= limits.shapes { workOut() }
    }

    /// Forgets series of pods that have been gone for the grace period.
    ///
    /// - Parameters:
    ///   - now: nanoseconds of any clock that does not jump.
    ///   - isKnown: whether a pod is there.
    public mutating func forgetGonePods(now: UInt64, isKnown: (PeerOwner) -> Bool) {
        workOut()
        pods.forgetGone(now: now, grace: limits.grace, isKnown: isKnown)
    }

    /// What was counted so far.
    public mutating func families() -> [MetricFamily] {
        workOut()
        return pods.families + hubble.families + [policyFamily]
    }

    /// Adds what was tallied to each metric.
    private mutating func workOut() {
        for (shape, tally) in tallies {
            pods.add(shape, tally.source, tally.destination, tally.count)
            let receiver = shape.kind == .packet && shape.isAnswered ? tally.source : tally.destination
            hubble.add(shape, to: HubbleNames.Receiver(receiver, node: node), tally.count)
            addPolicyEvents(shape, tally.count)
        }
        tallies.removeAll(keepingCapacity: true)
    }

    // MARK: Policies

    private struct PolicyEvent: Hashable {
        let direction: Flow.Direction
        let verdict: Flow.Verdict
    }

    /// A connection that was admitted is an event at each end where a rule decided, one that was denied at the end that
    /// denied it.
    private mutating func addPolicyEvents(_ shape: FlowShape, _ count: UInt64) {
        switch shape.kind {
        case .opened:
            if shape.hasEgressRule {
                policies[PolicyEvent(direction: .egress, verdict: shape.verdict), default: 0] += count
            }
            if shape.hasIngressRule {
                policies[PolicyEvent(direction: .ingress, verdict: shape.verdict), default: 0] += count
            }
        case .denied, .audited:
            guard shape.reason?.hasPrefix("policy_") ?? false else { return }
            policies[PolicyEvent(direction: shape.direction, verdict: shape.verdict), default: 0] += count
        case .closed, .active, .packet, .dns, .lost: break
        }
    }

    private var policyFamily: MetricFamily {
        var family = MetricFamily(
            "policy_event_count", .counter, "Connections that a policy decided on, at the end where it did.")
        for (event, count) in policies.sorted(by: { "\($0.key)" < "\($1.key)" }) {
            family.add(
                .count(count),
                [
                    MetricLabel("direction", event.direction.rawValue), MetricLabel("verdict", event.verdict.rawValue),
                    MetricLabel("node_name", node),
                ])
        }
        return family
    }
}
