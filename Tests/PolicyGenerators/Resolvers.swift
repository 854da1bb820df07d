internal import Addressing
internal import NetworkPolicy

/// The cluster's resolvers, on their nodes' network or not, and pods that only look like some.
extension ClusterGenerator {
    private static let resolverNamespace = "kube-system"
    private static let resolvers = 3

    mutating func setResolvers() -> [PolicyInput] {
        let labels = ["kubernetes.io/metadata.name": Self.resolverNamespace]
        namespaces[Self.resolverNamespace] = labels
        return [.namespace(Self.resolverNamespace, labels: labels, isAudited: false)]
            + (0..<Self.resolvers).map { setResolver($0) }
    }

    /// One comes, goes, moves, or becomes something else.
    mutating func changeResolver() -> PolicyInput {
        let number = roll(Self.resolvers)
        if chance(70) { return setResolver(number) }
        pods[Self.resolver(number)] = nil
        return .podRemoved(Self.resolver(number))
    }

    /// A pod asks what may be a resolver.
    mutating func resolverQuery(from endpoint: PodKey) -> PolicyQuery {
        let found = (0..<Self.resolvers).flatMap { pods[Self.resolver($0)]?.addresses ?? [] }
        let peer = found.isEmpty ? peerAddress() : found.pick(&random)
        return PolicyQuery(
            endpoint: endpoint, direction: .egress, peer: peer, ipProtocol: [.udp, .tcp].pick(&random),
            port: chance(80) ? 53 : 80, peerNames: [])
    }

    private mutating func setResolver(_ number: Int) -> PolicyInput {
        var pod = PolicyPod(key: Self.resolver(number))
        pod.labels = ["k8s-app": ["kube-dns", "kube-dns", "node-local-dns", "metrics"].pick(&random)]
        pod.isTerminated = chance(10)
        pod.isHostNetwork = chance(70)
        pod.node = chance(50) ? Self.node : "n2"
        pod.addresses =
            pod.isHostNetwork ? nodes[pod.node ?? ""] ?? [] : Pools.podAddresses(40 + number, random.families())
        pods[pod.key] = pod
        return .pod(pod)
    }

    private static func resolver(_ number: Int) -> PodKey {
        PodKey(namespace: resolverNamespace, name: "dns\(number)")
    }
}
