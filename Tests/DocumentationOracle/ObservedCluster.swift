internal import Addressing
package import Kubernetes

/// What the documentation speaks of: namespaces, nodes, pods and their policies, as the API has them.
package struct ObservedCluster: Sendable {
    /// Every pod, also those of the host network and those that have ended.
    package var pods: [Pod] = []
    /// Every node.
    package var nodes: [Node] = []
    /// Every namespaced policy.
    package var networkPolicies: [NetworkPolicy] = []
    /// Every policy of the administrators.
    package var clusterPolicies: [ClusterNetworkPolicy] = []
    /// The labels of every namespace that has an object or a pod.
    private var namespaceLabels: [String: [String: String]] = [:]
    /// The pods by their addresses, without those of the host network: their addresses are the node's.
    private var podOfAddress: [IPAddress: Pod] = [:]

    /// A cluster of these objects; kinds that say nothing of policy are skipped.
    package init(_ objects: some Sequence<KubernetesObject>) {
        for object in objects {
            switch object {
            case .namespace(let namespace): namespaceLabels[namespace.meta.name] = namespace.meta.labels
            case .node(let node): nodes.append(node)
            case .pod(let pod): pods.append(pod)
            case .networkPolicy(let policy): networkPolicies.append(policy)
            case .clusterNetworkPolicy(let policy): clusterPolicies.append(policy)
            case .fqdnNetworkPolicy: break
            case .service, .endpointSlice, .networkLogging: break
            }
        }
        for pod in pods {
            for address in pod.usesHostNetwork ? [] : pod.liveAddresses { podOfAddress[address] = pod }
        }
        // The control plane puts its name among the labels of every namespace, and no pod is without a namespace.
        for name in Set(namespaceLabels.keys).union(pods.map(\.meta.namespace)) {
            namespaceLabels[name, default: [:]]["kubernetes.io/metadata.name"] = name
        }
    }

    /// The labels of a namespace.
    func labels(ofNamespace name: String) -> [String: String] { namespaceLabels[name] ?? [:] }

    /// The pod that an address belongs to.
    func pod(at address: IPAddress) -> Pod? { podOfAddress[address] }

    /// Whether the address is one of the node that the pod runs on.
    func isOwnNode(_ address: IPAddress, of pod: Pod) -> Bool {
        nodes.contains { $0.meta.name == pod.nodeName && $0.addresses.contains { $0.address == address } }
    }

    /// Whether the address is one of a node with such labels.
    func isNode(_ address: IPAddress, selectedBy selector: LabelSelector) -> Bool {
        nodes.contains { node in
            selector.matches(node.meta.labels) && node.addresses.contains { $0.address == address }
        }
    }
}
