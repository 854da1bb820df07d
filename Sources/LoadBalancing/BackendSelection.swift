internal import Addressing

/// The choice of backends for one frontend from the EndpointSlices of its Service, in any order of slices.
struct BackendSelection {
    /// An endpoint of the right family with the right port: conditions, place and hints decide about it.
    private struct Candidate {
        let backend: Backend
        let endpoint: EndpointSliceDefinition.Endpoint
    }

    let isIPv4: Bool
    let ipProtocol: IPProtocol
    let portName: String
    let place: NodePlace
    /// Whether only endpoints of this node count (on an unknown node there are none).
    let staysOnNode: Bool

    private var candidates: [Candidate] = []

    init(isIPv4: Bool, ipProtocol: IPProtocol, portName: String, place: NodePlace, staysOnNode: Bool) {
        self.isIPv4 = isIPv4
        self.ipProtocol = ipProtocol
        self.portName = portName
        self.place = place
        self.staysOnNode = staysOnNode
    }

    /// Adds the endpoints of a slice that serve the frontend's port.
    ///
    /// Ports join by name *and* protocol; two slices may give one name different numbers (a rolling change of a named
    /// container port), so the number comes from the slice that holds the endpoint.
    mutating func add(_ slice: EndpointSliceDefinition) {
        guard !slice.isHeadless, slice.family == (isIPv4 ? .ipv4 : .ipv6) else { return }
        for number in numbers(in: slice) {
            for endpoint in slice.endpoints {
                guard let address = endpoint.addresses.first, address.isIPv4 == isIPv4 else { continue }
                let backend = Backend(address: SocketAddress(address, number))
                candidates.append(Candidate(backend: backend, endpoint: endpoint))
            }
        }
    }

    /// The numbers that a slice has for the frontend's port.
    func numbers(in slice: EndpointSliceDefinition) -> [Port] {
        slice.ports.lazy.filter { $0.name == portName && $0.ipProtocol == ipProtocol }.compactMap(\.port)
            .filter { $0 != 0 }
    }

    /// What decides about the endpoints that were added.
    var rule: SelectionRule {
        SelectionRule(candidates.lazy.map(\.endpoint), at: place, staysOnNode: staysOnNode)
    }

    /// The endpoints that serve, sorted and unique.
    var backends: [Backend] {
        let rule = rule
        return Self.sortedUnique(candidates.filter { rule.exclusion(of: $0.endpoint) == nil }.map(\.backend))
    }

    /// Whether there would be an endpoint if traffic did not stay on the node.
    var isServedElsewhere: Bool {
        guard staysOnNode, rule.choice == .none else { return false }
        return SelectionRule(candidates.lazy.map(\.endpoint), at: place, staysOnNode: false).choice != .none
    }

    /// The endpoints besides those that get what is new, which have not ceased to serve, sorted and unique. Neither
    /// policies nor hints count, nor that one is going away.
    func kept(besides chosen: @autoclosure () -> Set<Backend>) -> [Backend] {
        let rule = rule
        let others = candidates.filter { $0.endpoint.isServing && rule.exclusion(of: $0.endpoint) != nil }
        guard !others.isEmpty else { return [] }
        let chosen = chosen()
        return Self.sortedUnique(others.map(\.backend).filter { !chosen.contains($0) })
    }

    private static func sortedUnique(_ backends: [Backend]) -> [Backend] {
        var result: [Backend] = []
        result.reserveCapacity(backends.count)
        for backend in backends.sorted() where backend != result.last { result.append(backend) }
        return result
    }
}
