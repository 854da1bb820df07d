public import Addressing

/// One port of a Service.
public struct ServicePort: Sendable, Hashable {
    /// The name that ties the port to those of the Service's slices; empty for an only port.
    public var name: String
    /// The transport protocol.
    public var ipProtocol: IPProtocol
    /// The port of the virtual addresses.
    public var port: Port
    /// The port of the pods; the same number as `port` when the manifest names none.
    public var targetPort: PortReference
    /// The port on every node, nil when there is none.
    public var nodePort: Port?

    /// A port of a Service.
    public init(
        name: String = "", protocol ipProtocol: IPProtocol = .tcp, port: Port, targetPort: PortReference? = nil,
        nodePort: Port? = nil
    ) {
        self.name = name
        self.ipProtocol = ipProtocol
        self.port = port
        self.targetPort = targetPort ?? .number(port)
        self.nodePort = nodePort
    }
}

/// A port by its number, or by the name that each pod gives it.
public enum PortReference: Sendable, Hashable {
    case number(Port)
    case name(String)
}

/// Whether connections of one client stay with one backend.
public enum SessionAffinity: Sendable, Hashable {
    case none
    /// By the client's address, until it has been idle for this many seconds.
    case clientIP(timeoutSeconds: Int)
}

/// Which endpoints may serve: those of the whole cluster, or only those of the node the traffic is on.
public enum TrafficPolicy: String, Sendable, Hashable, CaseIterable {
    case cluster = "Cluster"
    case local = "Local"
}

/// The topology that traffic of a Service should prefer.
public enum TrafficDistribution: Sendable, Hashable {
    /// `PreferSameZone`, and its older name `PreferClose`.
    case preferSameZone
    case preferSameNode
}

/// An address family by its name in the API.
public enum IPFamily: String, Sendable, Hashable, CaseIterable {
    case ipv4 = "IPv4"
    case ipv6 = "IPv6"
}

/// The load balancer side of a Service.
public struct LoadBalancer: Sendable, Hashable {
    /// The addresses that the load balancer got.
    public var ingress: [LoadBalancerIngress]
    /// The clients that may use it; empty admits everyone.
    public var sourceRanges: [CIDR]
    /// The implementation that is asked for, nil for the default one.
    public var loadBalancerClass: String?
    /// Whether node ports are made for it.
    public var allocatesNodePorts: Bool

    /// The load balancer side of a Service; the defaults are those of the API.
    public init(
        ingress: [LoadBalancerIngress] = [], sourceRanges: [CIDR] = [], loadBalancerClass: String? = nil,
        allocatesNodePorts: Bool = true
    ) {
        self.ingress = ingress
        self.sourceRanges = sourceRanges
        self.loadBalancerClass = loadBalancerClass
        self.allocatesNodePorts = allocatesNodePorts
    }
}

/// One point where a load balancer takes traffic in.
public struct LoadBalancerIngress: Sendable, Hashable {
    /// How packets for the address reach a node.
    public enum Mode: String, Sendable, Hashable, CaseIterable {
        /// With the load balancer's address as destination.
        case vip = "VIP"
        /// From the load balancer, as a client of its own.
        case proxy = "Proxy"
    }

    /// The address, nil where there is only a host name.
    public var address: IPAddress?
    /// How its packets reach a node.
    public var mode: Mode
    /// The host name, nil where there is only an address.
    public var hostname: String?

    /// A point of entry.
    public init(address: IPAddress? = nil, mode: Mode = .vip, hostname: String? = nil) {
        self.address = address
        self.mode = mode
        self.hostname = hostname
    }
}
