internal import Addressing
internal import Datapath
internal import Kubernetes

/// The addresses of the nodes, and of the other nodes' pods: between nodes packets may go wrapped.
struct NodeRanges: Sendable {
    private let own: String
    /// Whether nodes send from the first address of each of their ranges of pods, as by an overlay.
    private let sendsFromRanges: Bool
    private var nodes: [String: Node] = [:]

    init(own: String, sendsFromRanges: Bool) {
        self.own = own
        self.sendsFromRanges = sendsFromRanges
    }

    /// All of them, and what each is.
    var all: [CIDR: NodeRange] {
        var ranges: [CIDR: NodeRange] = [:]
        for (name, node) in nodes {
            let isOwn = name == own
            if !isOwn { for range in node.podCIDRs { ranges[range, default: []].formUnion(.unwraps) } }
            let senders = node.addresses.map(\.address) + (sendsFromRanges ? node.podCIDRs.map(\.address) : [])
            for address in senders {
                ranges[CIDR(host: address), default: []].formUnion(isOwn ? .own : [.sends, .unwraps])
            }
        }
        return ranges
    }

    /// Takes in changes of objects; true when a Node is elsewhere than before.
    mutating func apply(_ changes: [ObjectChange]) -> Bool {
        changes.reduce(false) { apply($1) || $0 }
    }

    private mutating func apply(_ change: ObjectChange) -> Bool {
        switch change {
        case .upsert(.node(let node)):
            let old = nodes.updateValue(node, forKey: node.meta.name)
            return old?.addresses != node.addresses || old?.podCIDRs != node.podCIDRs
        case .delete(let key) where key.kind == .node: return nodes.removeValue(forKey: key.name) != nil
        default: return false
        }
    }
}
