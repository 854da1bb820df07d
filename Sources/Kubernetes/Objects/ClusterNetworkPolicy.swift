public import Addressing

/// A ClusterNetworkPolicy (`policy.networking.k8s.io/v1alpha2`) as written.
public struct ClusterNetworkPolicy: Sendable, Hashable {
    /// When a policy is judged: before every NetworkPolicy, or after none of them has decided.
    public enum Tier: String, Sendable, Hashable, CaseIterable {
        case admin = "Admin"
        case baseline = "Baseline"
    }

    /// The name and the labels.
    public var meta: ObjectMeta
    /// The tier that the policy belongs to.
    public var tier: Tier
    /// 0 to 1000; lower ones are judged first.
    public var priority: Int
    /// The namespaces whose pods the policy speaks of.
    public var namespaceSelector: LabelSelector
    /// The pods in them; an empty selector is all of them.
    public var podSelector: LabelSelector
    /// What the policy says of what comes in, in the order in which it is judged.
    public var ingress: [ClusterNetworkPolicyRule]
    /// What the policy says of what goes out, likewise.
    public var egress: [ClusterNetworkPolicyRule]

    /// A policy.
    public init(
        meta: ObjectMeta, tier: Tier, priority: Int, namespaceSelector: LabelSelector = LabelSelector(),
        podSelector: LabelSelector = LabelSelector(), ingress: [ClusterNetworkPolicyRule] = [],
        egress: [ClusterNetworkPolicyRule] = []
    ) {
        self.meta = meta
        self.tier = tier
        self.priority = priority
        self.namespaceSelector = namespaceSelector
        self.podSelector = podSelector
        self.ingress = ingress
        self.egress = egress
    }
}

/// One rule: what happens to the traffic of its peers on its ports.
public struct ClusterNetworkPolicyRule: Sendable, Hashable {
    /// What happens to traffic that a rule matches.
    public enum Action: String, Sendable, Hashable, CaseIterable {
        case accept = "Accept"
        case deny = "Deny"
        /// The rest of the tier is skipped.
        case pass = "Pass"
    }

    /// What the author calls the rule; it decides nothing.
    public var name: String?
    /// What happens to the traffic.
    public var action: Action
    /// `from` or `to`; at least one.
    public var peers: [ClusterNetworkPolicyPeer]
    /// Nil means every port of every protocol.
    public var ports: [NetworkPolicyPort]?

    /// A rule.
    public init(
        name: String? = nil, action: Action, peers: [ClusterNetworkPolicyPeer], ports: [NetworkPolicyPort]? = nil
    ) {
        self.name = name
        self.action = action
        self.peers = peers
        self.ports = ports
    }
}

/// One peer of a rule.
public enum ClusterNetworkPolicyPeer: Sendable, Hashable {
    /// Every pod of the namespaces.
    case namespaces(LabelSelector)
    /// The pods in the namespaces.
    case pods(namespaces: LabelSelector, pods: LabelSelector)
    /// The addresses of the nodes; in egress only.
    case nodes(LabelSelector)
    /// The addresses of the ranges; in egress only.
    case networks([CIDR])
    /// What the names resolve to; in egress rules that accept only.
    case domainNames([String])
    /// What an API server has and this version can't read: nobody where the rule accepts, everybody otherwise.
    case unreadable
}
