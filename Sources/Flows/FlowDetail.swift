/// What is told of flows.
public enum FlowDetail: String, Sendable, Hashable, CaseIterable {
    /// Nothing at all.
    case none
    /// Openings, ends and long lives of connections, and denied packets in sums.
    case connections
    /// Each packet besides, and each denied one: to look into something, as it costs much.
    case packets
}
