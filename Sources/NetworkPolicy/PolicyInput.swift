public import Addressing

/// One change of the cluster, as the compiler and the oracle take it.
public enum PolicyInput: Sendable, Hashable {
    case pod(PolicyPod)
    case podRemoved(PodKey)
    /// A namespace; `isAudited`: what the policies of its pods would deny is reported and not denied.
    case namespace(String, labels: [String: String], isAudited: Bool = false)
    case namespaceRemoved(String)
    case policy(NetworkPolicyObject)
    case policyRemoved(namespace: String, name: String)
    case clusterPolicy(ClusterPolicyObject)
    case clusterPolicyRemoved(String)
    case fqdnPolicy(FQDNPolicyObject)
    case fqdnPolicyRemoved(namespace: String, name: String)
    /// A node and its addresses; only those of the own node matter to NetworkPolicy.
    case node(String, addresses: [IPAddress])
    case nodeRemoved(String)
    /// The addresses on this node's own interfaces, replacing the set given before.
    case localAddresses(Set<IPAddress>)
}

extension PolicyInput {
    /// The policy object that this is about, nil for other kinds of objects.
    public var policy: PolicyName? {
        switch self {
        case .policy(let object): PolicyName(kind: .networkPolicy, namespace: object.namespace, name: object.name)
        case .policyRemoved(let namespace, let name):
            PolicyName(kind: .networkPolicy, namespace: namespace, name: name)
        case .clusterPolicy(let object): PolicyName(kind: .clusterNetworkPolicy, namespace: "", name: object.name)
        case .clusterPolicyRemoved(let name): PolicyName(kind: .clusterNetworkPolicy, namespace: "", name: name)
        case .fqdnPolicy(let object):
            PolicyName(kind: .fqdnNetworkPolicy, namespace: object.namespace, name: object.name)
        case .fqdnPolicyRemoved(let namespace, let name):
            PolicyName(kind: .fqdnNetworkPolicy, namespace: namespace, name: name)
        case .pod, .podRemoved, .namespace, .namespaceRemoved, .node, .nodeRemoved, .localAddresses: nil
        }
    }

    /// Whether an object is gone.
    public var isRemoval: Bool {
        switch self {
        case .podRemoved, .namespaceRemoved, .policyRemoved, .clusterPolicyRemoved, .fqdnPolicyRemoved, .nodeRemoved:
            true
        case .pod, .namespace, .policy, .clusterPolicy, .fqdnPolicy, .node, .localAddresses: false
        }
    }
}
