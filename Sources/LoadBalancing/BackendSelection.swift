internal import Addressing

/// The choice of backends for one frontend from the EndpointSlices of its Service, in any order of slices.
struct BackendSelection {
    let isIPv4: Bool
    let ipProtocol: IPProtocol
    let portName: String
    /// Not nil: only endpoints of this node count (an unknown node, the inner nil, has none).
    let onlyNode: String??

    private var ready: [Backend] = []
    private var terminating: [Backend] = []

    init(isIPv4: Bool, ipProtocol: IPProtocol, portName: String, onlyNode: String??) {
        self.isIPv4 = isIPv4
        self.ipProtocol = ipProtocol
        self.portName = portName
        self.onlyNode = onlyNode
    }

    /// Adds the endpoints of a slice that serve the frontend's port.
    ///
    /// Ports join by name *and* protocol; two slices may give one name different numbers (a rolling change of a named
    /// container port), so the number comes from the slice that holds the endpoint.
    mutating func add(_ slice: EndpointSliceDefinition) {
        guard !slice.isHeadless, slice.family == (isIPv4 ? .ipv4 : .ipv6) else { return }
        for port in slice.ports where port.name == portName && port.ipProtocol == ipProtocol {
            guard let number = port.port, number != 0 else { continue }
            for endpoint in slice.endpoints { add(endpoint, number) }
        }
    }

    /// The ready endpoints; without any, those that still serve while they shut down. Sorted and unique.
    var backends: [Backend] { Self.sortedUnique(ready.isEmpty ? terminating : ready) }

    private mutating func add(_ endpoint: EndpointSliceDefinition.Endpoint, _ port: Port) {
        guard let address = endpoint.addresses.first, address.isIPv4 == isIPv4 else { return }
        if let onlyNode, endpoint.nodeName == nil || endpoint.nodeName != onlyNode { return }
        let backend = Backend(address: SocketAddress(address, port))
        if endpoint.isReady {
            ready.append(backend)
        } else if endpoint.isServingTerminating {
            terminating.append(backend)
        }
    }

    private static func sortedUnique(_ backends: [Backend]) -> [Backend] {
        var result: [Backend] = []
        result.reserveCapacity(backends.count)
        for backend in backends.sorted() where backend != result.last { result.append(backend) }
        return result
    }
}
