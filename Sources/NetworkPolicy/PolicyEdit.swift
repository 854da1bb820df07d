public import Addressing

/// What an address is to the policies of this node.
public struct PeerClass: Sendable, Hashable {
    public var id: ClassID
    /// Whether the address is this node's own: its traffic is always allowed into the node's pods.
    public var isLocalNode: Bool
    /// Whether only this node's Node object says so: none of its interfaces has the address, so the node sends nothing
    /// from it.
    public var isElsewhere: Bool

    public init(id: ClassID, isLocalNode: Bool = false, isElsewhere: Bool = false) {
        self.id = id
        self.isLocalNode = isLocalNode
        self.isElsewhere = isElsewhere
    }
}

/// The policies of one pod of this node.
public struct EndpointPolicies: Sendable, Hashable {
    public var ingress: PolicyID
    public var egress: PolicyID

    public init(ingress: PolicyID = .none, egress: PolicyID = .none) {
        self.ingress = ingress
        self.egress = egress
    }
}

/// One idempotent change of the tables that packets are judged by.
///
/// Edits are emitted in an order in which no packet is judged by half a change, provided they are applied in that
/// order: runs of the same case may be batched, but no edit may overtake one of another case, and one address may be
/// switched twice. Where several objects changed, pods and namespaces change first and policies after them.
public enum PolicyEdit: Sendable, Hashable {
    case setPolicy(CompiledPolicy)
    case removePolicy(PolicyID)
    /// The rules of a policy that admit a class of peers; a pair without an entry has none.
    case setPeers(PolicyID, ClassID, RuleBits)
    case removePeers(PolicyID, ClassID)
    case setClass(IPAddress, PeerClass)
    case removeClass(IPAddress)
    /// A prefix and its class; `anyone` is a hole in a shorter prefix.
    case setPrefixClass(CIDR, ClassID)
    case removePrefixClass(CIDR)
    /// A pod of this node; it has an entry also when no policy selects it.
    case setEndpoint(PodKey, EndpointPolicies)
    case removeEndpoint(PodKey)
}

/// Why a policy object is not in force as written; the pods it selects are denied all traffic in its directions.
public struct PolicyProblem: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var object: PolicyName
    /// The path in the object, as `spec.ingress[0].ports[1].endPort`.
    public var field: String
    public var message: String

    public init(object: PolicyName, field: String, message: String) {
        self.object = object
        self.field = field
        self.message = message
    }

    /// What the reader of an object has found.
    init(_ object: PolicyName, _ found: InvalidField) {
        self.init(object: object, field: found.field, message: found.message)
    }

    public static func < (left: PolicyProblem, right: PolicyProblem) -> Bool {
        (left.object, left.field, left.message) < (right.object, right.field, right.message)
    }

    public var description: String { "\(object): \(field): \(message)" }
}
