import Addressing
import BenchSupport

/// The Kubernetes objects of the network of names, as files of YAML.
enum NameManifests {
    /// The file with the policy that has names.
    static let policyFile = "names.yaml"
    /// Where the web server listens.
    static let port: Port = 7100
    /// To a port that is no resolver's, and in the same messages.
    static let plainPort: Port = 54

    static func files(node: String, _ nodeAddress: IPAddress, pods: [(name: String, address: IPAddress)]) -> [String:
        String]
    {
        let node = """
            apiVersion: v1
            kind: Node
            metadata: {name: \(node)}
            spec: {podCIDR: 10.244.1.0/24}
            status: {addresses: [{type: InternalIP, address: \(nodeAddress)}]}
            """
        let objects = [node] + pods.map { pod($0.name, $0.address, on: nodeAddress) }
        return ["cluster.yaml": objects.joined(separator: "\n---\n") + "\n"]
    }

    private static func pod(_ name: String, _ address: IPAddress, on node: IPAddress) -> String {
        let isResolver = name == "dns"
        return """
            apiVersion: v1
            kind: Pod
            metadata:
              name: \(name)
              namespace: \(isResolver ? "kube-system" : "default")
              uid: uid-\(name)
              labels: {\(isResolver ? "k8s-app: kube-dns" : "app: \(name)")}
            spec: {nodeName: \(NameNetwork.node), containers: [{name: main}]}
            status: {phase: Running, hostIP: \(node), podIP: \(address), podIPs: [{ip: \(address)}]}
            """
    }

    /// A policy that lets the client reach what has one of the names, and ask anybody for them.
    static func policy(_ patterns: NamePatterns) -> String {
        let matches =
            patterns.names.map { "  - {name: \($0)}" } + patterns.patterns.map { "  - {pattern: \"\($0)\"}" }
        return """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: ask, namespace: default}
            spec:
              podSelector: {matchLabels: {app: client}}
              policyTypes: [Egress]
              egress: [{ports: [{protocol: UDP, port: 53}, {protocol: UDP, port: \(plainPort)}]}]
            ---
            apiVersion: networking.gke.io/v1alpha1
            kind: FQDNNetworkPolicy
            metadata: {name: names, namespace: default}
            spec:
              podSelector: {matchLabels: {app: client}}
              egress:
              - ports: [{protocol: TCP, port: \(port)}]
                matches:
            \(matches.map { "  " + $0 }.joined(separator: "\n"))

            """
    }
}
