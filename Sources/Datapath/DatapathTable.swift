internal import DatapathABI

/// The maps that the agent writes; the raw value is the map's name.
public enum DatapathTable: String, Sendable, Hashable, CaseIterable {
    case info = "datapath_info"
    case interfaces
    case endpoints
    case endpointAddresses = "endpoint_addresses"
    case peerClasses = "peer_classes"
    case peerPrefixes = "peer_prefixes"
    case policyEpoch = "policy_epoch"
    case policyPages = "policy_pages"
    case policyPeers = "policy_peers"
    case policySinglePorts = "policy_single_ports"
    case policyPorts = "policy_ports"
    case services
    case slots
    case backends
    case names
    case dnsResolvers = "dns_resolvers"
    case sourceRanges = "source_ranges"
    case uplinks
    case nonMasquerade = "non_masquerade"
    case nodeRanges = "node_ranges"

    /// Whether the map is an array: its key is an index and every element always exists.
    package var isArray: Bool {
        switch self {
        case .info, .endpoints, .slots, .backends, .policyEpoch: true
        default: false
        }
    }

    /// Bytes of a key.
    package var keySize: Int {
        switch self {
        case .info, .endpoints, .slots, .backends, .interfaces, .uplinks, .policyEpoch: MemoryLayout<UInt32>.size
        case .endpointAddresses, .peerClasses: MemoryLayout<apus_address>.size
        case .peerPrefixes, .dnsResolvers, .nonMasquerade, .nodeRanges: MemoryLayout<apus_prefix_key>.size
        case .policyPages: MemoryLayout<apus_policy_page_key>.size
        case .policyPeers: MemoryLayout<apus_policy_peers_key>.size
        case .policySinglePorts, .policyPorts: MemoryLayout<apus_policy_ports_key>.size
        case .services: MemoryLayout<apus_service_key>.size
        case .sourceRanges: MemoryLayout<apus_source_range_key>.size
        case .names: MemoryLayout<apus_name_key>.size
        }
    }

    /// Bytes of a value.
    package var valueSize: Int {
        switch self {
        case .info: MemoryLayout<apus_info>.size
        case .interfaces, .endpointAddresses, .policyEpoch, .slots, .dnsResolvers, .sourceRanges, .nonMasquerade,
            .nodeRanges:
            MemoryLayout<UInt32>.size
        case .uplinks: MemoryLayout<apus_uplink>.size
        case .endpoints: MemoryLayout<apus_endpoint>.size
        case .peerClasses: MemoryLayout<apus_peer>.size
        case .peerPrefixes: MemoryLayout<apus_prefix_peer>.size
        case .policyPages: MemoryLayout<apus_policy_page>.size
        case .policyPeers, .policySinglePorts, .policyPorts: MemoryLayout<apus_policy_bits>.size
        case .services: MemoryLayout<apus_service>.size
        case .backends: MemoryLayout<apus_backend>.size
        case .names: MemoryLayout<apus_name>.size
        }
    }
}

extension DatapathTable {
    /// The flag of `apusd` that says how many entries the map has room for.
    public var sizeFlag: String? {
        switch self {
        case .info, .policyEpoch, .dnsResolvers, .sourceRanges, .uplinks, .nonMasquerade, .nodeRanges: nil
        case .endpoints, .endpointAddresses, .interfaces: "--map-size-endpoints"
        case .peerClasses: "--map-size-peers"
        case .peerPrefixes: "--map-size-prefixes"
        case .policyPages, .policyPeers, .policySinglePorts, .policyPorts: "--map-size-policy"
        case .services, .slots, .backends, .names: "--map-size-\(rawValue)"
        }
    }
}

/// How many entries the maps hold.
public struct TableCapacities: Sendable, Hashable {
    /// Endpoint slots, the unused slot 0 included.
    public var endpoints: Int
    /// Frontends.
    public var services: Int
    /// The sum of the backends of all frontends, twice over while they change.
    public var slots: Int
    /// Different backends, the unused index 0 included.
    public var backends: Int
    /// Addresses that some policy of this node mentions by a selector.
    public var peerClasses: Int
    /// Prefixes that some policy of this node mentions.
    public var peerPrefixes: Int
    /// Entries of `policy_pages`, of `policy_peers`, of `policy_single_ports` and of `policy_ports`.
    public var policyEntries: Int
    public var names: Int
    /// Entries of `connections`, and of `translations`.
    public var connections: Int
    /// Entries of `half_open`, and of `disposable_translations`.
    public var halfOpen: Int
    /// Clients of Services with affinity, those of all Services together.
    public var affinities: Int
    /// Addresses that are learned under names: of each policy, those of all names together.
    public var learnedAddresses: Int
    /// The names that they are learned under.
    public var learnedNames: Int
    /// Bytes of the ring buffer, a power of two.
    public var eventBytes: Int

    public init(
        endpoints: Int = 1024, services: Int = 65536, slots: Int = 524_288, backends: Int = 262_144,
        peerClasses: Int = 65536, peerPrefixes: Int = 16384, policyEntries: Int = 65536, names: Int = 131_072,
        connections: Int = 262_144, halfOpen: Int = 65536, affinities: Int = 65536,
        learnedAddresses: Int = 131_072, learnedNames: Int = 262_144, eventBytes: Int = 8 << 20
    ) {
        self.endpoints = endpoints
        self.services = services
        self.slots = slots
        self.backends = backends
        self.peerClasses = peerClasses
        self.peerPrefixes = peerPrefixes
        self.policyEntries = policyEntries
        self.names = names
        self.connections = connections
        self.halfOpen = halfOpen
        self.affinities = affinities
        self.learnedAddresses = learnedAddresses
        self.learnedNames = learnedNames
        self.eventBytes = eventBytes
    }

    /// What one policy may have of the addresses, so that the pods of one never leave those of others without room.
    public var learnedAddressesOfPolicy: Int { max(1, learnedAddresses / 2) }
    /// The same of names, each as often as it is an address's.
    public var learnedNamesOfPolicy: Int { max(1, learnedNames / 2) }
}
