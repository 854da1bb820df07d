public import Addressing

/// A FQDNNetworkPolicy (`networking.gke.io/v1alpha1`) as written.
public struct FQDNNetworkPolicy: Sendable, Hashable {
    /// The name and the labels.
    public var meta: ObjectMeta
    /// The pods of the policy's namespace that it isolates for egress; an empty selector is all of them.
    public var podSelector: LabelSelector
    /// What may go out; at least one.
    public var egress: [FQDNNetworkPolicyRule]

    /// A policy.
    public init(
        meta: ObjectMeta, podSelector: LabelSelector = LabelSelector(), egress: [FQDNNetworkPolicyRule] = []
    ) {
        self.meta = meta
        self.podSelector = podSelector
        self.egress = egress
    }
}

/// One rule: it allows what any of its names resolves to, on every one of its ports.
public struct FQDNNetworkPolicyRule: Sendable, Hashable {
    /// One item of `matches`, as written.
    public enum Match: Sendable, Hashable {
        /// A name in full.
        case name(String)
        /// A name in which each `*` is zero or more characters other than the dot; a lone `*` is every name.
        case pattern(String)
    }

    /// The names; none where an API server's can't be read, and then nothing is admitted.
    public var matches: [Match]
    /// Missing and empty both mean every port of every protocol.
    public var ports: [FQDNNetworkPolicyPort]?

    /// A rule.
    public init(matches: [Match], ports: [FQDNNetworkPolicyPort]? = nil) {
        self.matches = matches
        self.ports = ports
    }
}

/// One port of a rule.
public struct FQDNNetworkPolicyPort: Sendable, Hashable {
    /// The transport protocol, nil for all of them.
    public var ipProtocol: IPProtocol?
    /// The port, nil for every port.
    public var port: Port?

    /// A port of a rule.
    public init(protocol ipProtocol: IPProtocol? = nil, port: Port? = nil) {
        self.ipProtocol = ipProtocol
        self.port = port
    }
}
