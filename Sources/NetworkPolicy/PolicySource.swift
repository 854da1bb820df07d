internal import Addressing
internal import DomainNames

/// Where a selector looks for pods.
enum NamespaceScope: Hashable {
    case everywhere
    case named(String)
    /// Known namespaces whose labels match; an unknown one never does.
    case matching(CanonicalSelector)
}

/// Pods by namespace and labels.
struct PodSet: Hashable {
    let scope: NamespaceScope
    let selector: CanonicalSelector
}

/// Addresses of a block outside of its exceptions.
struct AddressBlock: Hashable {
    let block: CIDR
    let exceptions: [CIDR]

    init(_ block: CIDR, except: [CIDR]) {
        self.block = block
        exceptions = Set(except).sorted()
    }

    func contains(_ prefix: CIDR) -> Bool {
        block.contains(prefix) && !exceptions.contains { $0.contains(prefix) }
    }
}

/// What one peer of a rule matches.
enum PeerBase: Hashable {
    case pods(PodSet)
    case block(AddressBlock)
    /// The cluster's resolvers that run in the network of their node.
    case hostResolvers
    /// The addresses that the pod has learned under a name that matches; no class has them.
    case domain(DomainPattern)
}

/// A container port's name as a rule asks for it.
struct PortName: Hashable {
    let name: String
    let ipProtocol: IPProtocol
}

/// One rule of any kind of policy object.
struct SourceRule: Hashable {
    let origin: RuleOrigin
    let action: PolicyAction
    /// Nil admits every peer.
    var peers: [PeerBase]?
    /// Nil admits every protocol and port.
    let ports: [PortRule]?

    /// The prefixes of the ports given as numbers, in order and without repeats.
    var numberedPorts: [PortPrefix] {
        Set((ports ?? []).flatMap(\.prefixes)).sorted()
    }

    /// The ports given by name, in order and without repeats.
    var portNames: [PortName] {
        let names = (ports ?? []).compactMap { rule -> PortName? in
            guard case .name(let name) = rule.ports else { return nil }
            return PortName(name: name, ipProtocol: rule.ipProtocol)
        }
        return Set(names).sorted { ($0.name, $0.ipProtocol) < ($1.name, $1.ipProtocol) }
    }
}

/// The key of a policy object in the order in which policies are judged.
struct SourceKey: Hashable, Comparable {
    let tier: PolicyTier
    let priority: Int
    let name: PolicyName

    static func < (left: SourceKey, right: SourceKey) -> Bool {
        (left.tier, left.priority, left.name) < (right.tier, right.priority, right.name)
    }
}

/// A policy object of any kind in the form that the compiler works with.
struct PolicySource: Hashable {
    let key: SourceKey
    let subject: PodSet
    /// The directions in which selected pods are isolated.
    let isolates: Set<PolicyDirection>
    /// The directions that the object says anything about.
    let directions: Set<PolicyDirection>
    /// Whether what it would deny is only reported.
    let isAudited: Bool
    let rules: [SourceRule]
    let problems: [PolicyProblem]

    /// The rules of those directions: `policyTypes` may leave others out.
    var rulesInForce: [SourceRule] { rules.filter { directions.contains($0.origin.direction) } }
}

extension PolicySource {
    init(_ object: NetworkPolicyObject) {
        let name = PolicyName(kind: .networkPolicy, namespace: object.namespace, name: object.name)
        let home = NamespaceScope.named(object.namespace)
        let defaults: Set<PolicyDirection> = object.egress.isEmpty ? [.ingress] : [.ingress, .egress]
        let given = object.policyTypes.flatMap { $0.isEmpty ? nil : $0 }
        key = SourceKey(tier: .networkPolicy, priority: 0, name: name)
        subject = PodSet(scope: home, selector: CanonicalSelector(object.podSelector))
        directions = given ?? defaults
        isolates = directions
        isAudited = object.isAudited
        problems = object.invalidFields.map { PolicyProblem(name, $0) }
        rules = Self.rules(name, ingress: object.ingress, egress: object.egress) { origin, rule in
            SourceRule(origin: origin, action: .allow, peers: rule.peers, ports: rule.ports, home: home)
        }
    }

    init(_ object: ClusterPolicyObject) {
        let name = PolicyName(kind: .clusterNetworkPolicy, namespace: "", name: object.name)
        key = SourceKey(tier: object.tier, priority: object.priority, name: name)
        subject = PodSet(
            scope: NamespaceScope(object.namespaceSelector), selector: CanonicalSelector(object.podSelector))
        isolates = []
        isAudited = object.isAudited
        problems = object.invalidFields.map { PolicyProblem(name, $0) }
        rules = Self.rules(name, ingress: object.ingress, egress: object.egress) { origin, rule in
            var origin = origin
            origin.ruleName = rule.name
            origin.created = object.created
            origin.patternFields = rule.fields
            var source = SourceRule(
                origin: origin, action: rule.action, peers: rule.peers, ports: rule.ports, home: .everywhere)
            // The API knows no such rule. It must not admit what nobody has written.
            if rule.peers.isEmpty, rule.action != .deny { source.peers = [] }
            return source
        }
        directions = Set(rules.map(\.origin.direction))
    }

    private static func rules<Rule>(
        _ name: PolicyName, ingress: [Rule], egress: [Rule], _ make: (RuleOrigin, Rule) -> SourceRule
    ) -> [SourceRule] {
        [(PolicyDirection.ingress, ingress), (.egress, egress)].flatMap { direction, rules in
            rules.enumerated().map { index, rule in
                make(RuleOrigin(policy: name, direction: direction, index: index), rule)
            }
        }
    }
}

extension SourceRule {
    /// A rule as written: empty lists admit as much as missing ones.
    init(origin: RuleOrigin, action: PolicyAction, peers: [PolicyPeer]?, ports: [PortRule]?, home: NamespaceScope) {
        self.origin = origin
        self.action = action
        self.peers = peers.flatMap { peers in peers.isEmpty ? nil : peers.flatMap { PeerBase.all($0, home: home) } }
        self.ports = ports.flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension NamespaceScope {
    init(_ selector: LabelSelector) { self = .matching(CanonicalSelector(selector)) }
}

extension PeerBase {
    /// What a peer as written stands for; `home` is where a pod selector without a namespace selector looks.
    static func all(_ peer: PolicyPeer, home: NamespaceScope) -> [PeerBase] {
        switch peer {
        case .pods(let namespaces, let pods):
            let scope = namespaces.map { NamespaceScope($0) } ?? home
            return [.pods(PodSet(scope: scope, selector: CanonicalSelector(pods ?? .everything)))]
        case .block(let block, let except):
            return [.block(AddressBlock(block, except: except))]
        case .addresses(let addresses):
            return Set(addresses).sorted().map { .block(AddressBlock(CIDR(host: $0), except: [])) }
        case .domains(let patterns):
            return Set(patterns).sorted().map { .domain($0) }
        }
    }
}
