internal import Addressing
internal import Flows

/// One line of the policy log, in the form that GKE's readers know.
struct PolicyLogRecord: Sendable {
    enum Disposition: String, Sendable {
        case allow, deny
    }

    let flow: Flow
    let direction: Flow.Direction
    let disposition: Disposition
    let policy: PolicyLogChoice.Policy?
    let count: UInt64

    /// The line, without its end.
    var json: String {
        var object = JSONObject()
        object.add("connection", connection)
        object.add("disposition", disposition.rawValue)
        object.add("policies", policy.map { [Self.object($0)] } ?? [])
        object.add("src", Self.object(flow.source))
        object.add("dest", Self.object(flow.destination))
        object.add("count", count)
        object.add("node_name", flow.node)
        object.add("timestamp", Timestamp.text(flow.time))
        return object.text
    }

    private var connection: JSONObject {
        var object = JSONObject()
        object.add("src_ip", "\(flow.tuple.source.address)")
        object.add("dest_ip", "\(flow.tuple.destination.address)")
        if flow.tuple.ipProtocol.hasPorts {
            for (name, port) in [("src_port", flow.tuple.source.port), ("dest_port", flow.tuple.destination.port)]
            where port != 0 {
                object.add(name, port)
            }
        }
        object.add("protocol", Self.name(flow.tuple.ipProtocol))
        object.add("direction", direction.rawValue)
        return object
    }

    private static func name(_ ipProtocol: IPProtocol) -> String {
        switch ipProtocol {
        case .tcp, .udp, .icmp, .icmpv6, .sctp: ipProtocol.description.lowercased()
        default: "unknown"
        }
    }

    private static func object(_ policy: PolicyLogChoice.Policy) -> JSONObject {
        var object = JSONObject()
        object.add("kind", policy.kind)
        object.add("namespace", policy.namespace)
        object.add("name", policy.name)
        return object
    }

    /// A pod by its names, a node by its name and address, all else by its address.
    private static func object(_ peer: Peer) -> JSONObject {
        var object = JSONObject()
        switch peer.kind {
        case .pod:
            object.add("pod_name", peer.name)
            object.add("pod_namespace", peer.namespace)
            object.add("namespace", peer.namespace)
            object.add("workload_kind", peer.workload?.kind)
            object.add("workload_name", peer.workload?.name)
            object.add("node_name", peer.node)
        case .node:
            object.add("workload_kind", "Node")
            object.add("workload_name", peer.name)
            object.add("node_name", peer.name)
            object.add("instance", "\(peer.address)")
        case .service, .world:
            object.add("instance", "\(peer.address)")
        }
        return object
    }
}
