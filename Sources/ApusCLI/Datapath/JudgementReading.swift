internal import AgentAPI
internal import Datapath
internal import Flows
internal import NetworkPolicy

extension PolicyJudgement {
    /// A verdict of the maps.
    ///
    /// - Parameter clockOffset: what to add to the monotonic clock to get nanoseconds since 1970.
    init(_ verdict: PolicyVerdict, clockOffset: Int64) {
        let isolating = verdict.isolationText.map { RuleReference($0).object }
        self.init(
            allowed: verdict.isAllowed, reason: Reason(verdict.reason),
            audited: verdict.audited.map { $0.text ?? isolating ?? "a policy" },
            policies: verdict.reason == .isolation || verdict.reason == .tooLong ? [isolating].compactMap { $0 } : [],
            rules: verdict.rules.map(Rule.init),
            names: verdict.names.map { Name(name: $0.name, end: $0.end &+ UInt64(bitPattern: clockOffset)) })
    }
}

extension PolicyVerdict.Audit {
    /// The rule; nil for isolation.
    fileprivate var text: String? {
        switch self {
        case .rule(let rule): rule.text.map { RuleReference($0).description } ?? "rule \(rule.index)"
        case .isolation: nil
        }
    }
}

extension PolicyJudgement.Reason {
    fileprivate init(_ reason: PolicyVerdict.Reason) {
        switch reason {
        case .ownTraffic: self = .ownTraffic
        case .localNode: self = .localNode
        case .rule: self = .rule
        case .isolation: self = .isolation
        case .tooLong: self = .broken
        case .missing: self = .closed
        case .nothing: self = .nothing
        }
    }
}

extension PolicyJudgement.Rule {
    fileprivate init(_ step: PolicyVerdict.Rule) {
        let reference = step.rule.text.map { RuleReference($0) }
        var place = reference?.parts
        place?.ruleName = nil
        self.init(
            rule: place.map { RuleReference($0).description } ?? reference?.text,
            ruleName: reference?.parts?.ruleName, number: Int(step.rule.index),
            tier: PolicyJudgement.Tier.Name(step.rule.tier),
            action: "\(step.rule.action)" + (step.rule.isAudited ? " (audit)" : ""),
            admitsPeer: step.admitsPeer, admitsPort: step.admitsPort)
    }
}

extension PolicyJudgement.Tier.Name {
    fileprivate init(_ tier: PolicyTier) {
        switch tier {
        case .admin: self = .admin
        case .networkPolicy: self = .networkPolicy
        case .baseline: self = .baseline
        }
    }
}

extension RuleReference {
    /// `NetworkPolicy shop/cart`; the whole text when it has another form.
    var object: String {
        guard let parts else { return text }
        return "\(parts.kind) " + (parts.namespace.isEmpty ? parts.name : "\(parts.namespace)/\(parts.name)")
    }
}
