internal import AgentAPI
internal import Datapath
internal import Flows
internal import Kubernetes
internal import KubernetesAPI
internal import PrometheusText

/// Everything that a scrape needs, read at one time.
struct AgentMetrics: Sendable {
    var node: String
    var controller: ControllerReport
    /// nil with a directory of manifests.
    var requests: APIStatistics?
    var hub: FlowHub.Statistics
    var evidence: EvidenceCounters.Counts
    /// nil where the maps can't be read.
    var drops: [DropCount]?
    var events: EventCounters?
    /// nil where the maps can't be read.
    var names: [NameOutcome: UInt64]?
    /// nil where the maps can't be read.
    var shortcuts: ShortcutCounts?

    var families: [MetricFamily] {
        agentFamilies + mapFamilies + objectFamilies + programmingFamilies + requestFamilies + evidenceFamilies
            + packetFamilies + nameFamilies + controller.routing.families + masqueradeFamilies
            + shortcutFamilies
    }

    private var agentFamilies: [MetricFamily] {
        [
            MetricFamily(
                "apus_build_info", .gauge, "Always 1; the labels say which agent this is.",
                [
                    MetricSample(
                        .count(1), [MetricLabel("version", Release.version), MetricLabel("node_name", node)])
                ]),
            MetricFamily(
                "apus_in_force", .gauge,
                "Whether all objects have been read once; until then what an earlier start left in force stays.",
                [MetricSample(.flag(controller.isInForce))]),
            MetricFamily(
                "apus_endpoints", .gauge, "Pods of this node that need programs on their interface.",
                [MetricSample(.count(controller.endpoints))]),
            MetricFamily(
                "apus_endpoints_attached", .gauge, "Pods of this node with programs on their interface.",
                [MetricSample(.count(controller.attached))]),
            MetricFamily(
                "apus_cni_attachments", .gauge, "Interfaces of pods that the CNI plugin handed over.",
                [MetricSample(.count(controller.handedOverInterfaces.held))]),
            MetricFamily(
                "apus_cni_attachments_closed", .gauge,
                "Interfaces that the CNI plugin handed over for pods that are not known: all their packets are dropped.",
                [MetricSample(.count(controller.handedOverInterfaces.closed))]),
            MetricFamily(
                "apus_service_frontends", .gauge, "Addresses, ports and protocols of Services that are translated.",
                [MetricSample(.count(controller.frontends))]),
            MetricFamily(
                "apus_health_check_node_ports", .gauge,
                "Ports where load balancers ask for endpoints of this node: listened at, or taken by somebody else.",
                [
                    MetricSample(.count(controller.healthChecks.listening), [MetricLabel("state", "listening")]),
                    MetricSample(.count(controller.healthChecks.failed), [MetricLabel("state", "failed")]),
                ]),
        ]
    }

    private var mapFamilies: [MetricFamily] {
        var entries = MetricFamily(
            "apus_map_entries", .gauge,
            "Entries wanted in a map that the agent writes; of the connections, those seen at the last look.")
        var capacity = MetricFamily("apus_map_capacity", .gauge, "Entries that a map can hold.")
        var failures = MetricFamily(
            "apus_map_write_failures_total", .counter, "Writes to a map that the kernel refused; they are tried again.")
        let seen = evidence.scan.map { ["connections": $0.established, "half_open": $0.halfOpen] } ?? [:]
        for map in controller.maps {
            let label = [MetricLabel("map", map.name)]
            capacity.add(.count(map.capacity), label)
            if let count = map.entries ?? seen[map.name] { entries.add(.count(count), label) }
            if map.entries != nil { failures.add(.count(map.failures), label) }
        }
        return [entries, capacity, failures]
    }

    private var objectFamilies: [MetricFamily] {
        var objects = MetricFamily("apus_objects", .gauge, "Objects of a kind that are known.")
        var synced = MetricFamily("apus_source_synced", .gauge, "Whether all objects of a kind have been read once.")
        var connected = MetricFamily(
            "apus_source_connected", .gauge, "Whether changes of a kind are followed at the API server now.")
        for kind in controller.kinds {
            let label = [MetricLabel("kind", kind.kind.rawValue)]
            objects.add(.count(kind.objects), label)
            synced.add(.flag(kind.isSynced), label)
            if let isConnected = kind.isConnected { connected.add(.flag(isConnected), label) }
        }
        var problems = MetricFamily(
            "apus_unprogrammed_objects", .gauge, "Objects that are not in force as they are written, by reason.")
        let places = Dictionary(grouping: controller.problems, by: \.place).mapValues { Set($0.map(\.object)).count }
        for (place, count) in places.sorted(by: { $0.key < $1.key }) {
            problems.add(.count(count), [MetricLabel("kind", place.kind), MetricLabel("reason", place.reason)])
        }
        return [objects, synced, connected, problems, unreadableFamily]
    }

    /// Each reason is there from the start, so that an alert can ask for a rise.
    private var unreadableFamily: MetricFamily {
        var unreadable = MetricFamily(
            "apus_unreadable_sources", .gauge,
            "Manifest files, or resources of the API server, of which something can't be read as any object.")
        for (problem, reason) in [
            (SourceDiagnostic.Problem.unreadable, "Unreadable"), (.syntax, "Syntax"), (.invalidObject, "Invalid"),
        ] {
            unreadable.add(.count(controller.unreadable[problem] ?? 0), [MetricLabel("reason", reason)])
        }
        return unreadable
    }

    private var programmingFamilies: [MetricFamily] {
        [
            MetricFamily(
                "kubeproxy_sync_proxy_rules_duration_seconds", .histogram,
                "How long a pass over what is wanted took: Services, policies and pods alike.",
                [MetricSample(.histogram(controller.passes))]),
            MetricFamily(
                "kubeproxy_network_programming_duration_seconds", .histogram,
                "From the change of a Service or pod to its endpoints being in force, by the controller's clock.",
                [MetricSample(.histogram(controller.latency))]),
            MetricFamily(
                "apus_map_writes_total", .counter, "Entries and elements written to maps.",
                [MetricSample(.count(controller.written))]),
            MetricFamily(
                "apus_map_writes_pending", .gauge, "Problems with writes that will be tried again.",
                [MetricSample(.count(controller.retries))]),
        ]
    }
}

/// Where metrics count a problem.
private struct ProblemPlace: Hashable, Comparable {
    let kind: String
    let reason: String

    static func < (left: ProblemPlace, right: ProblemPlace) -> Bool {
        (left.kind, left.reason) < (right.kind, right.reason)
    }
}

extension ObjectProblem {
    fileprivate var place: ProblemPlace { ProblemPlace(kind: object.kind, reason: reason.rawValue) }
}
