public import DomainNames

/// What a rule does with the traffic it matches.
public enum PolicyAction: String, Sendable, Hashable, CaseIterable {
    case allow
    case deny
    /// Leave the tier: the next one decides.
    case pass
}

/// The tiers of policies in the order they are judged.
public enum PolicyTier: UInt8, Sendable, Hashable, CaseIterable, Comparable {
    case admin
    case networkPolicy
    case baseline

    public static func < (left: PolicyTier, right: PolicyTier) -> Bool { left.rawValue < right.rawValue }
}

/// One item of a cluster policy's `ingress` or `egress`; a nil `ports` admits every protocol and port.
public struct ClusterPolicyRule: Sendable, Hashable {
    /// What the author calls the rule; it decides nothing.
    public var name: String?
    public var action: PolicyAction
    /// At least one; a rule without peers, which the API has not, denies everyone or admits nobody.
    public var peers: [PolicyPeer]
    public var ports: [PortRule]?
    /// Where in the object its domain names are written, as far as that is known; it decides nothing.
    public var fields: [DomainPattern: String]

    public init(
        name: String? = nil, action: PolicyAction, peers: [PolicyPeer], ports: [PortRule]? = nil,
        fields: [DomainPattern: String] = [:]
    ) {
        self.name = name
        self.action = action
        self.peers = peers
        self.ports = ports
        self.fields = fields
    }
}

/// A ClusterNetworkPolicy (`policy.networking.k8s.io/v1alpha2`) with the peers that are pods or networks.
public struct ClusterPolicyObject: Sendable, Hashable {
    public var name: String
    /// `admin` or `baseline`.
    public var tier: PolicyTier
    /// 0…1000, lower first; equal ones are ordered by name.
    public var priority: Int
    public var namespaceSelector: LabelSelector
    public var podSelector: LabelSelector
    /// The ingress rules; a peer without `namespaceSelector` is in any namespace.
    public var ingress: [ClusterPolicyRule]
    public var egress: [ClusterPolicyRule]
    /// Whether it is in audit mode: what it would deny is reported and not denied.
    public var isAudited: Bool
    /// `metadata.creationTimestamp`, if the object has one.
    public var created: String?
    /// What the reader of the object has found wrong with it, to be told; it decides nothing.
    public var invalidFields: [InvalidField]

    public init(
        name: String, tier: PolicyTier, priority: Int, namespaceSelector: LabelSelector = .everything,
        podSelector: LabelSelector = .everything, ingress: [ClusterPolicyRule] = [],
        egress: [ClusterPolicyRule] = [], isAudited: Bool = false, created: String? = nil,
        invalidFields: [InvalidField] = []
    ) {
        self.name = name
        self.tier = tier
        self.priority = priority
        self.namespaceSelector = namespaceSelector
        self.podSelector = podSelector
        self.ingress = ingress
        self.egress = egress
        self.isAudited = isAudited
        self.created = created
        self.invalidFields = invalidFields
    }
}
