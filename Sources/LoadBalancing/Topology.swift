/// Where this node is: what the hints of endpoints are compared with.
struct NodePlace: Sendable, Equatable {
    /// Its name; nil when it is not known.
    var node: String?
    /// Its zone; nil when it is not known.
    var zone: String?
}

/// Which of the ready endpoints serve the clients of this node, by the hints in their slices.
///
/// Hints count all together or not at all: while one ready endpoint has none, whoever wrote them is not done, and
/// nobody knows which clients it was meant for. Where they would leave this node without an endpoint they don't count.
public enum TopologyMode: Sendable, Hashable {
    /// Every ready endpoint serves.
    case everywhere
    /// Those whose hints name this node.
    case sameNode
    /// Those whose hints name this node's zone.
    case sameZone

    /// What the hints of all ready endpoints come to; node hints come before zone hints.
    init(_ ready: some Sequence<EndpointSliceDefinition.Endpoint>, at place: NodePlace) {
        var byNode = HintTally()
        var byZone = HintTally()
        for endpoint in ready {
            byNode.count(endpoint.nodeHints, place.node)
            byZone.count(endpoint.zoneHints, place.zone)
            if byNode.isIncomplete && byZone.isIncomplete { break }
        }
        self = byNode.isUsable ? .sameNode : byZone.isUsable ? .sameZone : .everywhere
    }

    /// Whether a ready endpoint serves.
    func admits(_ endpoint: EndpointSliceDefinition.Endpoint, at place: NodePlace) -> Bool {
        switch self {
        case .everywhere: true
        case .sameNode: place.node.map(endpoint.nodeHints.contains) ?? false
        case .sameZone: place.zone.map(endpoint.zoneHints.contains) ?? false
        }
    }
}

/// Whether every endpoint has hints of one kind, and one of them is for this node.
private struct HintTally {
    private(set) var isIncomplete = false
    private var namesPlace = false

    var isUsable: Bool { !isIncomplete && namesPlace }

    mutating func count(_ hints: [String], _ place: String?) {
        if hints.isEmpty { isIncomplete = true } else if let place, hints.contains(place) { namesPlace = true }
    }
}
