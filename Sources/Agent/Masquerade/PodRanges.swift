internal import Addressing
internal import Kubernetes

/// The ranges that nodes take their pods' addresses from.
struct PodRanges: Sendable {
    private var ranges: [String: [CIDR]] = [:]

    /// All of them.
    var all: Set<CIDR> { Set(ranges.values.joined()) }

    /// Takes in a change of an object; true when a Node has other ranges than before.
    mutating func apply(_ change: ObjectChange) -> Bool {
        switch change {
        case .upsert(.node(let node)): set(node.meta.name, node.podCIDRs)
        case .delete(let key) where key.kind == .node: set(key.name, [])
        default: false
        }
    }

    private mutating func set(_ node: String, _ found: [CIDR]) -> Bool {
        guard ranges[node] ?? [] != found else { return false }
        ranges[node] = found.isEmpty ? nil : found
        return true
    }
}
