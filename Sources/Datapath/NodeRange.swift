internal import DatapathABI

/// What is known of addresses of another node, as values of `node_ranges` have it.
public struct NodeRange: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The node's own: what comes wrapped from there is unwrapped.
    public static let sends = NodeRange(rawValue: UInt32(APUS_NODE_RANGE_SENDS.rawValue))
    /// What goes there wrapped reaches a node that unwraps it.
    public static let unwraps = NodeRange(rawValue: UInt32(APUS_NODE_RANGE_UNWRAPS.rawValue))

    /// This node's own, from which others unwrap.
    public static let own = NodeRange(rawValue: UInt32(APUS_NODE_RANGE_OWN.rawValue))

    /// `wraps, unwraps`, for people.
    var text: String {
        let words = [(Self.sends, "wraps"), (.unwraps, "unwraps"), (.own, "this node")].filter { contains($0.0) }.map(
            \.1)
        return words.isEmpty ? "nothing" : words.joined(separator: ", ")
    }
}
