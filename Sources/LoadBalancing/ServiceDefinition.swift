public import Addressing

/// The namespace and name of a Service.
public struct ServiceName: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let namespace: String
    public let name: String

    public init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    /// `namespace/name`.
    public var description: String { "\(namespace)/\(name)" }

    public static func < (left: ServiceName, right: ServiceName) -> Bool {
        (left.namespace, left.name) < (right.namespace, right.name)
    }
}

/// What load balancing needs to know of a Service object.
///
/// `publishNotReadyAddresses` is absent on purpose: whoever writes the EndpointSlices honours it by marking their
/// endpoints ready, and kube-proxy reads only those marks.
public struct ServiceDefinition: Sendable, Equatable {
    /// The Service's `spec.type`.
    public enum Kind: Sendable, Equatable {
        case clusterIP, nodePort, loadBalancer, externalName
    }

    /// A port that the Service offers.
    public struct Port: Sendable, Equatable {
        /// The name that joins it to the ports of EndpointSlices; empty for the only port of a Service.
        public var name: String
        public var ipProtocol: IPProtocol
        public var port: Addressing.Port
        /// The port of the node's addresses that leads to it; nil: there is none.
        public var nodePort: Addressing.Port?

        public init(
            name: String = "", ipProtocol: IPProtocol = .tcp, port: Addressing.Port, nodePort: Addressing.Port? = nil
        ) {
            self.name = name
            self.ipProtocol = ipProtocol
            self.port = port
            self.nodePort = nodePort
        }
    }

    public var name: ServiceName
    public var uid: String?
    /// `metadata.creationTimestamp` as Kubernetes writes it, always in UTC: its order as text is its order in time.
    public var creationTimestamp: String?
    public var kind: Kind
    /// The addresses of the Service; empty for a headless one (`None` is no address).
    public var clusterIPs: [IPAddress]
    /// Addresses that are the Service's wherever its packets come from.
    public var externalIPs: [IPAddress]
    /// The addresses of its load balancer that packets have as their destination when they come to a node.
    public var loadBalancerIPs: [IPAddress]
    /// The clients that may use the load balancer; of a family without any, all may.
    public var sourceRanges: [CIDR]
    public var ports: [Port]
    /// The label `service.kubernetes.io/service-proxy-name`: with any value the Service belongs to another proxy.
    public var proxyName: String?
    /// Whether `internalTrafficPolicy` is `Local`: only endpoints of this node serve.
    public var isInternalTrafficLocal: Bool
    /// Whether `externalTrafficPolicy` is `Local`: clients from outside get endpoints of this node only.
    public var isExternalTrafficLocal: Bool
    /// The port where its load balancer asks nodes for endpoints; nil: it asks nobody.
    public var healthCheckNodePort: Addressing.Port?
    /// For how many seconds after its last new connection a client keeps its backend, on all ports; nil: it keeps none.
    public var affinitySeconds: UInt32?
    /// The annotation `apus.dev/load-balancer-algorithm`, as it is written.
    public var algorithm: String?

    public init(
        name: ServiceName, uid: String? = nil, creationTimestamp: String? = nil, kind: Kind = .clusterIP,
        clusterIPs: [IPAddress] = [], externalIPs: [IPAddress] = [], loadBalancerIPs: [IPAddress] = [],
        sourceRanges: [CIDR] = [], ports: [Port] = [], proxyName: String? = nil,
        isInternalTrafficLocal: Bool = false, isExternalTrafficLocal: Bool = false,
        healthCheckNodePort: Addressing.Port? = nil, affinitySeconds: UInt32? = nil, algorithm: String? = nil
    ) {
        self.name = name
        self.uid = uid
        self.creationTimestamp = creationTimestamp
        self.kind = kind
        self.clusterIPs = clusterIPs
        self.externalIPs = externalIPs
        self.loadBalancerIPs = loadBalancerIPs
        self.sourceRanges = sourceRanges
        self.ports = ports
        self.proxyName = proxyName
        self.isInternalTrafficLocal = isInternalTrafficLocal
        self.isExternalTrafficLocal = isExternalTrafficLocal
        self.healthCheckNodePort = healthCheckNodePort
        self.affinitySeconds = affinitySeconds
        self.algorithm = algorithm
    }
}
