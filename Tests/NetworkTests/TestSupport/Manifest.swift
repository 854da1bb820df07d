import Addressing
import TestSupport

/// Manifests of the tests' own objects, as short as the API server would accept them.
enum Manifest {
    /// A running pod of a lab host.
    static func pod(
        _ host: LabHost, namespace: String = "default", name: String? = nil, uid: String? = nil,
        labels: [String: String] = [:], node: String = "node-a"
    ) -> String {
        pod(
            name ?? host.name, namespace: namespace, uid: uid, labels: labels, node: node, addresses: host.addresses)
    }

    /// A Node with the addresses and ranges that a lab's node has.
    static func node(_ plan: NodePlan) -> String {
        let addresses = plan.addresses.map { "{type: InternalIP, address: \"\($0)\"}" }
        return """
            apiVersion: v1
            kind: Node
            metadata: {name: \(plan.name), uid: uid-\(plan.name)}
            spec:
              podCIDR: "\(plan.podRanges[0])"
              podCIDRs: [\(plan.podRanges.map { "\"\($0)\"" }.joined(separator: ", "))]
            status:
              addresses: [\(addresses.joined(separator: ", "))]

            """
    }

    /// A running pod of `node-a`, or another node.
    static func pod(
        _ name: String, namespace: String = "default", uid: String? = nil, labels: [String: String] = [:],
        node: String = "node-a",
        addresses: [IPAddress]
    ) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: \(name)
          namespace: \(namespace)
          uid: \(uid ?? "uid-\(name)")
          labels: {\(labels.map { "\($0.key): \($0.value)" }.joined(separator: ", "))}
        spec:
          nodeName: \(node)
          containers: [{name: main, image: none}]
        status:
          phase: Running
          podIP: "\(addresses[0])"
          podIPs: [\(addresses.map { "{ip: \"\($0)\"}" }.joined(separator: ", "))]

        """
    }

    /// A pod of `node-a` that the kubelet has yet to start: nobody knows its addresses.
    static func boundPod(_ name: String, uid: String? = nil, labels: [String: String] = [:]) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata:
          name: \(name)
          namespace: default
          uid: \(uid ?? "uid-\(name)")
          labels: {\(labels.map { "\($0.key): \($0.value)" }.joined(separator: ", "))}
        spec:
          nodeName: node-a
          containers: [{name: main, image: none}]
        status: {phase: Pending}

        """
    }

    /// A port of a Service and of its endpoints.
    struct ServicePort {
        var ipProtocol: IPProtocol
        var port: Port
        var target: Port

        var name: String { "\(ipProtocol)".lowercased() + "-\(port)" }
    }

    /// A Service and its endpoints, one slice for each family.
    static func service(
        _ name: String, clusterIPs: [IPAddress], ports: [ServicePort], endpoints: [IPAddress]
    ) -> String {
        let list = ports.map { "{name: \($0.name), protocol: \($0.ipProtocol), port: \($0.port)}" }
        let service = """
            apiVersion: v1
            kind: Service
            metadata: {name: \(name), namespace: default, uid: uid-\(name)}
            spec:
              type: ClusterIP
              clusterIP: "\(clusterIPs[0])"
              clusterIPs: [\(clusterIPs.map { "\"\($0)\"" }.joined(separator: ", "))]
              ports: [\(list.joined(separator: ", "))]

            """
        let slices = [true, false].map { isIPv4 in
            slice(name, isIPv4: isIPv4, ports, endpoints.filter { $0.isIPv4 == isIPv4 })
        }
        return ([service] + slices).joined(separator: "---\n")
    }

    private static func slice(
        _ service: String, isIPv4: Bool, _ ports: [ServicePort], _ endpoints: [IPAddress]
    ) -> String {
        let list = ports.map { "{name: \($0.name), protocol: \($0.ipProtocol), port: \($0.target)}" }
        let addresses = endpoints.map { "{addresses: [\"\($0)\"], conditions: {ready: true}, nodeName: node-a}" }
        return """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            addressType: \(isIPv4 ? "IPv4" : "IPv6")
            metadata:
              name: \(service)-\(isIPv4 ? "v4" : "v6")
              namespace: default
              labels: {kubernetes.io/service-name: \(service)}
            ports: [\(list.joined(separator: ", "))]
            endpoints: [\(addresses.joined(separator: ", "))]

            """
    }

    /// A NetworkPolicy of namespace `default` with the given specification in flow style.
    static func policy(_ name: String, _ specification: String) -> String {
        """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: \(name), namespace: default}
        spec: \(specification)

        """
    }

    /// Documents of one file.
    static func file(_ documents: [String]) -> String { documents.joined(separator: "---\n") }
}
