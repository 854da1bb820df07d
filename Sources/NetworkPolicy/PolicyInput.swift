public import Addressing

/// One change of the cluster, as the compiler and the oracle take it.
public enum PolicyInput: Sendable, Hashable {
    case pod(PolicyPod)
    case podRemoved(PodKey)
    case namespace(String, labels: [String: String])
    case namespaceRemoved(String)
    case policy(NetworkPolicyObject)
    case policyRemoved(namespace: String, name: String)
    case clusterPolicy(ClusterPolicyObject)
    case clusterPolicyRemoved(String)
    /// A node and its addresses; only those of the own node matter to NetworkPolicy.
    case node(String, addresses: [IPAddress])
    case nodeRemoved(String)
    /// The addresses on this node's own interfaces, replacing the set given before.
    case localAddresses(Set<IPAddress>)
}
