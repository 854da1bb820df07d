public import Addressing

/// A NetworkPolicy as written: what is missing and what is empty stay apart.
public struct NetworkPolicy: Sendable, Hashable {
    /// The directions a policy can isolate.
    public enum PolicyType: String, Sendable, Hashable, CaseIterable {
        case ingress = "Ingress"
        case egress = "Egress"
    }

    /// The name and the labels.
    public var meta: ObjectMeta
    /// The pods of the policy's namespace that it isolates; an empty selector is all of them.
    public var podSelector: LabelSelector
    /// The directions as written, nil when missing.
    public var policyTypes: [PolicyType]?
    /// What may come in, nil when missing.
    public var ingress: [NetworkPolicyRule]?
    /// What may go out, nil when missing.
    public var egress: [NetworkPolicyRule]?

    /// A policy.
    public init(
        meta: ObjectMeta, podSelector: LabelSelector = LabelSelector(), policyTypes: [PolicyType]? = nil,
        ingress: [NetworkPolicyRule]? = nil, egress: [NetworkPolicyRule]? = nil
    ) {
        self.meta = meta
        self.podSelector = podSelector
        self.policyTypes = policyTypes
        self.ingress = ingress
        self.egress = egress
    }

    /// Whether the policy isolates for ingress; without types every policy does.
    public var isolatesIngress: Bool { writtenTypes?.contains(.ingress) ?? true }

    /// Whether the policy isolates for egress; without types one with egress rules does.
    public var isolatesEgress: Bool { writtenTypes?.contains(.egress) ?? !(egress ?? []).isEmpty }

    /// The API takes an empty list of types for a missing one.
    private var writtenTypes: [PolicyType]? { policyTypes.flatMap { $0.isEmpty ? nil : $0 } }
}

/// One rule: it allows every one of its peers on every one of its ports.
public struct NetworkPolicyRule: Sendable, Hashable {
    /// `from` or `to`; missing and empty both mean everyone.
    public var peers: [NetworkPolicyPeer]?
    /// Missing and empty both mean every port of every protocol.
    public var ports: [NetworkPolicyPort]?

    /// A rule.
    public init(peers: [NetworkPolicyPeer]? = nil, ports: [NetworkPolicyPort]? = nil) {
        self.peers = peers
        self.ports = ports
    }
}

/// One peer of a rule.
public enum NetworkPolicyPeer: Sendable, Hashable {
    /// The addresses of a range without those of the exceptions, which lie inside it.
    case ipBlock(CIDR, except: [CIDR])
    /// Pods that match `pods` (nil: all) in namespaces that match `namespaces` (nil: the policy's own); not both nil.
    case selectors(pods: LabelSelector?, namespaces: LabelSelector?)
    /// What an API server has and this version can't read: nobody.
    case unreadable
}

/// One port of a rule.
public struct NetworkPolicyPort: Sendable, Hashable {
    /// The transport protocol.
    public var ipProtocol: IPProtocol
    /// The port, nil for every port of the protocol.
    public var port: PortReference?
    /// The last port of a range that starts at a numbered `port`.
    public var endPort: Port?

    /// A port of a rule.
    public init(protocol ipProtocol: IPProtocol = .tcp, port: PortReference? = nil, endPort: Port? = nil) {
        self.ipProtocol = ipProtocol
        self.port = port
        self.endPort = endPort
    }
}
