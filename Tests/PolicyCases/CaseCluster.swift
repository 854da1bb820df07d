package import Addressing
internal import FoundationEssentials

/// The cluster of the policy cases: namespaces `x`, `y` and `z` with pods `a`, `b` and `c` each, all on one node, and a
/// host outside.
package enum CaseCluster {
    /// Everyone who asks and is asked.
    package struct Member: Sendable, Hashable {
        /// `x/a`, `node` or `outside`.
        package var name: String
        /// One of each family.
        package var addresses: [IPAddress]

        /// The name of its host in a lab.
        package var host: String { name == "node" ? CaseCluster.node : name.replacing("/", with: "-") }
        /// Whether policies can speak for it.
        package var isPod: Bool { name.contains("/") }
    }

    package static let namespaces = ["x", "y", "z"]
    /// The node of all pods.
    package static let node = "node-a"
    package static let podNames = namespaces.flatMap { space in ["a", "b", "c"].map { "\(space)/\($0)" } }
    /// The ports that every member serves by TCP, UDP and SCTP.
    package static let ports: [Port] = [80, 81]
    package static let protocols: [IPProtocol] = [.tcp, .udp, .sctp]

    /// The pods, the node, and the host outside; with the addresses that a lab's plan gives them.
    package static let members: [Member] =
        podNames.enumerated().map { index, name in
            member(name, "10.244.1.\(10 + index)", "fd00:10:244:1::" + String(10 + index, radix: 16))
        } + [
            member("node", "172.31.0.11", "fd00:172:31::11"), member("outside", "172.31.0.101", "fd00:172:31::101"),
        ]

    private static func member(_ name: String, _ addresses: String...) -> Member {
        Member(name: name, addresses: addresses.compactMap { IPAddress($0) })
    }

    /// The names of each pod's ports: `a` and `b` mean other numbers by the same name, and `c` has some of its own.
    private static let portNames: [String: [(String, IPProtocol, Port)]] = [
        "a": [("web", .tcp, 80), ("metrics", .tcp, 81), ("dns", .udp, 80), ("signal", .sctp, 80)],
        "b": [("web", .tcp, 81), ("metrics", .tcp, 80), ("dns", .udp, 81), ("signal", .sctp, 81)],
        "c": [("both", .tcp, 80), ("both", .udp, 80), ("both", .sctp, 81)],
    ]

    /// All objects of a step as one file in JSON.
    ///
    /// - Parameter marker: How many more namespaces there are, which nothing else looks at: whoever waits for a step to
    ///   be in force can count them.
    package static func manifest(_ step: PolicyStep, marker: Int = 0) throws -> String {
        let base =
            [try json(nodeObject)]
            + (try namespaces.filter { !step.gone.contains($0) }.map {
                try json(namespace($0, labels: step.labels[$0] ?? [:]))
            })
            + (try (0..<marker).map { try json(namespace("marker-\($0)", labels: [:])) })
            + (try podNames.filter { !step.isGone($0) }.map {
                try json(pod($0, labels: step.labels[$0] ?? [:], ports: try step.ports[$0].map(containerPorts)))
            }) + [try json(hostNetworkPod)]
        return (base + step.manifests.sorted { $0.key < $1.key }.map(\.value)).joined(separator: "\n")
    }

    private static var nodeObject: Object {
        Object(
            apiVersion: "v1", kind: "Node",
            metadata: Metadata(name: node, labels: ["kubernetes.io/hostname": node, "pool": "edge"]),
            status: Status(addresses: addresses(of: "node").map { NodeAddress(type: "InternalIP", address: "\($0)") }))
    }

    private static func namespace(_ name: String, labels: [String: String]) -> Object {
        Object(
            apiVersion: "v1", kind: "Namespace",
            metadata: Metadata(name: name, labels: ["ns": name].merging(labels) { $1 }))
    }

    /// The ports of lines such as `web tcp 81`.
    private static func containerPorts(_ lines: [String]) throws -> [ContainerPort] {
        try lines.map { line in
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 3, let port = Port(words[2]) else {
                throw PolicyCaseFile.Problem(description: "'\(line)': expected NAME PROTOCOL NUMBER")
            }
            return ContainerPort(name: words[0], containerPort: port, protocol: words[1].uppercased())
        }
    }

    private static func pod(_ name: String, labels: [String: String], ports: [ContainerPort]?) -> Object {
        let parts = name.split(separator: "/").map(String.init)
        let own = (portNames[parts[1]] ?? []).map {
            ContainerPort(name: $0.0, containerPort: $0.2, protocol: "\($0.1)")
        }
        return pod(
            Metadata(
                name: parts[1], namespace: parts[0], uid: name, labels: ["pod": parts[1]].merging(labels) { $1 }),
            Specification(nodeName: node, containers: [Container(name: "main", image: "none", ports: ports ?? own)]),
            addresses(of: name))
    }

    /// A pod with labels like those of others and the node's addresses.
    private static var hostNetworkPod: Object {
        pod(
            Metadata(name: "host", namespace: "x", uid: "x/host", labels: ["pod": "a", "host": "yes"]),
            Specification(
                nodeName: node, hostNetwork: true, containers: [Container(name: "main", image: "none", ports: [])]),
            addresses(of: "node"))
    }

    private static func pod(_ metadata: Metadata, _ spec: Specification, _ addresses: [IPAddress]) -> Object {
        Object(
            apiVersion: "v1", kind: "Pod", metadata: metadata, spec: spec,
            status: Status(
                phase: "Running", podIP: "\(addresses[0])", podIPs: addresses.map { PodAddress(ip: "\($0)") }))
    }

    private static func addresses(of name: String) -> [IPAddress] {
        members.first { $0.name == name }?.addresses ?? []
    }

    private static func json(_ object: Object) throws -> String {
        String(decoding: try JSONEncoder().encode(object), as: UTF8.self)
    }
}
