/// Why an endpoint gets no new connection.
public enum EndpointExclusion: Sendable, Hashable {
    /// Its slice is for those who look names up, and for nobody else.
    case headlessSlice
    /// Its slice has no port with the name and protocol, or gives it no number.
    case noSuchPort
    /// Its address is not of the slice's family.
    case otherFamily
    /// The Service's traffic stays on the node of its client.
    case otherNode
    /// It is not ready.
    case notReady
    /// It is going away, and others are ready.
    case terminating
    /// Its hints name other nodes.
    case hintedForOtherNodes
    /// Its hints name other zones.
    case hintedForOtherZones
}

/// Which endpoints serve a frontend, as kube-proxy has it: ready ones, chosen by their hints unless traffic stays on the
/// node; without any, those that still serve while they shut down.
struct SelectionRule {
    private enum Tier {
        case ready, terminating, none
    }

    private let place: NodePlace
    private let staysOnNode: Bool
    private let tier: Tier
    let topology: TopologyMode

    /// The rule for these endpoints, which have the right family and port.
    init(_ endpoints: some Sequence<EndpointSliceDefinition.Endpoint>, at place: NodePlace, staysOnNode: Bool) {
        self.place = place
        self.staysOnNode = staysOnNode
        let near = endpoints.lazy.filter { !staysOnNode || $0.isOn(place.node) }
        tier =
            near.contains(where: \.isReady)
            ? .ready : near.contains(where: \.isServingTerminating) ? .terminating : .none
        topology =
            tier == .ready && !staysOnNode ? TopologyMode(near.filter(\.isReady), at: place) : .everywhere
    }

    /// The rule for people.
    var choice: ServiceExplanation.Choice {
        switch (tier, topology) {
        case (.none, _): .none
        case (.terminating, _): .terminating
        case (.ready, .everywhere): .ready
        case (.ready, .sameNode): .sameNode
        case (.ready, .sameZone): .sameZone
        }
    }

    /// Why an endpoint does not serve; nil when it does.
    func exclusion(of endpoint: EndpointSliceDefinition.Endpoint) -> EndpointExclusion? {
        if staysOnNode && !endpoint.isOn(place.node) { return .otherNode }
        switch tier {
        case .ready:
            guard endpoint.isReady else { return endpoint.isServingTerminating ? .terminating : .notReady }
            if topology.admits(endpoint, at: place) { return nil }
            return topology == .sameNode ? .hintedForOtherNodes : .hintedForOtherZones
        case .terminating: return endpoint.isServingTerminating ? nil : .notReady
        case .none: return .notReady
        }
    }
}

extension EndpointSliceDefinition.Endpoint {
    func isOn(_ node: String?) -> Bool { node != nil && nodeName == node }
}
