internal import Addressing

/// A rule of an active policy with its matchers taken into use.
struct PreparedRule {
    let source: SourceRule
    let tier: PolicyTier
    /// Matchers of the peers; nil admits every peer.
    let peers: [Int]?
    /// The prefixes of ports given as numbers.
    let numbered: [PortPrefix]
    let names: [PortName]
    /// In egress, for each name the matchers "such a peer, having such a port".
    let named: [[Int]]
}

/// A policy that selects pods of this node.
struct ActivePolicy {
    let source: PolicySource
    let rules: [PreparedRule]
    /// The matchers taken into use for its rules.
    let matchers: Set<Int>
}

/// The ordered list of one direction of one pod.
struct RuleList {
    let content: PolicyContent
    /// The policy with which the list became longer than can be programmed.
    let overflowedBy: PolicyName?

    /// The list of the given policies, in their order, for a pod; `isAudited`: all of them are in audit mode for it.
    init(
        _ policies: [ActivePolicy], _ direction: PolicyDirection, _ pod: PolicyPod, _ matchers: MatcherTable,
        isAudited: Bool
    ) {
        let concerned = policies.filter { $0.source.directions.contains(direction) }
        let audited = Set(concerned.filter { isAudited || $0.source.isAudited }.map(\.source.key.name))
        var rules: [OrderedRule] = []
        var overflowedBy: PolicyName?
        for policy in concerned where overflowedBy == nil {
            let isAudited = audited.contains(policy.source.key.name)
            for rule in policy.rules where rule.source.origin.direction == direction {
                rules += rule.ordered(pod, matchers, isAudited: isAudited)
            }
            if rules.count > CompiledPolicy.maximumRules { overflowedBy = policy.source.key.name }
        }
        self.overflowedBy = overflowedBy
        if let overflowedBy {
            content = PolicyContent(
                direction: direction, isolatedBy: [overflowedBy], auditedBy: [], rules: [], isTooLong: true)
        } else {
            let isolating = concerned.filter { $0.source.isolates.contains(direction) }.map(\.source.key.name)
            let enforcing = isolating.filter { !audited.contains($0) }
            content = PolicyContent(
                direction: direction, isolatedBy: enforcing, auditedBy: enforcing.isEmpty ? isolating : [], rules: rules
            )
        }
    }
}

extension PreparedRule {
    /// The bits of this rule for one pod: none when its ports resolve to nothing.
    fileprivate func ordered(_ pod: PolicyPod, _ matchers: MatcherTable, isAudited: Bool) -> [OrderedRule] {
        func bit(_ peers: [Atom]?, _ ports: [PortPrefix]?) -> OrderedRule {
            OrderedRule(
                origin: source.origin, tier: tier, action: source.action,
                isAudited: isAudited && source.action == .deny, peers: peers, ports: ports)
        }
        let plain = peers.map { Set($0.map { Atom($0) }).sorted() }
        guard source.ports != nil else { return [bit(plain, nil)] }
        if source.origin.direction == .ingress {
            let resolved = names.flatMap { name in
                pod.resolve(name).map { PortPrefix(name.ipProtocol, port: $0, length: 16) }
            }
            let ports = Set(numbered + resolved).sorted()
            return ports.isEmpty ? [] : [bit(plain, ports)]
        }
        var result = numbered.isEmpty ? [] : [bit(plain, numbered)]
        for (name, holders) in zip(names, named) {
            let numbers = Set(holders.flatMap { matchers[$0].map { Array($0.numbers.keys) } ?? [] })
            for number in numbers.sorted() {
                let atoms = Set(holders.map { Atom($0, port: number) }).sorted()
                result.append(bit(atoms, [PortPrefix(name.ipProtocol, port: number, length: 16)]))
            }
        }
        return result
    }
}
