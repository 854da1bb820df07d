internal import Addressing
internal import NetworkPolicy
import Testing

/// A small cluster that tests word their expectations against.
enum Shop {
    static let node = "n1"

    static let web = PolicyPod(
        key: PodKey(namespace: "shop", name: "web"), labels: ["app": "web", "tier": "front"],
        addresses: addresses("10.0.0.2", "fd00::2"), node: "n1",
        namedPorts: [NamedPort(name: "http", ipProtocol: .tcp, port: 8080)])
    static let db = PolicyPod(
        key: PodKey(namespace: "shop", name: "db"), labels: ["app": "db", "tier": "back"],
        addresses: addresses("10.0.0.3", "fd00::3"), node: "n1",
        namedPorts: [
            NamedPort(name: "http", ipProtocol: .tcp, port: 80), NamedPort(name: "dns", ipProtocol: .udp, port: 53),
        ])
    static let probe = PolicyPod(
        key: PodKey(namespace: "ops", name: "probe"), labels: ["app": "probe"],
        addresses: addresses("10.0.1.2", "fd00::1:2"), node: "n2")
    static let opsWeb = PolicyPod(
        key: PodKey(namespace: "ops", name: "web"), labels: ["app": "web"],
        addresses: addresses("10.0.1.3", "fd00::1:3"), node: "n2",
        namedPorts: [NamedPort(name: "http", ipProtocol: .tcp, port: 9090)])
    /// Shares the address of its node.
    static let host = PolicyPod(
        key: PodKey(namespace: "shop", name: "host"), labels: ["app": "web"], addresses: addresses("192.168.0.2"),
        node: "n2", isHostNetwork: true, namedPorts: [NamedPort(name: "http", ipProtocol: .tcp, port: 7070)])
    static let localHost = PolicyPod(
        key: PodKey(namespace: "shop", name: "localhost"), labels: ["app": "web"],
        addresses: addresses("192.168.0.1"), node: "n1", isHostNetwork: true)
    /// Has finished; its address is now the probe's.
    static let done = PolicyPod(
        key: PodKey(namespace: "ops", name: "done"), labels: ["app": "web"], addresses: addresses("10.0.1.2"),
        node: "n2", isTerminated: true)

    static let objects: [PolicyInput] = [
        .namespace("shop", labels: ["kubernetes.io/metadata.name": "shop", "env": "prod"]),
        .namespace("ops", labels: ["kubernetes.io/metadata.name": "ops", "env": "dev", "team": "red"]),
        .node("n1", addresses: addresses("192.168.0.1")), .node("n2", addresses: addresses("192.168.0.2")),
        .localAddresses(Set(addresses("192.168.0.1", "10.0.0.1"))),
        .pod(web), .pod(db), .pod(probe), .pod(opsWeb), .pod(host), .pod(localHost), .pod(done),
    ]

    static func addresses(_ texts: String...) -> [IPAddress] { texts.compactMap { IPAddress($0) } }

    /// A policy of the namespace `shop`.
    static func policy(
        _ name: String = "p", select: LabelSelector = .everything, types: Set<PolicyDirection>? = nil,
        ingress: [PolicyRule] = [], egress: [PolicyRule] = []
    ) -> NetworkPolicyObject {
        NetworkPolicyObject(
            namespace: "shop", name: name, podSelector: select, policyTypes: types, ingress: ingress, egress: egress)
    }

    static func labels(_ pairs: [String: String]) -> LabelSelector { LabelSelector(matchLabels: pairs) }

    static func expression(_ key: String, _ comparison: LabelRequirement.Operator, _ values: String...) -> LabelSelector
    {
        LabelSelector(matchExpressions: [LabelRequirement(key, comparison, values)])
    }

    static func pods(_ pods: LabelSelector? = nil, in namespaces: LabelSelector? = nil) -> PolicyPeer {
        .pods(namespaceSelector: namespaces, podSelector: pods)
    }

    static func block(_ text: String, except: String...) throws -> PolicyPeer {
        .block(try #require(CIDR(text)), except: try except.map { try #require(CIDR($0)) })
    }

    /// A packet from words like `shop/db from ops/web TCP 80`; a pod's second address is `ops/web/v6`.
    static func query(_ words: [Substring]) throws -> PolicyQuery {
        let endpoint = words[0].split(separator: "/")
        return PolicyQuery(
            endpoint: PodKey(namespace: String(endpoint[0]), name: String(endpoint[1])),
            direction: words[1] == "from" ? .ingress : .egress, peer: try address(String(words[2])),
            ipProtocol: try #require(IPProtocol(String(words[3]))), port: try #require(Port(words[4])))
    }

    private static func address(_ text: String) throws -> IPAddress {
        let pods = [web, db, probe, opsWeb]
        let parts = text.split(separator: "/")
        if parts.count > 1, let pod = pods.first(where: { $0.key.name == parts[1] && $0.key.namespace == parts[0] }) {
            return parts.count == 3 ? pod.addresses[1] : pod.addresses[0]
        }
        return try #require(IPAddress(text))
    }
}
