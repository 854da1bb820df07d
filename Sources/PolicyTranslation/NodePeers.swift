internal import Addressing
internal import Kubernetes
internal import NetworkPolicy

/// Cluster policies with the addresses of the nodes that their peers select: a change of a node changes its policies.
struct NodePeers: Sendable {
    private struct Place: Sendable, Hashable {
        var labels: [String: String]
        var addresses: [IPAddress]
    }

    private var nodes: [String: Place] = [:]
    /// Those with `nodes` peers.
    private var policies: [String: ClusterNetworkPolicy] = [:]

    /// What the changes say to the policy compiler about cluster policies, removals left out.
    mutating func apply(_ changes: [ObjectChange]) -> [PolicyInput] {
        // The last word of a batch counts, also where it removes what the batch brings.
        var changed: [String: ClusterNetworkPolicy] = [:]
        var nodesChanged = false
        for change in changes {
            switch change {
            case .upsert(.clusterNetworkPolicy(let policy)):
                policies[policy.meta.name] = policy.hasNodePeers ? policy : nil
                changed[policy.meta.name] = policy
            case .upsert(.node(let node)):
                let place = Place(labels: node.meta.labels, addresses: node.addresses.map(\.address))
                // A node's status changes every few seconds, what matters here hardly ever.
                if nodes.updateValue(place, forKey: node.meta.name) != place { nodesChanged = true }
            case .delete(let key) where key.kind == .clusterNetworkPolicy:
                (policies[key.name], changed[key.name]) = (nil, nil)
            case .delete(let key) where key.kind == .node:
                if nodes.removeValue(forKey: key.name) != nil { nodesChanged = true }
            case .upsert, .delete: break
            }
        }
        if nodesChanged { changed.merge(policies) { new, _ in new } }
        return changed.sorted { $0.key < $1.key }.map {
            .clusterPolicy(ClusterPolicyObject($0.value, nodes: addresses))
        }
    }

    private func addresses(of selector: PolicySelector) -> [IPAddress] {
        nodes.values.filter { selector.matches($0.labels) }.flatMap(\.addresses)
    }
}

extension ClusterNetworkPolicy {
    fileprivate var hasNodePeers: Bool {
        egress.contains { rule in
            rule.peers.contains { if case .nodes = $0 { true } else { false } }
        }
    }
}
