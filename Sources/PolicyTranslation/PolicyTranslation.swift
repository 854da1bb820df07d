package import Kubernetes
package import NetworkPolicy

extension PolicyInput {
    /// What a Kubernetes object says to the policy compiler; nil for kinds that say nothing, and for those that
    /// `NamespaceLabels` and `NodePeers` translate.
    init?(_ object: KubernetesObject) {
        switch object {
        case .node(let node): self = .node(node.meta.name, addresses: node.addresses.map(\.address))
        case .pod(let pod): self = .pod(PolicyPod(pod))
        case .networkPolicy(let policy): self = .policy(NetworkPolicyObject(policy))
        case .fqdnNetworkPolicy(let policy): self = .fqdnPolicy(FQDNPolicyObject(policy))
        case .namespace, .clusterNetworkPolicy, .service, .endpointSlice, .networkLogging: return nil
        }
    }

    /// What the deletion of an object says to the policy compiler.
    init?(deleted key: ObjectKey) {
        switch key.kind {
        case .node: self = .nodeRemoved(key.name)
        case .pod: self = .podRemoved(PodKey(namespace: key.namespace, name: key.name))
        case .networkPolicy: self = .policyRemoved(namespace: key.namespace, name: key.name)
        case .clusterNetworkPolicy: self = .clusterPolicyRemoved(key.name)
        case .fqdnNetworkPolicy: self = .fqdnPolicyRemoved(namespace: key.namespace, name: key.name)
        case .namespace, .service, .endpointSlice, .networkLogging: return nil
        }
    }
}

extension PolicyPod {
    init(_ pod: Pod) {
        self.init(
            key: PodKey(namespace: pod.meta.namespace, name: pod.meta.name), labels: pod.meta.labels,
            addresses: pod.addresses, node: pod.nodeName, isHostNetwork: pod.usesHostNetwork,
            namedPorts: pod.ports.filter { !$0.name.isEmpty }
                .map { PolicyNamedPort(name: $0.name, ipProtocol: $0.ipProtocol, port: $0.port) },
            isTerminated: pod.isFinished)
    }
}

extension NetworkPolicyObject {
    init(_ policy: Kubernetes.NetworkPolicy) {
        self.init(
            namespace: policy.meta.namespace, name: policy.meta.name,
            podSelector: PolicySelector(policy.podSelector),
            policyTypes: policy.policyTypes.map { Set($0.map { $0 == .ingress ? .ingress : .egress }) },
            ingress: (policy.ingress ?? []).map(PolicyRule.init), egress: (policy.egress ?? []).map(PolicyRule.init),
            isAudited: policy.meta.isPolicyAudited)
    }
}

extension PolicyRule {
    init(_ rule: NetworkPolicyRule) {
        self.init(peers: rule.peers?.map(PolicyPeer.init), ports: rule.ports?.map(PortRule.init))
    }
}

extension PolicyPeer {
    init(_ peer: NetworkPolicyPeer) {
        switch peer {
        case .ipBlock(let block, let except): self = .block(block, except: except)
        case .selectors(let pods, let namespaces):
            self = .pods(
                namespaceSelector: namespaces.map(PolicySelector.init),
                podSelector: pods.map(PolicySelector.init))
        case .unreadable: self = .addresses([])
        }
    }
}

extension PortRule {
    init(_ port: NetworkPolicyPort) {
        switch (port.port, port.endPort) {
        case (nil, _): self.init(port.ipProtocol, .any)
        case (.name(let name), _): self.init(port.ipProtocol, .name(name))
        case (.number(let first), nil): self.init(port.ipProtocol, .number(Int(first)))
        case (.number(let first), let last?): self.init(port.ipProtocol, .range(Int(first), Int(last)))
        }
    }
}

extension PolicySelector {
    /// A selector as policies know it.
    package init(_ selector: Kubernetes.LabelSelector) {
        self.init(
            matchLabels: selector.matchLabels,
            matchExpressions: selector.matchExpressions.map { requirement in
                PolicyRequirement(
                    requirement.key, PolicyRequirement.Operator(requirement.operator), requirement.values)
            })
    }
}

extension PolicyRequirement.Operator {
    init(_ operation: Kubernetes.LabelRequirement.Operator) {
        switch operation {
        case .in: self = .isIn
        case .notIn: self = .notIn
        case .exists: self = .exists
        case .doesNotExist: self = .doesNotExist
        }
    }
}
