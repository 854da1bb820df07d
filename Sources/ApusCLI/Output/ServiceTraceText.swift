internal import AgentAPI

/// A trace for people.
enum ServiceTraceText {
    static func text(_ trace: ServiceTrace) -> String {
        let node = trace.zone.map { "\(trace.node), zone \($0)" } ?? "\(trace.node), no zone"
        let place = trace.isFromOutside ? "from outside to \(node)" : node
        let frontend = "\(trace.frontend) \(trace.service) (\(trace.kind.text))"
        var lines = ["\(trace.client) (\(place)) -> \(frontend)", "  \(choice(trace))"]
        if !trace.sourceRanges.isEmpty { lines.append("  \(admission(trace))") }
        if let seconds = trace.affinitySeconds {
            lines.append("  session affinity: the client keeps its endpoint for \(seconds) s after its last connection")
        }
        let table = Table.text(trace.endpoints.map { Row(endpoint: $0) }, Row.columns)
        let rows =
            trace.endpoints.isEmpty ? ["the Service has no endpoints"] : table.split(separator: "\n").map(String.init)
        return (lines + rows.map { "  \($0)" }).joined(separator: "\n") + "\n"
    }

    private static func admission(_ trace: ServiceTrace) -> String {
        let ranges = "loadBalancerSourceRanges \(trace.sourceRanges.joined(separator: ", "))"
        return trace.isAdmitted ? "\(ranges) admit the client" : "\(ranges) leave the client out: it is dropped"
    }

    private static func choice(_ trace: ServiceTrace) -> String {
        let policy = trace.kind == .clusterIP ? "internalTrafficPolicy" : "externalTrafficPolicy"
        let among = trace.staysOnNode ? " of this node (\(policy) Local)" : ""
        return switch trace.choice {
        case .ready: "all ready endpoints\(among) serve"
        case .sameNode: "the ready endpoints serve whose hints name this node"
        case .sameZone: "the ready endpoints serve whose hints name this node's zone"
        case .terminating: "no endpoint\(among) is ready: those serve that are terminating"
        case .none where trace.isFromOutside && trace.staysOnNode:
            "no endpoint\(among) can serve: connections are dropped, and refused where no other node has one either"
        case .none: "no endpoint\(among) can serve: connections are refused"
        }
    }

    private struct Row {
        let endpoint: ServiceTrace.Endpoint

        static let columns: [Column<Row>] = [
            Column("ENDPOINT") { EndText.text($0.endpoint.address, $0.endpoint.port ?? 0) },
            Column("NODE") { $0.endpoint.node ?? "" },
            Column("ZONE") { $0.endpoint.zone ?? "" },
            Column("SLICE") { $0.endpoint.slice },
            Column("SERVES") { row in
                let reason = row.endpoint.exclusion.map { "no: \($0.text)" } ?? "yes"
                return row.endpoint.isClient ? "\(reason) (the client itself)" : reason
            },
        ]
    }
}

extension ServiceTrace.Kind {
    /// The kind in the words of the Service's own fields.
    var text: String {
        switch self {
        case .clusterIP: "ClusterIP"
        case .loadBalancer: "LoadBalancer"
        case .externalIP: "externalIP"
        case .nodePort: "NodePort"
        }
    }
}

extension ServiceTrace.Exclusion {
    /// The reason for people.
    fileprivate var text: String {
        switch self {
        case .headlessSlice: "its slice is labelled as headless"
        case .noSuchPort: "its slice has no number for the port"
        case .otherFamily: "its address is not of the slice's family"
        case .otherNode: "on another node, and traffic stays on this one"
        case .notReady: "not ready"
        case .terminating: "terminating, and others are ready"
        case .hintedForOtherNodes: "its hints name other nodes"
        case .hintedForOtherZones: "its hints name other zones"
        }
    }
}
