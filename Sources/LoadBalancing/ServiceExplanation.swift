public import Addressing

/// Where clients are.
public enum ClientPlace: Sendable, Hashable, CaseIterable {
    /// On this node: a pod of it, or a process of its own.
    case inside
    /// Elsewhere: they come in by an uplink.
    case outside
}

/// Which endpoints serve a frontend, and why the others don't.
public struct ServiceExplanation: Sendable, Equatable {
    /// How the endpoints that serve were chosen.
    public enum Choice: Sendable, Hashable {
        /// Every ready one serves.
        case ready
        /// Those ready ones serve whose hints name this node, or its zone.
        case sameNode, sameZone
        /// None is ready: those serve that are going away.
        case terminating
        /// None can serve.
        case none
    }

    /// One endpoint, once for each number that its slice has for the port.
    public struct Endpoint: Sendable, Equatable {
        public var slice: SliceName
        /// With port 0 where the slice has no number for the port.
        public var address: SocketAddress
        public var node: String?
        public var zone: String?
        /// Nil when it serves.
        public var exclusion: EndpointExclusion?
    }

    public var service: ServiceName
    public var portName: String
    public var kind: FrontendKind
    public var choice: Choice
    /// Whether traffic stays on this node.
    public var staysOnNode: Bool
    /// The clients that may connect; empty: all may.
    public var sourceRanges: Set<CIDR> = []
    /// This node's zone.
    public var zone: String?
    public var affinitySeconds: UInt32?
    /// Sorted by address, then by slice.
    public var endpoints: [Endpoint]
}

extension BackendSelection {
    /// Why each endpoint of slices of the frontend's family does or does not serve.
    func explain(_ slices: [EndpointSliceDefinition]) -> [ServiceExplanation.Endpoint] {
        let family: EndpointSliceDefinition.Family = isIPv4 ? .ipv4 : .ipv6
        let endpoints = slices.filter { $0.family == family }.flatMap { slice in
            let numbers = slice.isHeadless ? [] : numbers(in: slice)
            return slice.endpoints.flatMap { endpoint in
                (numbers.isEmpty ? [0] : numbers).compactMap { number -> ServiceExplanation.Endpoint? in
                    guard let address = endpoint.addresses.first else { return nil }
                    return ServiceExplanation.Endpoint(
                        slice: slice.name, address: SocketAddress(address, number), node: endpoint.nodeName,
                        zone: endpoint.zone, exclusion: exclusion(of: endpoint, address, number, slice))
                }
            }
        }
        return endpoints.sorted { ($0.address, $0.slice) < ($1.address, $1.slice) }
    }

    private func exclusion(
        of endpoint: EndpointSliceDefinition.Endpoint, _ address: IPAddress, _ number: Port,
        _ slice: EndpointSliceDefinition
    ) -> EndpointExclusion? {
        if slice.isHeadless { return .headlessSlice }
        if number == 0 { return .noSuchPort }
        return address.isIPv4 == isIPv4 ? rule.exclusion(of: endpoint) : .otherFamily
    }
}
