public import Addressing

/// A Service: all that a service proxy looks at.
public struct Service: Sendable, Hashable {
    /// The values of `spec.type`.
    public enum ServiceType: String, Sendable, Hashable, CaseIterable {
        case clusterIP = "ClusterIP"
        case nodePort = "NodePort"
        case loadBalancer = "LoadBalancer"
        case externalName = "ExternalName"
    }

    /// The name and the labels.
    public var meta: ObjectMeta
    /// How far the Service is exposed.
    public var type: ServiceType
    /// The virtual addresses, the primary family first; empty for headless and ExternalName Services.
    public var clusterIPs: [IPAddress]
    /// Whether the Service asks for no virtual address (`clusterIP: None`).
    public var isHeadless: Bool
    /// The ports; no two have one protocol and number, or one name.
    public var ports: [ServicePort]
    /// Whether endpoints follow from a pod selector; without one they are made by hand.
    public var hasSelector: Bool
    /// Addresses outside the cluster's care whose traffic is the Service's when it arrives at a node.
    public var externalIPs: [IPAddress]
    /// Whether a client stays with its backend.
    public var sessionAffinity: SessionAffinity
    /// Which endpoints serve traffic from outside of the cluster.
    public var externalTrafficPolicy: TrafficPolicy
    /// Which endpoints serve traffic from inside of the cluster.
    public var internalTrafficPolicy: TrafficPolicy
    /// The port where a load balancer asks a node for local endpoints; nil when there is none.
    public var healthCheckNodePort: Port?
    /// The topology that traffic should prefer, nil for none or one that this version does not know.
    public var trafficDistribution: TrafficDistribution?
    /// Whether pods that are not ready count as endpoints.
    public var publishesNotReadyAddresses: Bool
    /// The families of `clusterIPs`, in their order.
    public var ipFamilies: [IPFamily]
    /// What a load balancer asks for and got.
    public var loadBalancer: LoadBalancer

    /// A Service; the defaults are those of the API.
    public init(
        meta: ObjectMeta, type: ServiceType = .clusterIP, clusterIPs: [IPAddress] = [], isHeadless: Bool = false,
        ports: [ServicePort] = [], hasSelector: Bool = true, externalIPs: [IPAddress] = [],
        sessionAffinity: SessionAffinity = .none, externalTrafficPolicy: TrafficPolicy = .cluster,
        internalTrafficPolicy: TrafficPolicy = .cluster, healthCheckNodePort: Port? = nil,
        trafficDistribution: TrafficDistribution? = nil, publishesNotReadyAddresses: Bool = false,
        ipFamilies: [IPFamily] = [], loadBalancer: LoadBalancer = LoadBalancer()
    ) {
        self.meta = meta
        self.type = type
        self.clusterIPs = clusterIPs
        self.isHeadless = isHeadless
        self.ports = ports
        self.hasSelector = hasSelector
        self.externalIPs = externalIPs
        self.sessionAffinity = sessionAffinity
        self.externalTrafficPolicy = externalTrafficPolicy
        self.internalTrafficPolicy = internalTrafficPolicy
        self.healthCheckNodePort = healthCheckNodePort
        self.trafficDistribution = trafficDistribution
        self.publishesNotReadyAddresses = publishesNotReadyAddresses
        self.ipFamilies = ipFamilies
        self.loadBalancer = loadBalancer
    }

    /// The proxy that a label assigns the Service to, nil when it is everyone's; with one it is not ours.
    public var proxyName: String? { meta.labels["service.kubernetes.io/service-proxy-name"] }
}
