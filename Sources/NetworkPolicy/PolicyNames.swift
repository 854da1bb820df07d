public import DomainNames

/// The kinds of objects that rules come from.
public enum PolicyKind: String, Sendable, Hashable, CaseIterable, Comparable {
    case clusterNetworkPolicy = "ClusterNetworkPolicy"
    case networkPolicy = "NetworkPolicy"
    case fqdnNetworkPolicy = "FQDNNetworkPolicy"

    public static func < (left: PolicyKind, right: PolicyKind) -> Bool { left.rawValue < right.rawValue }
}

/// The name of a policy object: `NetworkPolicy/shop/frontend`, without a namespace when it is cluster-scoped.
public struct PolicyName: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var kind: PolicyKind
    /// Empty for a cluster-scoped object.
    public var namespace: String
    public var name: String

    public init(kind: PolicyKind, namespace: String, name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    public static func < (left: PolicyName, right: PolicyName) -> Bool {
        (left.kind, left.namespace, left.name) < (right.kind, right.namespace, right.name)
    }

    public var description: String {
        namespace.isEmpty ? "\(kind.rawValue)/\(name)" : "\(kind.rawValue)/\(namespace)/\(name)"
    }

    /// For people: `NetworkPolicy shop/frontend`, `ClusterNetworkPolicy guard`.
    public var text: String { "\(kind.rawValue) " + (namespace.isEmpty ? name : "\(namespace)/\(name)") }
}

/// The item of a policy object that a rule comes from: `NetworkPolicy/shop/frontend/ingress/0`, with its name behind
/// that if it has one: `ClusterNetworkPolicy/guard/ingress/0/allow-monitoring`.
public struct RuleOrigin: Sendable, Hashable, CustomStringConvertible {
    public var policy: PolicyName
    public var direction: PolicyDirection
    /// The index in the object's `ingress` or `egress`.
    public var index: Int
    /// What the author calls the rule; it decides nothing.
    public var ruleName: String?
    /// When the object was made, as its `creationTimestamp` says; it decides whose patterns come first.
    public var created: String?
    /// Where in the object its patterns of names are written: `spec.egress[0].matches[1].pattern`; it decides nothing.
    public var patternFields: [DomainPattern: String]

    public init(
        policy: PolicyName, direction: PolicyDirection, index: Int, ruleName: String? = nil, created: String? = nil,
        patternFields: [DomainPattern: String] = [:]
    ) {
        self.policy = policy
        self.direction = direction
        self.index = index
        self.ruleName = ruleName
        self.created = created
        self.patternFields = patternFields
    }

    public var description: String {
        "\(policy)/\(direction.rawValue)/\(index)" + (ruleName.map { "/\($0)" } ?? "")
    }

    /// The rule's place in the object: `ingress[0]`.
    public var place: String { "\(direction.rawValue)[\(index)]" }
}
