public import DomainNames

/// One item of a FQDN policy's `egress`; a nil or empty `ports` admits every protocol and port.
public struct FQDNPolicyRule: Sendable, Hashable {
    public var matches: [DomainPattern]
    public var ports: [PortRule]?
    /// Where in the object each of them is written, as far as that is known; it decides nothing.
    public var fields: [DomainPattern: String]

    public init(matches: [DomainPattern], ports: [PortRule]? = nil, fields: [DomainPattern: String] = [:]) {
        self.matches = matches
        self.ports = ports
        self.fields = fields
    }
}

/// A FQDNNetworkPolicy (`networking.gke.io/v1alpha1`): it isolates the pods that it selects for egress.
public struct FQDNPolicyObject: Sendable, Hashable {
    public var namespace: String
    public var name: String
    public var podSelector: LabelSelector
    public var egress: [FQDNPolicyRule]
    /// Whether it is in audit mode: what it would deny is reported and not denied.
    public var isAudited: Bool
    /// `metadata.creationTimestamp`, if the object has one.
    public var created: String?
    /// What the reader of the object has found wrong with it, to be told; it decides nothing.
    public var invalidFields: [InvalidField]

    public init(
        namespace: String, name: String, podSelector: LabelSelector = .everything, egress: [FQDNPolicyRule] = [],
        isAudited: Bool = false, created: String? = nil, invalidFields: [InvalidField] = []
    ) {
        self.namespace = namespace
        self.name = name
        self.podSelector = podSelector
        self.egress = egress
        self.isAudited = isAudited
        self.created = created
        self.invalidFields = invalidFields
    }
}
