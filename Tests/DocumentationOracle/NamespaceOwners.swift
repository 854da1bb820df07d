internal import Addressing
internal import Kubernetes

/// The tier of NetworkPolicy: additive, and final for every pod that a policy selects.
extension Question {
    /// What the namespaced policies decide; nil when none of them isolates the pod in this direction.
    func namespaceOwners() -> Judgement? {
        let isolating = cluster.networkPolicies.filter { policy in
            policy.meta.namespace == pod.meta.namespace && policy.podSelector.matches(pod.meta.labels)
                && policy.speaks(of: side)
        }
        guard let first = isolating.first else { return nil }
        for policy in isolating {
            for (index, rule) in policy.rules(of: side).enumerated() where admits(rule, of: policy) {
                return Judgement(
                    isAllowed: true, reason: "rule \(index) of \(policy.meta.namespace)/\(policy.meta.name)")
            }
        }
        return Judgement(isAllowed: false, reason: "isolated by \(first.meta.namespace)/\(first.meta.name)")
    }

    private func admits(_ rule: NetworkPolicyRule, of policy: NetworkPolicy) -> Bool {
        let peers = rule.peers ?? []
        let ports = rule.ports ?? []
        return (ports.isEmpty || ports.match(flow, receiver: receiver))
            && (peers.isEmpty || peers.contains { isPeer($0, of: policy) })
    }

    private func isPeer(_ wanted: NetworkPolicyPeer, of policy: NetworkPolicy) -> Bool {
        switch wanted {
        case .ipBlock(let range, let except):
            return range.contains(peer) && !except.contains { $0.contains(peer) }
        case .selectors(let pods, let namespaces):
            guard let other = cluster.pod(at: peer) else { return false }
            let isInNamespace =
                namespaces?.matches(cluster.labels(ofNamespace: other.meta.namespace))
                ?? (other.meta.namespace == policy.meta.namespace)
            return isInNamespace && pods?.matches(other.meta.labels) ?? true
        case .unreadable: return false
        }
    }
}

extension NetworkPolicy {
    /// Without types, a policy is about ingress, and about egress where it has an egress rule.
    fileprivate func speaks(of side: Side) -> Bool {
        if let types = policyTypes, !types.isEmpty { return types.contains(side == .ingress ? .ingress : .egress) }
        return side == .ingress || egress?.isEmpty == false
    }

    fileprivate func rules(of side: Side) -> [NetworkPolicyRule] { (side == .ingress ? ingress : egress) ?? [] }
}
