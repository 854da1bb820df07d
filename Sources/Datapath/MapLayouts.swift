internal import DatapathABI

/// The ABI version of a build, and since which version each group of its maps is as it is: what another build may take
/// over from its pins, and it from theirs.
public struct MapLayouts: Sendable, Hashable {
    /// Maps that keep or change their layout together.
    public enum Group: Int, Sendable, Hashable, CaseIterable {
        /// Endpoints, backends and names: what connections and policies refer to.
        case numbers
        case policies
        case services
        /// Connections and what else is known of traffic.
        case connections
        /// What was learned under names.
        case learned
    }

    /// The ABI version.
    public let version: UInt32
    /// By group.
    let since: [UInt32]

    init(version: UInt32, since: [UInt32]) {
        self.version = version
        self.since = since
    }

    /// Those of this build.
    public static let current = MapLayouts(
        version: UInt32(APUS_ABI_VERSION),
        since: Group.allCases.map { UInt32($0.since) })

    /// Those of a later build in whose version some groups changed.
    package func next(changing groups: Set<Group>) -> MapLayouts {
        let next = version + 1
        return MapLayouts(
            version: next,
            since: Group.allCases.map { groups.contains($0) ? next : since[$0.rawValue] })
    }

    /// The groups that are the same in a build of these and one of others. Connections are nothing without what they
    /// refer to.
    func shared(with other: MapLayouts) -> Set<Group> {
        let (older, newer) = version < other.version ? (self, other) : (other, self)
        let shared = Set(Group.allCases.filter { newer.since[$0.rawValue] <= older.version })
        return shared.contains(.numbers) ? shared : shared.subtracting([.connections])
    }

    /// The group of a map; nil: it outlives no change of the version.
    static func group(ofMap name: String) -> Group? { groups[name] }

    private static let groups: [String: Group] = {
        var groups: [String: Group] = [:]
        for (group, names) in maps { for name in names { groups[name] = group } }
        return groups
    }()

    private static let maps: [Group: [String]] = [
        .numbers: [
            "datapath_info", "endpoints", "endpoint_addresses", "interfaces", "policy_epoch", "names", "backends",
        ],
        .policies: [
            "policy_pages", "policy_peers", "policy_single_ports", "policy_ports", "peer_classes", "peer_prefixes",
            "dns_resolvers",
        ],
        .services: ["services", "slots", "source_ranges", "uplinks", "non_masquerade", "node_ranges"],
        .connections: [
            "connections", "half_open", "translations", "disposable_translations", "affinities", "network_namespaces",
            "fragments", "socket_translations", "connected_sockets", "socket_records", "dns_questions", "dns_streams",
            "pod_questions", "pod_question_counts",
        ],
        .learned: ["learned_addresses", "learned_names", "learned_shares", "domain_automaton", "name_seed"],
    ]
}

extension MapLayouts.Group {
    /// The version since which this build's maps of the group are as they are.
    fileprivate var since: Int {
        switch self {
        case .numbers: APUS_NUMBERS_SINCE
        case .policies: APUS_POLICIES_SINCE
        case .services: APUS_SERVICES_SINCE
        case .connections: APUS_CONNECTIONS_SINCE
        case .learned: APUS_LEARNED_SINCE
        }
    }
}
