public import Addressing
public import DomainNames

/// The name of a pod in the cluster.
public struct PodKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var namespace: String
    public var name: String

    public init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    public static func < (left: PodKey, right: PodKey) -> Bool {
        (left.namespace, left.name) < (right.namespace, right.name)
    }

    public var description: String { "\(namespace)/\(name)" }
}

/// A named container port of a pod.
public struct NamedPort: Sendable, Hashable, Comparable {
    public var name: String
    public var ipProtocol: IPProtocol
    public var port: Port

    public init(name: String, ipProtocol: IPProtocol, port: Port) {
        self.name = name
        self.ipProtocol = ipProtocol
        self.port = port
    }

    public static func < (left: NamedPort, right: NamedPort) -> Bool {
        (left.name, left.ipProtocol, left.port) < (right.name, right.ipProtocol, right.port)
    }
}

/// What policies need to know of a pod.
public struct PolicyPod: Sendable, Hashable {
    public var key: PodKey
    public var labels: [String: String]
    public var addresses: [IPAddress]
    /// The node it is scheduled to, nil before that.
    public var node: String?
    /// Whether it shares its node's network: then its traffic is the node's, and no policy selects it.
    public var isHostNetwork: Bool
    /// The named ports of its containers, restartable init containers included.
    public var namedPorts: [NamedPort]
    /// Whether its phase is Succeeded or Failed: its addresses may already be another pod's.
    public var isTerminated: Bool

    public init(
        key: PodKey, labels: [String: String] = [:], addresses: [IPAddress] = [], node: String? = nil,
        isHostNetwork: Bool = false, namedPorts: [NamedPort] = [], isTerminated: Bool = false
    ) {
        self.key = key
        self.labels = labels
        self.addresses = addresses
        self.node = node
        self.isHostNetwork = isHostNetwork
        self.namedPorts = namedPorts
        self.isTerminated = isTerminated
    }
}

/// The direction of traffic as the selected pod sees it.
public enum PolicyDirection: String, Sendable, Hashable, CaseIterable, Comparable {
    case ingress
    case egress

    public static func < (left: PolicyDirection, right: PolicyDirection) -> Bool {
        left == .ingress && right == .egress
    }
}

/// One item of a rule's `from` or `to`.
public enum PolicyPeer: Sendable, Hashable {
    /// Pods: both selectors given must hold. Without `namespaceSelector`, pods of the policy's own namespace.
    case pods(namespaceSelector: LabelSelector?, podSelector: LabelSelector?)
    /// Addresses of a block, without the exceptions.
    case block(CIDR, except: [CIDR])
    /// Exactly these addresses, such as those of the nodes that a selector matched; an empty list admits nobody.
    case addresses([IPAddress])
    /// What the names resolve to, as the pod has learned it; in egress rules that allow only.
    case domains([DomainPattern])
}

/// One item of a rule's `ports`.
public struct PortRule: Sendable, Hashable {
    /// The port part of an item; numbers are 1 to 65535, the last one not below the first.
    public enum Ports: Sendable, Hashable {
        case any
        case number(Int)
        /// `port` to `endPort`, both included.
        case range(Int, Int)
        /// A container port's name, resolved on the pod that receives the traffic.
        case name(String)
    }

    public var ipProtocol: IPProtocol
    public var ports: Ports

    public init(_ ipProtocol: IPProtocol = .tcp, _ ports: Ports = .any) {
        self.ipProtocol = ipProtocol
        self.ports = ports
    }
}

/// One item of a policy's `ingress` or `egress`; a nil or empty list admits everything.
public struct PolicyRule: Sendable, Hashable {
    public var peers: [PolicyPeer]?
    public var ports: [PortRule]?

    public init(peers: [PolicyPeer]? = nil, ports: [PortRule]? = nil) {
        self.peers = peers
        self.ports = ports
    }
}

/// A part of an object that could not be understood. Whoever reads the object puts what admits nothing in its place.
public struct InvalidField: Sendable, Hashable {
    /// The path in the object, as `spec.ingress[0].from[1].ipBlock.cidr`.
    public var field: String
    public var message: String

    public init(field: String, message: String) {
        self.field = field
        self.message = message
    }
}

/// A NetworkPolicy (`networking.k8s.io/v1`).
public struct NetworkPolicyObject: Sendable, Hashable {
    public var namespace: String
    public var name: String
    public var podSelector: LabelSelector
    /// `policyTypes`; nil or empty means ingress, and egress too when there are egress rules.
    public var policyTypes: Set<PolicyDirection>?
    public var ingress: [PolicyRule]
    public var egress: [PolicyRule]
    /// Whether it is in audit mode: what it would deny is reported and not denied.
    public var isAudited: Bool
    /// What the reader of the object has found wrong with it, to be told; it decides nothing.
    public var invalidFields: [InvalidField]

    public init(
        namespace: String, name: String, podSelector: LabelSelector = .everything,
        policyTypes: Set<PolicyDirection>? = nil, ingress: [PolicyRule] = [], egress: [PolicyRule] = [],
        isAudited: Bool = false, invalidFields: [InvalidField] = []
    ) {
        self.namespace = namespace
        self.name = name
        self.podSelector = podSelector
        self.policyTypes = policyTypes
        self.ingress = ingress
        self.egress = egress
        self.isAudited = isAudited
        self.invalidFields = invalidFields
    }
}
