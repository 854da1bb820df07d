internal import Addressing
internal import Kubernetes
internal import NetworkPolicy
internal import PolicyTranslation

/// A policy of any kind in the form that checks work with; fields are named as they are written.
struct LintedPolicy {
    /// Something about one field.
    struct Remark {
        var code: LintCode
        var field: String
        var message: String
    }

    /// One item of `from` or `to`.
    enum Peer {
        case pods(LintedPods)
        case nodes(PolicySelector)
        /// Addresses and names, which no manifest has.
        case outside
    }

    /// A named port, and the protocols that it may be of.
    struct NamedPort {
        var field: String
        var name: String
        var protocols: Set<IPProtocol>
    }

    struct Rule {
        var field: String
        var peersField: String
        var isIngress: Bool
        /// Nil where the list is missing.
        var peers: [Peer]?
        var hasPorts: Bool
        var emptyPortList = false
        var namedPorts: [NamedPort]
    }

    var subject: LintedPods
    var subjectField: String
    /// The rules of the directions that are in force.
    var rules: [Rule]
    var isClusterPolicy: Bool
    /// Directions with rules that `policyTypes` leaves out.
    var ignored: [String] = []
    /// Whether it is in audit mode, and whether it would deny anything.
    var isAudited: Bool
    var denies: Bool

    /// Nil for an object that is no policy.
    init?(_ object: KubernetesObject) {
        switch object {
        case .networkPolicy(let policy): self.init(policy)
        case .clusterNetworkPolicy(let policy): self.init(policy)
        case .fqdnNetworkPolicy(let policy): self.init(policy)
        default: return nil
        }
    }

    private init(_ policy: Kubernetes.NetworkPolicy) {
        let home = policy.meta.namespace
        isClusterPolicy = false
        isAudited = policy.meta.isPolicyAudited
        denies = policy.isolatesIngress || policy.isolatesEgress
        subject = LintedPods(namespaces: .own(home), pods: PolicySelector(policy.podSelector))
        subjectField = "spec.podSelector"
        rules = []
        if policy.isolatesIngress {
            rules += Self.numbered(policy.ingress ?? [], "ingress").map {
                Rule($0.rule, $0.field, isIngress: true, home)
            }
        } else if policy.ingress?.isEmpty == false {
            ignored.append("ingress")
        }
        if policy.isolatesEgress {
            rules += Self.numbered(policy.egress ?? [], "egress").map {
                Rule($0.rule, $0.field, isIngress: false, home)
            }
        } else if policy.egress?.isEmpty == false {
            ignored.append("egress")
        }
    }

    private init(_ policy: FQDNNetworkPolicy) {
        isClusterPolicy = false
        isAudited = policy.meta.isPolicyAudited
        denies = true
        subject = LintedPods(
            namespaces: .own(policy.meta.namespace), pods: PolicySelector(policy.podSelector))
        subjectField = "spec.podSelector"
        rules = Self.numbered(policy.egress, "egress").map { Rule($0.rule, $0.field) }
    }

    private init(_ policy: ClusterNetworkPolicy) {
        isClusterPolicy = true
        isAudited = policy.meta.isPolicyAudited
        denies = (policy.ingress + policy.egress).contains { $0.action == .deny }
        subject = LintedPods(
            namespaces: .selected(PolicySelector(policy.namespaceSelector)), pods: PolicySelector(policy.podSelector))
        subjectField = "spec.subject"
        rules =
            Self.numbered(policy.ingress, "ingress").map { Rule($0.rule, $0.field, isIngress: true) }
            + Self.numbered(policy.egress, "egress").map { Rule($0.rule, $0.field, isIngress: false) }
    }

    private static func numbered<Rule>(_ rules: [Rule], _ direction: String) -> [(field: String, rule: Rule)] {
        rules.enumerated().map { ("spec.\(direction)[\($0.offset)]", $0.element) }
    }
}

extension LintedPolicy.Rule {
    fileprivate init(_ rule: NetworkPolicyRule, _ field: String, isIngress: Bool, _ home: String) {
        self.field = field
        self.isIngress = isIngress
        peersField = field + (isIngress ? ".from" : ".to")
        peers = rule.peers?.map { LintedPolicy.Peer($0, home) }
        hasPorts = !(rule.ports ?? []).isEmpty
        emptyPortList = rule.ports?.isEmpty ?? false
        namedPorts = (rule.ports ?? []).enumerated().compactMap { index, port in
            guard case .name(let name) = port.port else { return nil }
            return LintedPolicy.NamedPort(
                field: "\(field).ports[\(index)].port", name: name, protocols: [port.ipProtocol])
        }
    }

    fileprivate init(_ rule: FQDNNetworkPolicyRule, _ field: String) {
        self.field = field
        isIngress = false
        peersField = field + ".matches"
        peers = rule.matches.map { _ in .outside }
        hasPorts = !(rule.ports ?? []).isEmpty
        emptyPortList = rule.ports?.isEmpty ?? false
        namedPorts = []
    }

    fileprivate init(_ rule: ClusterNetworkPolicyRule, _ field: String, isIngress: Bool) {
        self.field = field
        self.isIngress = isIngress
        peersField = field + (isIngress ? ".from" : ".to")
        peers = rule.peers.map { LintedPolicy.Peer($0) }
        hasPorts = rule.ports != nil
        // A named port of this kind is of any protocol: three items were made of one.
        let names = (rule.ports ?? []).compactMap { port -> String? in
            if case .name(let name) = port.port { name } else { nil }
        }
        namedPorts = Set(names).sorted().map {
            LintedPolicy.NamedPort(field: "\(field).protocols", name: $0, protocols: [.tcp, .udp, .sctp])
        }
    }
}

extension LintedPolicy.Peer {
    fileprivate init(_ peer: NetworkPolicyPeer, _ home: String) {
        switch peer {
        case .ipBlock, .unreadable: self = .outside
        case .selectors(let pods, let namespaces):
            self = .pods(
                LintedPods(
                    namespaces: namespaces.map { .selected(PolicySelector($0)) } ?? .own(home),
                    pods: pods.map { PolicySelector($0) } ?? .everything))
        }
    }

    fileprivate init(_ peer: ClusterNetworkPolicyPeer) {
        switch peer {
        case .namespaces(let namespaces):
            self = .pods(LintedPods(namespaces: .selected(PolicySelector(namespaces)), pods: .everything))
        case .pods(let namespaces, let pods):
            self = .pods(LintedPods(namespaces: .selected(PolicySelector(namespaces)), pods: PolicySelector(pods)))
        case .nodes(let nodes): self = .nodes(PolicySelector(nodes))
        case .networks, .domainNames, .unreadable: self = .outside
        }
    }
}
