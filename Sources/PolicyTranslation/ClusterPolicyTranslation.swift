internal import Addressing
internal import DomainNames
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
            egress: policy.egress.enumerated().map { index, rule in
                // What can't be read is told by `domainNameProblems`.
                var problems: [InvalidField] = []
                var translated = ClusterPolicyRule(rule, nodes)
                translated.fields = rule.domainNameFields(at: index, &problems)
                return translated
            }, isAudited: policy.meta.isPolicyAudited,
            created: policy.meta.creationTimestamp, invalidFields: policy.domainNameProblems)
    }
}

extension ClusterPolicyRule {
    fileprivate init(_ rule: ClusterNetworkPolicyRule, _ nodes: (PolicySelector) -> [IPAddress]) {
        self.init(
            name: rule.name, action: PolicyAction(rule.action),
            peers: rule.peers.flatMap { $0.policyPeers(rule.action, nodes) }, ports: rule.ports?.map(PortRule.init))
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
    fileprivate func policyPeers(
        _ action: ClusterNetworkPolicyRule.Action, _ nodes: (PolicySelector) -> [IPAddress]
    ) -> [PolicyPeer] {
        switch self {
        case .namespaces(let namespaces):
            [.pods(namespaceSelector: PolicySelector(namespaces), podSelector: nil)]
        case .pods(let namespaces, let pods):
            [.pods(namespaceSelector: PolicySelector(namespaces), podSelector: PolicySelector(pods))]
        case .networks(let networks): networks.map { .block($0, except: []) }
        case .nodes(let selector): [.addresses(nodes(PolicySelector(selector)))]
        case .domainNames(let names):
            // A name that can't be read is told by `domainNameProblems`.
            [.domains(names.compactMap { try? DomainPattern(clusterDomain: $0) })]
        case .unreadable where action == .accept: [.addresses([])]
        case .unreadable:
            [IPAddress.unspecifiedIPv4, .unspecifiedIPv6].compactMap { CIDR($0, length: 0) }
                .map { .block($0, except: []) }
        }
    }
}
