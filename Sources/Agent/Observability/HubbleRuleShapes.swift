internal import HubbleFlows
internal import HubbleServer
internal import Kubernetes

extension HubbleRules {
    /// Takes in changes of policies; others say nothing of rules.
    func apply(_ changes: [ObjectChange]) {
        for change in changes {
            switch change {
            case .upsert(.networkPolicy(let policy)):
                upsert(Policy(policy.key), ingress: Self.rules(policy.ingress), egress: Self.rules(policy.egress))
            case .upsert(.clusterNetworkPolicy(let policy)):
                upsert(
                    Policy(policy.key), ingress: policy.ingress.map(PolicyMatch.init),
                    egress: policy.egress.map(PolicyMatch.init))
            case .upsert(.fqdnNetworkPolicy(let policy)):
                // The last rule is the one for DNS, which nobody writes.
                upsert(
                    Policy(policy.key), ingress: [],
                    egress: policy.egress.map(PolicyMatch.init) + [PolicyMatch(restrictsPeers: true, ports: .numbers)])
            case .delete(let key): remove(Policy(key))
            case .upsert: break
            }
        }
    }

    private static func rules(_ rules: [NetworkPolicyRule]?) -> [PolicyMatch] {
        (rules ?? []).map(PolicyMatch.init)
    }
}

extension HubbleRules.Policy {
    fileprivate init(_ key: ObjectKey) {
        self.init(kind: key.kind.rawValue, namespace: key.namespace, name: key.name)
    }
}

extension NetworkPolicy {
    fileprivate var key: ObjectKey { ObjectKey(.networkPolicy, namespace: meta.namespace, name: meta.name) }
}

extension ClusterNetworkPolicy {
    fileprivate var key: ObjectKey { ObjectKey(.clusterNetworkPolicy, name: meta.name) }
}

extension FQDNNetworkPolicy {
    fileprivate var key: ObjectKey { ObjectKey(.fqdnNetworkPolicy, namespace: meta.namespace, name: meta.name) }
}

extension PolicyMatch {
    fileprivate init(_ rule: NetworkPolicyRule) {
        self.init(
            restrictsPeers: !(rule.peers ?? []).isEmpty,
            ports: Ports((rule.ports ?? []).map { (true, $0.port != nil) }))
    }

    fileprivate init(_ rule: ClusterNetworkPolicyRule) {
        self.init(restrictsPeers: true, ports: Ports((rule.ports ?? []).map { (true, $0.port != nil) }))
    }

    fileprivate init(_ rule: FQDNNetworkPolicyRule) {
        self.init(
            restrictsPeers: true, ports: Ports((rule.ports ?? []).map { ($0.ipProtocol != nil, $0.port != nil) }))
    }
}

extension PolicyMatch.Ports {
    /// What is common to the entries of a list of ports, each with whether it names a protocol and whether a port. An
    /// empty list is every port, and so is an entry that names neither.
    fileprivate init(_ entries: [(namesProtocol: Bool, namesPort: Bool)]) {
        if entries.isEmpty || entries.contains(where: { !$0.namesProtocol && !$0.namesPort }) {
            self = .any
        } else {
            self = entries.allSatisfy(\.namesPort) ? .numbers : .protocols
        }
    }
}
