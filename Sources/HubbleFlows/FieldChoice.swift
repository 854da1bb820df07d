package import HubbleAPI

/// The fields of flows that a client asked for; what it did not is not sent.
///
/// Paths are those of the published definitions. One that this server doesn't know asks for nothing: clients are newer
/// than servers, and `hubble` itself names fields that not every server has.
package struct FieldChoice: Sendable {
    private typealias Clearing<Message> = (name: String, clear: @Sendable (inout Message) -> Void)

    private let unwanted: [@Sendable (inout HubbleFlow) -> Void]
    /// Likewise, of verdicts of policies.
    private let unwantedOfVerdicts: [@Sendable (inout HubbleFlow) -> Void]

    /// - Parameters:
    ///   - paths: as `source.pod_name`; none: everything is wanted.
    ///   - showsVerdicts: whether who asks for the summary of events shows them to people as `hubble` does, and so needs
    ///     of a policy's verdict also what it said: that program, as of 1.19, prints more of them than it asks for.
    package init(_ paths: [String], showsVerdicts: Bool = false) {
        guard !paths.isEmpty else {
            (unwanted, unwantedOfVerdicts) = ([], [])
            return
        }
        var wanted: [Substring: Set<String>] = [:]
        for path in paths {
            let parts = path.split(separator: ".", maxSplits: 1)
            guard let first = parts.first else { continue }
            // What is deeper is sent with the field that it is in.
            wanted[first, default: []].insert(parts.count == 2 ? String(parts[1].prefix { $0 != "." }) : "")
        }
        let fields = Self.fields.filter { wanted[$0.name[...]] == nil }
        let isShown = showsVerdicts && wanted["event_type"] != nil && wanted["Summary"] != nil
        var unwanted: [@Sendable (inout HubbleFlow) -> Void] = []
        for (name, path) in Self.endpoints {
            guard let inner = wanted[name[...]], !inner.contains("") else { continue }
            let gone = Self.endpointFields.filter { !inner.contains($0.name) }.map(\.clear)
            unwanted.append { flow in for clear in gone { clear(&flow[keyPath: path]) } }
        }
        self.unwanted = unwanted + fields.map(\.clear)
        unwantedOfVerdicts =
            unwanted + fields.filter { !(isShown && Self.fieldsOfVerdicts.contains($0.name)) }.map(\.clear)
    }

    /// The first of the paths that asks for nothing, as no flow has such a field.
    package static func unknown(in paths: [String]) -> String? {
        let names = Set(fields.map(\.name)).union(neverSet)
        let inner = Set(endpointFields.map(\.name))
        return paths.first { path in
            let parts = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            guard let first = parts.first, names.contains(first) else { return true }
            return endpoints.contains { $0.0 == first } && parts.count > 1 && !inner.contains(parts[1])
        }
    }

    /// Takes away what was not asked for.
    package func apply(to flow: inout HubbleFlow) {
        let isVerdict = flow.eventType.type == CiliumEvent.policyVerdict.type
        for clear in isVerdict ? unwantedOfVerdicts : unwanted { clear(&flow) }
    }

    /// What of a policy's verdict `hubble observe` prints, with `--print-policy-names`.
    private static let fieldsOfVerdicts: Set = [
        "traffic_direction", "policy_match_type", "egress_allowed_by", "ingress_allowed_by", "egress_denied_by",
        "ingress_denied_by",
    ]

    /// What Cilium's flows have besides, so that masks that were written for them go on.
    private static let neverSet: Set = [
        "auth_type", "cgroup_id", "debug_capture_point", "ethernet", "file", "interface", "ip_trace_id", "policy_log",
        "proxy_port", "reply", "sock_xlate_point", "socket_cookie", "trace_context", "tunnel",
    ]

    private static let endpoints: [(String, any WritableKeyPath<HubbleFlow, HubbleEndpoint> & Sendable)] = [
        ("source", \.source), ("destination", \.destination),
    ]

    private static let endpointFields: [Clearing<HubbleEndpoint>] = [
        ("ID", { $0.id = 0 }), ("identity", { $0.identity = 0 }), ("namespace", { $0.namespace = "" }),
        ("labels", { $0.labels = [] }), ("pod_name", { $0.podName = "" }), ("workloads", { $0.workloads = [] }),
        ("cluster_name", { $0.clusterName = "" }),
    ]

    private static let fields: [Clearing<HubbleFlow>] = [
        ("time", { $0.clearTime() }), ("uuid", { $0.uuid = "" }), ("emitter", { $0.clearEmitter() }),
        ("verdict", { $0.verdict = .unknown }), ("drop_reason", { $0.dropReason = 0 }),
        ("IP", { $0.clearIp() }), ("l4", { $0.clearL4() }), ("source", { $0.clearSource() }),
        ("destination", { $0.clearDestination() }), ("Type", { $0.type = .unknownType }),
        ("node_name", { $0.nodeName = "" }), ("source_names", { $0.sourceNames = [] }),
        ("destination_names", { $0.destinationNames = [] }), ("l7", { $0.clearL7() }),
        ("event_type", { $0.clearEventType() }), ("source_service", { $0.clearSourceService() }),
        ("destination_service", { $0.clearDestinationService() }),
        ("traffic_direction", { $0.trafficDirection = .unknown }), ("policy_match_type", { $0.policyMatchType = 0 }),
        ("trace_observation_point", { $0.traceObservationPoint = .unknownPoint }),
        ("trace_reason", { $0.traceReason = .unknown }), ("drop_reason_desc", { $0.dropReasonDesc = .unknown }),
        ("is_reply", { $0.clearIsReply() }), ("Summary", { $0.summary = "" }),
        ("egress_allowed_by", { $0.egressAllowedBy = [] }), ("ingress_allowed_by", { $0.ingressAllowedBy = [] }),
        ("egress_denied_by", { $0.egressDeniedBy = [] }), ("ingress_denied_by", { $0.ingressDeniedBy = [] }),
    ]
}
