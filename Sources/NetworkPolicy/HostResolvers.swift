internal import Addressing

/// The resolvers of the cluster, and those among them that run in the network of their node: peers of the rule that
/// lets pods ask for names, by the addresses of their nodes.
struct HostResolvers {
    private static let namespace = "kube-system"
    private static let selector = CanonicalSelector(
        LabelSelector(matchExpressions: [LabelRequirement("k8s-app", .isIn, ["kube-dns", "node-local-dns"])]))

    /// Those with addresses of their own.
    static let onPodNetwork = PodSet(scope: .named(namespace), selector: selector)

    private(set) var pods: [PodKey: PolicyPod] = [:]
    /// How many of them have each address: a node may run several.
    private var counts: [IPAddress: Int] = [:]

    var addresses: some Collection<IPAddress> { counts.keys }

    func contains(_ address: IPAddress) -> Bool { counts[address] != nil }

    /// Takes in a pod as it is now (nil: it is gone); returns the addresses that have become a resolver's, or are none
    /// any more.
    mutating func update(_ key: PodKey, _ pod: PolicyPod?) -> Set<IPAddress> {
        guard key.namespace == Self.namespace else { return [] }
        let isOne = pod.map { $0.isHostNetwork && !$0.isTerminated && Self.selector.matches($0.labels) } ?? false
        let (old, new) = (Set(pods[key]?.addresses ?? []), isOne ? Set(pod?.addresses ?? []) : [])
        pods[key] = isOne ? pod : nil
        return old.symmetricDifference(new).filter { address in
            let count = counts[address] ?? 0
            let now = new.contains(address) ? count + 1 : count - 1
            counts[address] = now == 0 ? nil : now
            return (count == 0) != (now == 0)
        }
    }
}
