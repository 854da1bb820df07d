public import Addressing

/// Asks where a connection of a client to a Service can end.
public struct ServiceQuestion: Sendable, Hashable, Codable {
    private enum CodingKeys: String, CodingKey {
        case client, address, port
        case ipProtocol = "protocol"
    }

    /// The pod, `namespace/name`, an address of the node for its own processes, or that of a client outside.
    public var client: String
    /// The Service's address, port and protocol, as the pod asks for them.
    public var address: String
    public var port: Port
    public var ipProtocol: String

    public init(client: String, address: IPAddress, port: Port, ipProtocol: IPProtocol) {
        self.client = client
        self.address = "\(address)"
        self.port = port
        self.ipProtocol = "\(ipProtocol)"
    }
}

/// Where a connection of a client to a Service can end, and why not elsewhere.
public struct ServiceTrace: Sendable, Hashable, Codable {
    /// Why the Service has the frontend.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case clusterIP = "cluster_ip"
        case loadBalancer = "load_balancer"
        case externalIP = "external_ip"
        case nodePort = "node_port"
    }

    /// How the endpoints that serve were chosen.
    public enum Choice: String, Sendable, Codable, CaseIterable {
        case ready
        case sameNode = "same_node"
        case sameZone = "same_zone"
        case terminating
        case none
    }

    /// Why an endpoint does not serve.
    public enum Exclusion: String, Sendable, Codable, CaseIterable {
        case headlessSlice = "headless_slice"
        case noSuchPort = "no_such_port"
        case otherFamily = "other_family"
        case otherNode = "other_node"
        case notReady = "not_ready"
        case terminating
        case hintedForOtherNodes = "hinted_for_other_nodes"
        case hintedForOtherZones = "hinted_for_other_zones"
    }

    /// One endpoint.
    public struct Endpoint: Sendable, Hashable, Codable {
        public var address: String
        /// Nil where its slice has no number for the port.
        public var port: Port?
        /// The EndpointSlice that it is in.
        public var slice: String
        public var node: String?
        public var zone: String?
        /// Whether it is the pod that asks.
        public var isClient: Bool
        /// Nil when it serves.
        public var exclusion: Exclusion?

        private enum CodingKeys: String, CodingKey {
            case address, port, slice, node, zone
            case isClient = "is_client"
            case exclusion = "excluded"
        }

        public init(
            address: String, port: Port?, slice: String, node: String? = nil, zone: String? = nil,
            isClient: Bool = false, exclusion: Exclusion? = nil
        ) {
            self.address = address
            self.port = port
            self.slice = slice
            self.node = node
            self.zone = zone
            self.isClient = isClient
            self.exclusion = exclusion
        }
    }

    private enum CodingKeys: String, CodingKey {
        case client, frontend, service, kind, choice, node, zone, endpoints
        case staysOnNode = "stays_on_node"
        case isFromOutside = "is_from_outside"
        case sourceRanges = "source_ranges"
        case isAdmitted = "is_admitted"
        case affinitySeconds = "affinity_seconds"
    }

    /// What ``client`` is for a process of the node itself.
    public static let thisNode = "this node"

    /// The pod, `namespace/name`, ``thisNode``, or the address of a client outside.
    public var client: String
    /// Whether the client's packets come in by an uplink.
    public var isFromOutside: Bool
    /// The clients that may connect; empty: all may.
    public var sourceRanges: [String]
    /// Whether this one may.
    public var isAdmitted: Bool
    /// `TCP 10.96.0.10:80`.
    public var frontend: String
    /// `namespace/name:port name`.
    public var service: String
    public var kind: Kind
    public var choice: Choice
    /// Whether traffic stays on the node (`internalTrafficPolicy: Local`, `externalTrafficPolicy: Local`).
    public var staysOnNode: Bool
    /// The client's node and zone.
    public var node: String
    public var zone: String?
    /// For how many seconds after its last new connection the client keeps its endpoint; nil: it keeps none.
    public var affinitySeconds: UInt32?
    /// By address.
    public var endpoints: [Endpoint]

    public init(
        client: String, frontend: String, service: String, kind: Kind = .clusterIP, choice: Choice,
        staysOnNode: Bool = false, isFromOutside: Bool = false, sourceRanges: [String] = [], isAdmitted: Bool = true,
        node: String, zone: String? = nil, affinitySeconds: UInt32? = nil, endpoints: [Endpoint]
    ) {
        self.isFromOutside = isFromOutside
        self.sourceRanges = sourceRanges
        self.isAdmitted = isAdmitted
        self.client = client
        self.frontend = frontend
        self.service = service
        self.kind = kind
        self.choice = choice
        self.staysOnNode = staysOnNode
        self.node = node
        self.zone = zone
        self.affinitySeconds = affinitySeconds
        self.endpoints = endpoints
    }

    /// The endpoints that serve the client.
    public var serving: [Endpoint] { isAdmitted ? endpoints.filter { $0.exclusion == nil } : [] }
}
