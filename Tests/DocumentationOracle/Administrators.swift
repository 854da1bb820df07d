internal import Addressing
internal import Kubernetes

/// The two tiers of ClusterNetworkPolicy: the first rule that matches decides, and Pass leaves the tier.
extension Question {
    /// What a tier decides; nil when it passes, or no rule of it matches.
    func administrators(_ tier: ClusterNetworkPolicy.Tier) -> Judgement? {
        for policy in policies(of: tier) {
            for (index, rule) in (side == .ingress ? policy.ingress : policy.egress).enumerated()
            where matches(rule) {
                let reason = "\(rule.action.rawValue) of rule \(index) of \(tier.rawValue) \(policy.meta.name)"
                switch rule.action {
                case .accept: return Judgement(isAllowed: true, reason: reason)
                case .deny: return Judgement(isAllowed: false, reason: reason)
                case .pass: return nil
                }
            }
        }
        return nil
    }

    /// The tier's policies about this pod in their order. Which of two with one priority goes first the API leaves
    /// open; Apus goes by the name.
    private func policies(of tier: ClusterNetworkPolicy.Tier) -> [ClusterNetworkPolicy] {
        cluster.clusterPolicies.filter { policy in
            policy.tier == tier && policy.podSelector.matches(pod.meta.labels)
                && policy.namespaceSelector.matches(cluster.labels(ofNamespace: pod.meta.namespace))
        }.sorted { ($0.priority, $0.meta.name) < ($1.priority, $1.meta.name) }
    }

    private func matches(_ rule: ClusterNetworkPolicyRule) -> Bool {
        (rule.ports?.match(flow, receiver: receiver) ?? true) && rule.peers.contains { isPeer($0, of: rule) }
    }

    private func isPeer(_ wanted: ClusterNetworkPolicyPeer, of rule: ClusterNetworkPolicyRule) -> Bool {
        switch wanted {
        case .namespaces(let namespaces):
            return isPod(in: namespaces, LabelSelector())
        case .pods(let namespaces, let pods):
            return isPod(in: namespaces, pods)
        case .nodes(let nodes):
            return cluster.isNode(peer, selectedBy: nodes)
        case .networks(let ranges):
            return ranges.contains { $0.contains(peer) }
        case .domainNames:
            // A name is worth what its answers taught the node, and nobody has asked for one here.
            return false
        case .unreadable:
            // "Fail closed", as the API words it: no traffic for Accept, all of it for Deny and Pass.
            return rule.action != .accept
        }
    }

    private func isPod(in namespaces: LabelSelector, _ pods: LabelSelector) -> Bool {
        guard let other = cluster.pod(at: peer) else { return false }
        return namespaces.matches(cluster.labels(ofNamespace: other.meta.namespace)) && pods.matches(other.meta.labels)
    }
}
