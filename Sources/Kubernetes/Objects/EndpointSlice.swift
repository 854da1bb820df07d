public import Addressing

/// An EndpointSlice: some of the endpoints of one Service, in one family.
public struct EndpointSlice: Sendable, Hashable {
    /// What the addresses of a slice are.
    public enum AddressType: String, Sendable, Hashable, CaseIterable {
        case ipv4 = "IPv4"
        case ipv6 = "IPv6"
        case fqdn = "FQDN"
    }

    /// The name and the labels.
    public var meta: ObjectMeta
    /// What all addresses of the slice are.
    public var addressType: AddressType
    /// The endpoints, also those that are not ready.
    public var endpoints: [Endpoint]
    /// The ports that every endpoint of the slice serves, in no particular order.
    public var ports: [EndpointPort]

    /// A slice.
    public init(
        meta: ObjectMeta, addressType: AddressType = .ipv4, endpoints: [Endpoint] = [], ports: [EndpointPort] = []
    ) {
        self.meta = meta
        self.addressType = addressType
        self.endpoints = endpoints
        self.ports = ports
    }

    /// The Service of the slice in the slice's namespace, nil for an orphan.
    public var serviceName: String? { meta.labels["kubernetes.io/service-name"] }

    /// Whether the label is set that tells service proxies to ignore the slice.
    public var isForHeadlessService: Bool { meta.labels["service.kubernetes.io/headless"] != nil }
}

/// One endpoint of a slice.
public struct Endpoint: Sendable, Hashable {
    /// The addresses, interchangeable (in practice one); empty in a slice of host names.
    public var addresses: [IPAddress]
    /// Whether it may get traffic.
    public var conditions: EndpointConditions
    /// The node it is on, nil where that is not known.
    public var nodeName: String?
    /// The zone it is in, nil where that is not known.
    public var zone: String?
    /// The zones whose clients should use the endpoint; empty without a hint.
    public var zoneHints: [String]
    /// The nodes whose clients should use the endpoint; empty without a hint.
    public var nodeHints: [String]
    /// The object behind the endpoint, usually a Pod.
    public var target: TargetReference?

    /// An endpoint.
    public init(
        addresses: [IPAddress], conditions: EndpointConditions = EndpointConditions(), nodeName: String? = nil,
        zone: String? = nil, zoneHints: [String] = [], nodeHints: [String] = [], target: TargetReference? = nil
    ) {
        self.addresses = addresses
        self.conditions = conditions
        self.nodeName = nodeName
        self.zone = zone
        self.zoneHints = zoneHints
        self.nodeHints = nodeHints
        self.target = target
    }
}

/// The conditions of an endpoint as written; each may be unknown.
public struct EndpointConditions: Sendable, Hashable {
    /// `ready` as written.
    public var ready: Bool?
    /// `serving` as written.
    public var serving: Bool?
    /// `terminating` as written.
    public var terminating: Bool?

    /// Conditions, all unknown by default.
    public init(ready: Bool? = nil, serving: Bool? = nil, terminating: Bool? = nil) {
        self.ready = ready
        self.serving = serving
        self.terminating = terminating
    }

    /// Whether the endpoint takes new connections; unknown means yes.
    public var isReady: Bool { ready ?? true }
    /// Whether the endpoint can serve, also while it terminates; unknown means yes.
    public var isServing: Bool { serving ?? true }
    /// Whether the endpoint is going away; unknown means no.
    public var isTerminating: Bool { terminating ?? false }
}

/// One port of a slice.
public struct EndpointPort: Sendable, Hashable {
    /// The name of the Service's port; empty for an only port.
    public var name: String
    /// The transport protocol.
    public var ipProtocol: IPProtocol
    /// The number, nil where the slice leaves it open.
    public var port: Port?

    /// A port of a slice.
    public init(name: String = "", protocol ipProtocol: IPProtocol = .tcp, port: Port?) {
        self.name = name
        self.ipProtocol = ipProtocol
        self.port = port
    }
}

/// The object that an endpoint stands for.
public struct TargetReference: Sendable, Hashable {
    /// The kind, in practice `Pod`.
    public var kind: String
    /// The namespace; empty where it is not written.
    public var namespace: String
    /// The name.
    public var name: String
    /// The identity of the incarnation; empty where it is not written.
    public var uid: String

    /// A reference to the object behind an endpoint.
    public init(kind: String, namespace: String, name: String, uid: String = "") {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.uid = uid
    }
}
