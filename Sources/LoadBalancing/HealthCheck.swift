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
            let port = service.healthCheckNodePort
        else { return nil }
        self.init(service: service.name, port: port, localEndpoints: Self.count(slices, at: place))
    }

    /// As kube-proxy counts: ready ones of any port, by their addresses. Of a pod with two families one address counts.
    private static func count(_ slices: some Sequence<EndpointSliceDefinition>, at place: NodePlace) -> Int {
        var addresses: [Bool: Set<IPAddress>] = [:]
        for slice in slices where !slice.isHeadless && slice.ports.contains(where: { $0.port != nil }) {
            for endpoint in slice.endpoints where endpoint.isReady && endpoint.isOn(place.node) {
                if let address = endpoint.addresses.first { addresses[address.isIPv4, default: []].insert(address) }
            }
        }
        return addresses.values.map(\.count).max() ?? 0
    }
}
