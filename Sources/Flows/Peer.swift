public import Addressing

/// Who is at one end of a flow.
///
/// The names live in one shared immutable object, so that putting a peer into a flow costs one reference.
public struct Peer: Sendable {
    /// What has the address.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case pod, node, service
        /// Nothing that the agent knows.
        case world
    }

    /// The controller that a pod belongs to.
    public struct Workload: Sendable, Hashable, Codable {
        public var kind: String
        public var name: String

        public init(kind: String, name: String) {
            self.kind = kind
            self.name = name
        }
    }

    private final class Names: Sendable {
        let kind: Kind
        let namespace: String?
        let name: String?
        let labels: [String: String]
        let workload: Workload?
        let node: String?

        init(
            _ kind: Kind, _ namespace: String?, _ name: String?, _ labels: [String: String], _ workload: Workload?,
            _ node: String?
        ) {
            self.kind = kind
            self.namespace = namespace
            self.name = name
            self.labels = labels
            self.workload = workload
            self.node = node
        }

        static let world = Names(.world, nil, nil, [:], nil, nil)
    }

    public var address: IPAddress
    private let names: Names

    /// An address that belongs to nothing known.
    public init(address: IPAddress) {
        self.address = address
        names = .world
    }

    public init(
        address: IPAddress, kind: Kind, namespace: String? = nil, name: String? = nil, labels: [String: String] = [:],
        workload: Workload? = nil, node: String? = nil
    ) {
        self.address = address
        names = Names(kind, namespace, name, labels, workload, node)
    }

    public var kind: Kind { names.kind }
    /// The namespace of a pod or Service.
    public var namespace: String? { names.namespace }
    public var name: String? { names.name }
    public var labels: [String: String] { names.labels }
    public var workload: Workload? { names.workload }
    /// The node that a pod runs on.
    public var node: String? { names.node }
    /// What all copies of a peer share, and no other peer has while one of them is alive.
    public var identity: ObjectIdentifier { ObjectIdentifier(names) }

    /// The same names at another address.
    public func at(_ address: IPAddress) -> Peer {
        var copy = self
        copy.address = address
        return copy
    }
}

extension Peer: Equatable {
    public static func == (left: Peer, right: Peer) -> Bool {
        left.address == right.address
            && (left.names === right.names
                || (left.kind == right.kind && left.namespace == right.namespace && left.name == right.name
                    && left.labels == right.labels && left.workload == right.workload && left.node == right.node))
    }
}

extension Peer: CustomStringConvertible {
    /// `shop/cart-1`, `node worker-1`, or the address of a stranger.
    public var description: String {
        switch (kind, namespace, name) {
        case (.node, _, let name?): "node \(name)"
        case (_, let namespace?, let name?): "\(namespace)/\(name)"
        case (_, nil, let name?): name
        default: "\(address)"
        }
    }
}
