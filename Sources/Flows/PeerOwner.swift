public import Addressing

/// The owner of addresses, by what it is and its name.
public struct PeerOwner: Sendable, Hashable, Comparable {
    public let kind: Peer.Kind
    /// Empty for a node.
    public let namespace: String
    public let name: String

    public init(kind: Peer.Kind, namespace: String = "", name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    public static func < (left: PeerOwner, right: PeerOwner) -> Bool {
        (left.kind.rawValue, left.namespace, left.name) < (right.kind.rawValue, right.namespace, right.name)
    }
}

/// A pod as the directory knows it.
public struct PodPeer: Sendable, Equatable {
    public var namespace: String
    public var name: String
    /// Tells it from another pod of that name.
    public var uid: String
    public var addresses: [IPAddress]
    public var labels: [String: String]
    public var workload: Peer.Workload?
    /// The node that it runs on.
    public var node: String?
    /// Whether its containers have ended: its addresses may already belong to another pod.
    public var isFinished: Bool
    /// Whether it shares the node's network: its addresses are the node's, and stay the node's here.
    public var usesHostNetwork: Bool

    public init(
        namespace: String, name: String, uid: String = "", addresses: [IPAddress], labels: [String: String] = [:],
        workload: Peer.Workload? = nil, node: String? = nil, isFinished: Bool = false, usesHostNetwork: Bool = false
    ) {
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.addresses = addresses
        self.labels = labels
        self.workload = workload
        self.node = node
        self.isFinished = isFinished
        self.usesHostNetwork = usesHostNetwork
    }
}

/// A Service as the directory knows it.
public struct ServicePeer: Sendable, Equatable {
    /// A port of the Service.
    public struct Port: Sendable, Hashable {
        public var name: String
        public var port: Addressing.Port
        public var ipProtocol: IPProtocol
        /// The port of every node's addresses that leads to it; nil: there is none.
        public var nodePort: Addressing.Port?

        public init(
            name: String, port: Addressing.Port, ipProtocol: IPProtocol, nodePort: Addressing.Port? = nil
        ) {
            self.name = name
            self.port = port
            self.ipProtocol = ipProtocol
            self.nodePort = nodePort
        }
    }

    public var namespace: String
    public var name: String
    public var addresses: [IPAddress]
    public var ports: [Port]
    public var labels: [String: String]

    public init(
        namespace: String, name: String, addresses: [IPAddress], ports: [Port] = [], labels: [String: String] = [:]
    ) {
        self.namespace = namespace
        self.name = name
        self.addresses = addresses
        self.ports = ports
        self.labels = labels
    }
}
