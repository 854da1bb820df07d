internal import DatapathABI
public import Flows

/// How the data path is loaded: what its constants are and how large its maps.
public struct DatapathOptions: Sendable {
    /// The directory on a bpffs that pins are made in.
    public var bpffs: String
    public var capacities: TableCapacities
    public var timeouts: DatapathTimeouts
    /// Whether packets go straight into local pods, without the host's stack.
    public var redirectsToPeer: Bool
    /// Whether what clients outside and backends elsewhere send each other is forwarded without the host's stack.
    public var redirectsToUplink: Bool
    /// Whether live connections stay as they were admitted when policies change.
    public var keepsConnections: Bool
    /// What is reported of flows.
    public var flowDetail: FlowDetail
    /// Nanoseconds in which a denied flow is reported at most once, unless each packet is.
    public var denialInterval: UInt64
    /// The shortest lifetime of a DNS answer, and how much longer it counts than it lives, nanoseconds.
    public var minimumNameLifetime: UInt64
    public var nameGrace: UInt64
    /// The cookie of the node's network namespace; 0: not known, and nobody has the node's loopback.
    public var nodeNamespace: UInt64
    /// The node's ports for what leaves in its name.
    public var sourcePorts: ClosedRange<UInt16>
    /// What goes to a backend elsewhere wrapped, for that one's node to answer the client itself.
    public var directReturn: DirectReturn
    /// Unread bytes of the event ring that wake its reader; below that it polls.
    public var wakeupBytes: UInt32
    /// What the maps say of themselves, and are compared by with those that are pinned.
    public var layouts: MapLayouts

    public init(bpffs: String, capacities: TableCapacities = TableCapacities()) {
        self.bpffs = bpffs
        self.capacities = capacities
        timeouts = DatapathTimeouts()
        redirectsToPeer = true
        redirectsToUplink = true
        keepsConnections = false
        flowDetail = .connections
        denialInterval = 5_000_000_000
        minimumNameLifetime = 5_000_000_000
        nameGrace = 5_000_000_000
        nodeNamespace = 0
        sourcePorts = Self.defaultSourcePorts
        directReturn = []
        wakeupBytes = UInt32(clamping: capacities.eventBytes / 4)
        layouts = .current
    }

    /// Above those that Linux gives to connections of its own (`net.ipv4.ip_local_port_range`).
    public static let defaultSourcePorts: ClosedRange<UInt16> = 61000...65535

    /// Where each packet is told, each denied one is.
    var denialIntervalInForce: UInt64 { flowDetail == .packets ? 0 : denialInterval }

    /// The constants as the programs have them.
    var constants: apus_config {
        var constants = apus_config()
        constants.half_open_timeout_ns = timeouts.halfOpen
        constants.established_timeout_ns = timeouts.established
        constants.closing_timeout_ns = timeouts.closing
        constants.datagram_timeout_ns = timeouts.datagram
        constants.denial_interval_ns = denialIntervalInForce
        constants.fragment_timeout_ns = timeouts.fragment
        constants.name_minimum_ns = minimumNameLifetime
        constants.name_grace_ns = nameGrace
        constants.question_timeout_ns = timeouts.question
        constants.node_namespace = nodeNamespace
        constants.wakeup_bytes = wakeupBytes
        constants.source_port_first = sourcePorts.lowerBound
        constants.source_port_count = UInt16(clamping: sourcePorts.count)
        constants.address_share = UInt32(clamping: capacities.learnedAddressesOfPolicy)
        constants.name_share = UInt32(clamping: capacities.learnedNamesOfPolicy)
        constants.redirect_peer = redirectsToPeer ? 1 : 0
        constants.redirect_uplink = redirectsToUplink ? 1 : 0
        constants.flow_detail = flowDetail.abi
        constants.direct_return = directReturn.rawValue
        constants.keep_connections = keepsConnections ? 1 : 0
        return constants
    }

    /// How many entries each map gets; the others keep what the programs say.
    var maxEntries: [String: Int] {
        [
            "endpoints": capacities.endpoints, "interfaces": capacities.endpoints,
            "endpoint_addresses": capacities.endpoints * 2, "services": capacities.services,
            "slots": capacities.slots, "backends": capacities.backends, "peer_classes": capacities.peerClasses,
            "peer_prefixes": capacities.peerPrefixes, "policy_pages": capacities.policyEntries,
            "policy_peers": capacities.policyEntries, "policy_single_ports": capacities.policyEntries,
            "policy_ports": capacities.policyEntries,
            "names": capacities.names, "connections": capacities.connections, "half_open": capacities.halfOpen,
            "translations": capacities.connections, "disposable_translations": capacities.halfOpen,
            "affinities": capacities.affinities, "learned_addresses": capacities.learnedAddresses,
            "learned_names": capacities.learnedNames, "network_namespaces": capacities.endpoints,
            "events": capacities.eventBytes,
        ]
    }
}

extension FlowDetail {
    fileprivate var abi: UInt8 {
        switch self {
        case .none: UInt8(APUS_FLOW_DETAIL_NONE)
        case .connections: UInt8(APUS_FLOW_DETAIL_CONNECTIONS)
        case .packets: UInt8(APUS_FLOW_DETAIL_PACKETS)
        }
    }
}

/// Why the data path could not be loaded, attached or read.
public struct DatapathError: Error, Sendable, CustomStringConvertible {
    /// What happened and what to do, as a sentence.
    public let description: String

    public init(_ description: String) { self.description = description }
}
