internal import Kubernetes
internal import NetworkPolicy

extension ClusterPolicyObject {
    init(_ policy: ClusterNetworkPolicy) {
        self.init(
            name: policy.meta.name, tier: policy.tier == .admin ? .admin : .baseline, priority: policy.priority,
            namespaceSelector: PolicySelector(policy.namespaceSelector),
            podSelector: PolicySelector(policy.podSelector), ingress: policy.ingress.map(ClusterPolicyRule.init),
            egress: policy.egress.map(ClusterPolicyRule.init),
            invalidFields: policy.egress.enumerated().flatMap { index, rule in
                rule.peers.enumerated().compactMap { number, peer in
                    peer.unsupported.map {
                        InvalidField(
                            field: "spec.egress[\(index)].to[\(number)].\($0)",
                            message: "peers of this form are not enforced")
                    }
                }
            })
    }
}

extension ClusterPolicyRule {
    init(_ rule: ClusterNetworkPolicyRule) {
        self.init(
            action: PolicyAction(rule.action), peers: rule.peers.flatMap(\.policyPeers),
            ports: rule.ports?.map(PortRule.init))
    }
}

extension PolicyAction {
    fileprivate init(_ action: ClusterNetworkPolicyRule.Action) {
        switch action {
        case .accept: self = .allow
        case .deny: self = .deny
        case .pass: self = .pass
        }
    }
}

extension ClusterNetworkPolicyPeer {
    /// The field of a peer that can't be programmed: the policy that has one fails closed.
    fileprivate var unsupported: String? {
        switch self {
        case .nodes: "nodes"
        case .domainNames: "domainNames"
        case .namespaces, .pods, .networks: nil
        }
    }

    fileprivate var policyPeers: [PolicyPeer] {
        switch self {
        case .namespaces(let namespaces):
            [.pods(namespaceSelector: PolicySelector(namespaces), podSelector: nil)]
        case .pods(let namespaces, let pods):
            [.pods(namespaceSelector: PolicySelector(namespaces), podSelector: PolicySelector(pods))]
        case .networks(let networks): networks.map { .block($0, except: []) }
        case .nodes, .domainNames: []
        }
    }
}
