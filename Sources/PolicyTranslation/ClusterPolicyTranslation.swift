internal import Addressing
internal import Kubernetes
internal import NetworkPolicy

extension ClusterPolicyObject {
    /// The policy with the addresses of the nodes that its peers select, which `nodes` gives.
    init(_ policy: ClusterNetworkPolicy, nodes: (PolicySelector) -> [IPAddress]) {
        self.init(
            name: policy.meta.name, tier: policy.tier == .admin ? .admin : .baseline, priority: policy.priority,
            namespaceSelector: PolicySelector(policy.namespaceSelector),
            podSelector: PolicySelector(policy.podSelector),
            ingress: policy.ingress.map { ClusterPolicyRule($0, nodes) },
            egress: policy.egress.map { ClusterPolicyRule($0, nodes) }, isAudited: policy.meta.isPolicyAudited,
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
    fileprivate init(_ rule: ClusterNetworkPolicyRule, _ nodes: (PolicySelector) -> [IPAddress]) {
        self.init(
            name: rule.name, action: PolicyAction(rule.action),
            peers: rule.peers.flatMap { $0.policyPeers(nodes) }, ports: rule.ports?.map(PortRule.init))
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
        case .domainNames: "domainNames"
        case .namespaces, .pods, .nodes, .networks: nil
        }
    }

    fileprivate func policyPeers(_ nodes: (PolicySelector) -> [IPAddress]) -> [PolicyPeer] {
        switch self {
        case .namespaces(let namespaces):
            [.pods(namespaceSelector: PolicySelector(namespaces), podSelector: nil)]
        case .pods(let namespaces, let pods):
            [.pods(namespaceSelector: PolicySelector(namespaces), podSelector: PolicySelector(pods))]
        case .networks(let networks): networks.map { .block($0, except: []) }
        case .nodes(let selector): [.addresses(nodes(PolicySelector(selector)))]
        case .domainNames: []
        }
    }
}
