internal import Addressing

/// One bit of a policy before it is one: peers × ports with an action, whatever object it comes from.
struct OrderedRule: Hashable {
    let origin: RuleOrigin
    let tier: PolicyTier
    let action: PolicyAction
    /// Whether it denies in audit mode: what it matches is reported and not denied.
    let isAudited: Bool
    /// The atoms any of which a peer must have, in order; nil admits every peer.
    let peers: [Atom]?
    /// The prefixes admitted, in order; nil admits every protocol and port.
    let ports: [PortPrefix]?
}

/// The content of a policy: what its id stands for.
struct PolicyContent: Hashable {
    let direction: PolicyDirection
    let isolatedBy: [PolicyName]
    /// Those that would isolate if they were not in audit mode; empty where others isolate.
    let auditedBy: [PolicyName]
    let rules: [OrderedRule]
    /// Whether it stands for a list that is longer than can be programmed: it has no rules then, and isolates.
    var isTooLong = false

    /// Whether this is the absence of any policy.
    var isNothing: Bool { isolatedBy.isEmpty && auditedBy.isEmpty && rules.isEmpty }

    /// The content's own id; a collision moves on from here.
    func identifier(_ matchers: MatcherTable) -> UInt32 {
        var hash = StableHash()
        hash.combine(direction.rawValue)
        // One of the two lists is empty: the sign tells which.
        hash.combine(isolatedBy.count - auditedBy.count)
        for name in isolatedBy + auditedBy { hash.combine(name.description) }
        for rule in rules { rule.combine(into: &hash, matchers) }
        if isTooLong { hash.combine("too long") }
        return hash.identifier()
    }
}

extension OrderedRule {
    fileprivate func combine(into hash: inout StableHash, _ matchers: MatcherTable) {
        hash.combine(origin.description)
        // What is told of the rule, and the order of its patterns against others', are part of what an id stands for.
        if let created = origin.created { hash.combine(created) }
        for (pattern, field) in origin.patternFields.map({ ("\($0.key)", $0.value) }).sorted(by: { $0 < $1 }) {
            hash.combine(pattern)
            hash.combine(field)
        }
        hash.combine(tier.rawValue)
        hash.combine(isAudited ? "audited" : action.rawValue)
        hash.combine(peers?.count ?? -1)
        // Atoms are numbered per process: their content, not their order, is what is stable.
        for content in (peers ?? []).map(matchers.stableHash).sorted() { hash.combine(content) }
        hash.combine(ports?.count ?? -1)
        for prefix in ports ?? [] {
            hash.combine(prefix.ipProtocol.rawValue)
            hash.combine(Int(prefix.port))
            hash.combine(prefix.length)
        }
    }

    func compiled(_ matchers: MatcherTable) -> CompiledRule {
        CompiledRule(
            origin: origin, tier: tier, action: action, isAudited: isAudited,
            peers: peers?.map(matchers.describe).sorted(), ports: ports)
    }
}

extension PolicyContent {
    /// The masks and port entries of all pages.
    var pages: [CompiledPage] {
        stride(from: 0, to: rules.count, by: PageBits.width).map { start in
            Self.page(rules[start..<min(start + PageBits.width, rules.count)])
        }
    }

    private static func page(_ rules: ArraySlice<OrderedRule>) -> CompiledPage {
        var page = CompiledPage()
        for (bit, rule) in rules.enumerated() {
            if rule.peers == nil { page.anyPeer[bit] = true }
            if rule.ports == nil { page.anyPort[bit] = true }
            switch rule.tier {
            case .admin: page.admin[bit] = true
            case .networkPolicy: page.networkPolicy[bit] = true
            case .baseline: page.baseline[bit] = true
            }
            switch rule.action {
            case .allow: break
            case .deny: page.deny[bit] = true
            case .pass: page.pass[bit] = true
            }
            if rule.isAudited { page.pass[bit] = true }
        }
        page.ports = CompiledPage.portEntries(rules.enumerated().map { ($0.offset, $0.element.ports ?? []) })
        return page
    }

    /// The rules that each atom is admitted by.
    var bitsByAtom: [Atom: RuleBits] {
        var result: [Atom: RuleBits] = [:]
        for (bit, rule) in rules.enumerated() {
            for atom in rule.peers ?? [] { result[atom, default: RuleBits()].insert(bit) }
        }
        return result
    }
}
