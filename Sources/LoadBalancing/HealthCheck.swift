public import Addressing

/// What a load balancer is told that looks for nodes with endpoints of its Service.
public struct HealthCheck: Sendable, Hashable {
    public let service: ServiceName
    /// The port of the node where it asks.
    public let port: Port
    /// How many pods of this node serve clients outside.
    public let localEndpoints: Int

    public init(service: ServiceName, port: Port, localEndpoints: Int) {
        self.service = service
        self.port = port
        self.localEndpoints = localEndpoints
    }

    /// Nil for a Service whose load balancer may send to every node, or that is not ours.
    init?(of service: ServiceDefinition, _ slices: some Sequence<EndpointSliceDefinition>, at place: NodePlace) {
        guard service.kind == .loadBalancer, service.isExternalTrafficLocal, service.proxyName == nil,
            !service.clusterIPs.isEmpty, let port = service.healthCheckNodePort
        else { return nil }
        let counts = Set(service.clusterIPs.map(\.isIPv4)).map { Self.count(slices, ofIPv4: $0, at: place) }
        self.init(service: service.name, port: port, localEndpoints: counts.max() ?? 0)
    }

    /// As kube-proxy counts, which has a proxy for each family: ready ones of any port, by their addresses. Of a pod
    /// with two families one address counts.
    private static func count(
        _ slices: some Sequence<EndpointSliceDefinition>, ofIPv4 isIPv4: Bool, at place: NodePlace
    ) -> Int {
        var addresses: Set<IPAddress> = []
        for slice in slices where slice.family == (isIPv4 ? .ipv4 : .ipv6) && !slice.isHeadless {
            guard slice.ports.contains(where: { $0.port != nil }) else { continue }
            for endpoint in slice.endpoints where endpoint.isReady && endpoint.isOn(place.node) {
                if let address = endpoint.addresses.first { addresses.insert(address) }
            }
        }
        return addresses.count
    }
}
