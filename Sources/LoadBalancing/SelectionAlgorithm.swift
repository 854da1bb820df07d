/// How the backend of a new connection is chosen for clients from outside of the node.
public enum SelectionAlgorithm: Sendable, Hashable {
    /// Any backend, each as often as the others.
    case random
    /// The same for a connection on every node that has the same backends, by a table of so many places.
    case maglev(tableSize: Int)

    /// The annotation of a Service that wants another algorithm than the node's.
    public static let annotation = "apus.dev/load-balancer-algorithm"

    /// The places of a table; nil: there is none.
    public var tableSize: Int? { if case .maglev(let size) = self { size } else { nil } }
}
