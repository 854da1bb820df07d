public import Addressing

/// What routing takes of a Node.
public struct RoutedNode: Sendable, Hashable {
    public var name: String
    /// Its addresses of type InternalIP, in their order.
    public var addresses: [IPAddress]
    /// Its podCIDRs.
    public var ranges: [CIDR]

    public init(_ name: String, addresses: [IPAddress], ranges: [CIDR]) {
        self.name = name
        self.addresses = addresses
        self.ranges = ranges
    }
}

/// Why the pods of a node, or some of them, are not routed to.
public struct RoutingProblem: Error, Sendable, Hashable, Comparable {
    /// The Node's name.
    public var node: String
    /// The field of the Node that asks for what can't be done.
    public var field: String
    /// One sentence for people.
    public var message: String

    public init(node: String, field: String, message: String) {
        self.node = node
        self.field = field
        self.message = message
    }

    public static func < (left: RoutingProblem, right: RoutingProblem) -> Bool {
        (left.node, left.field, left.message) < (right.node, right.field, right.message)
    }
}
