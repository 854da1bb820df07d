public import Addressing
public import NetworkPolicy

/// A cluster of namespaces with 100 pods and two policies each; ten of the pods are on this node.
public struct TeamCluster {
    public static let podsOfNamespace = 100
    public static let policiesOfNamespace = 2

    private var compiler = PolicyCompiler(node: "here")

    /// - Parameter role: What the pods are; as `client` each of them has a class.
    public init(namespaces: Int, role: String = "other") {
        var inputs: [PolicyInput] = []
        for number in 0..<namespaces {
            inputs.append(.namespace("n\(number)", labels: ["team": "t\(number % 10)"]))
            inputs += (0..<Self.podsOfNamespace).map { .pod(Self.pod(number, $0, role: role)) }
            inputs += ["web", "db"].map { .policy(Self.policy(number, $0)) }
        }
        _ = compiler.apply(inputs)
    }

    private static func pod(_ namespace: Int, _ number: Int, role: String) -> PolicyPod {
        let address = IPAddress(v4: 10 << 24 | UInt32(namespace) << 8 | UInt32(number))
        return PolicyPod(
            key: PodKey(namespace: "n\(namespace)", name: "p\(number)"),
            labels: ["app": number == 0 ? "web" : "db", "role": role], addresses: [address],
            node: namespace < 10 && number == 0 ? "here" : "there")
    }

    /// Admits the clients of the namespace's team.
    private static func policy(_ namespace: Int, _ app: String) -> NetworkPolicyObject {
        let team = LabelSelector(matchLabels: ["team": "t\(namespace % 10)"])
        let clients = LabelSelector(matchLabels: ["role": "client"])
        return NetworkPolicyObject(
            namespace: "n\(namespace)", name: app, podSelector: LabelSelector(matchLabels: ["app": app]),
            ingress: [PolicyRule(peers: [.pods(namespaceSelector: team, podSelector: clients)])])
    }

    /// Gives a pod on another node another role.
    ///
    /// - Parameter role: `client` makes it one that policies of this node admit.
    /// - Returns: What that took, and the edits that come of it.
    public mutating func change(role: String) -> (work: PolicyWork, edits: [PolicyEdit]) {
        let before = compiler.work
        let edits = compiler.apply(.pod(Self.pod(15, 7, role: role)))
        return (compiler.work - before, edits)
    }

    /// The edits that lead to the cluster as it is.
    public func everything() -> [PolicyEdit] { compiler.everything() }

    /// The pods of this node.
    public var localPods: [(key: PodKey, address: IPAddress)] {
        (0..<10).compactMap { number in
            let pod = Self.pod(number, 0, role: "")
            return pod.addresses.first.map { (pod.key, $0) }
        }
    }
}
