public import Addressing

/// The namespace and name of an EndpointSlice.
public struct SliceName: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let namespace: String
    public let name: String

    public init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    /// `namespace/name`.
    public var description: String { "\(namespace)/\(name)" }

    public static func < (left: SliceName, right: SliceName) -> Bool {
        (left.namespace, left.name) < (right.namespace, right.name)
    }
}

/// What load balancing needs to know of an EndpointSlice object.
public struct EndpointSliceDefinition: Sendable, Equatable {
    /// The slice's `addressType`.
    public enum Family: Sendable, Equatable {
        case ipv4, ipv6, fqdn
    }

    /// A port of every endpoint in the slice.
    public struct Port: Sendable, Equatable {
        /// The name of the Service's port that it serves.
        public var name: String
        public var ipProtocol: IPProtocol
        /// The number; nil (every port, in the API) serves no Service port.
        public var port: Addressing.Port?

        public init(name: String = "", ipProtocol: IPProtocol = .tcp, port: Addressing.Port?) {
            self.name = name
            self.ipProtocol = ipProtocol
            self.port = port
        }
    }

    /// An endpoint with its conditions; an absent condition stays nil here.
    public struct Endpoint: Sendable, Equatable {
        /// Its addresses; as the API says, only the first one counts.
        public var addresses: [IPAddress]
        public var ready: Bool?
        public var serving: Bool?
        public var terminating: Bool?
        public var nodeName: String?
        public var zone: String?
        /// The nodes and the zones whose clients should use it; empty without a hint.
        public var nodeHints: [String]
        public var zoneHints: [String]

        public init(
            addresses: [IPAddress], ready: Bool? = nil, serving: Bool? = nil, terminating: Bool? = nil,
            nodeName: String? = nil, zone: String? = nil, nodeHints: [String] = [], zoneHints: [String] = []
        ) {
            self.addresses = addresses
            self.ready = ready
            self.serving = serving
            self.terminating = terminating
            self.nodeName = nodeName
            self.zone = zone
            self.nodeHints = nodeHints
            self.zoneHints = zoneHints
        }

        /// Whether new connections go to it; an absent condition counts as ready.
        public var isReady: Bool { ready ?? true }
        /// Whether what was led to it stays, also where nothing new is; an absent `serving` counts as serving.
        public var isServing: Bool { serving ?? true }
        /// Whether it still serves while it shuts down.
        public var isServingTerminating: Bool { isServing && (terminating ?? false) }
    }

    public var name: SliceName
    /// The Service in the label `kubernetes.io/service-name`; nil for a slice that belongs to none.
    public var service: ServiceName?
    public var family: Family
    public var ports: [Port]
    public var endpoints: [Endpoint]
    /// Whether it carries the label `service.kubernetes.io/headless`: then nothing is programmed from it.
    public var isHeadless: Bool

    public init(
        name: SliceName, service: ServiceName?, family: Family = .ipv4, ports: [Port] = [],
        endpoints: [Endpoint] = [], isHeadless: Bool = false
    ) {
        self.name = name
        self.service = service
        self.family = family
        self.ports = ports
        self.endpoints = endpoints
        self.isHeadless = isHeadless
    }
}
