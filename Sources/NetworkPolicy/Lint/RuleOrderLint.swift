internal import Addressing

/// A rule or policy that has no effect, whatever pods there are or will be.
public struct IdleRule: Sendable, Hashable {
    /// Why it has none.
    public enum Reason: Sendable, Hashable {
        /// The same rule stands in the same policy already.
        case repeats(RuleOrigin)
        /// Another rule of the same policy allows all that it allows.
        case within(RuleOrigin)
        /// A rule that is judged earlier decides all that it matches.
        case decidedBy(RuleOrigin)
        /// A NetworkPolicy isolates all pods that it speaks of, so the Baseline tier is not asked.
        case isolatedBy(PolicyName)
    }

    public var origin: RuleOrigin
    public var reason: Reason

    public init(origin: RuleOrigin, reason: Reason) {
        self.origin = origin
        self.reason = reason
    }
}

/// Finds rules without effect by the order in which policies are judged.
///
/// Only what follows from the objects is found: one rule must cover the other by itself, as a proof over selectors, blocks
/// and ports. Policies that can't be put in force are left out.
public struct RuleOrderLint {
    private struct Candidate {
        let source: PolicySource
        /// The rule with all that it may ever match.
        let rule: SourceRule
        /// The rule with what it matches whatever nodes there are.
        let certain: SourceRule
    }

    private let sources: [PolicySource]
    /// The rules whose peers are nodes, without those: the addresses of today prove nothing.
    private let certain: [RuleOrigin: SourceRule]
    private let coverage: RuleCoverage
    private let auditedNamespaces: Set<String>

    /// - Parameter inputs: all objects, each once; of namespaces only those with an object, as the labels that are given
    ///   count as all that there are.
    public init(_ inputs: some Sequence<PolicyInput>) {
        var sources: [PolicySource] = []
        var labels: [String: [String: String]] = [:]
        var audited: Set<String> = []
        var certain: [RuleOrigin: SourceRule] = [:]
        for input in inputs {
            switch input {
            case .policy(let object): sources.append(PolicySource(object))
            case .clusterPolicy(let object):
                sources.append(PolicySource(object.replacingNodes(by: Self.anyAddress)))
                let nodeless = PolicySource(object.replacingNodes(by: [.addresses([])]))
                for rule in nodeless.rules where object.namesNodes(rule.origin) { certain[rule.origin] = rule }
            case .fqdnPolicy(let object): sources.append(PolicySource(object))
            case .namespace(let name, let own, let isAudited):
                labels[name] = own
                if isAudited { audited.insert(name) }
            default: break
            }
        }
        self.certain = certain
        self.sources = sources.filter(\.problems.isEmpty).sorted { $0.key < $1.key }
        coverage = RuleCoverage(namespaces: NamespaceCoverage(labels: labels))
        auditedNamespaces = audited
    }

    /// The policies that by themselves have more rules in a direction than can be programmed, with how many: pods that
    /// they select are closed. Rules on named ports don't count, as the pods decide what becomes of these.
    public var overlong: [PolicyName: [PolicyDirection: Int]] {
        let counts = sources.map { source in
            let certain = source.rulesInForce.filter { $0.ports == nil || !$0.numberedPorts.isEmpty }
            let counts = Dictionary(grouping: certain, by: \.origin.direction).mapValues(\.count)
            return (source.key.name, counts.filter { $0.value > CompiledPolicy.maximumRules })
        }
        return Dictionary(uniqueKeysWithValues: counts.filter { !$0.1.isEmpty })
    }

    /// How many rules each policy has in the directions that it speaks of, the one for DNS of a FQDNNetworkPolicy
    /// included.
    public var ruleCounts: [PolicyName: Int] {
        Dictionary(uniqueKeysWithValues: sources.map { ($0.key.name, $0.rulesInForce.count) })
    }

    /// The directions in which each policy isolates the pods that it selects, whatever its rules are; not for trial.
    public var isolations: [PolicyName: [PolicyDirection]] {
        Dictionary(uniqueKeysWithValues: sources.map { ($0.key.name, $0.isAudited ? [] : $0.isolates.sorted()) })
    }

    /// The rules without effect, in the order in which they are judged.
    public func idleRules() -> [IdleRule] {
        let overlong = overlong
        return PolicyDirection.allCases.flatMap { direction in
            idleRules(direction, without: Set(overlong.filter { $0.value[direction] != nil }.keys))
        }
    }

    /// - Parameter overlong: the policies of which none of the rules is in force in this direction.
    private func idleRules(_ direction: PolicyDirection, without overlong: Set<PolicyName>) -> [IdleRule] {
        let all = sources.filter { !overlong.contains($0.key.name) }.flatMap { source in
            // One that matches nobody is in nobody's way.
            source.rulesInForce.filter { $0.origin.direction == direction && $0.peers?.isEmpty != true }.map {
                Candidate(source: source, rule: $0, certain: certain[$0.origin] ?? $0)
            }
        }
        let tiers = Dictionary(grouping: all, by: \.source.key.tier)
        let admin = tiers[.admin] ?? []
        return all.compactMap { candidate in
            let reason: IdleRule.Reason? =
                switch candidate.source.key.tier {
                case .admin: earlier(in: admin, candidate)
                case .networkPolicy: decided(by: admin, candidate) ?? redundant(tiers[.networkPolicy] ?? [], candidate)
                case .baseline:
                    decided(by: admin, candidate) ?? isolated(direction, candidate)
                        ?? earlier(in: tiers[.baseline] ?? [], candidate)
                }
            return reason.map { IdleRule(origin: candidate.rule.origin, reason: $0) }
        }
    }

    /// A rule of the same tier before this one that matches all that it does.
    private func earlier(in tier: [Candidate], _ candidate: Candidate) -> IdleRule.Reason? {
        let origin = candidate.rule.origin
        for other in tier {
            if other.rule.origin == origin { return nil }
            guard covers(other, candidate) else { continue }
            let isSame = other.rule.origin.policy == origin.policy && other.rule.action == candidate.rule.action
            return isSame && coverage.covers(candidate.certain, other.rule)
                ? .repeats(other.rule.origin) : .decidedBy(other.rule.origin)
        }
        return nil
    }

    /// A rule of the admin tier that decides all that this one of a later tier matches. A rule before it that may pass on
    /// some of that leaves the question open.
    private func decided(by admin: [Candidate], _ candidate: Candidate) -> IdleRule.Reason? {
        for other in admin {
            let isPass = other.rule.action == .pass
            if isPass, mayMeet(other, candidate) { return nil }
            if !isPass, covers(other, candidate) { return .decidedBy(other.rule.origin) }
        }
        return nil
    }

    /// Another rule of the same NetworkPolicy that allows as much or more; of equal ones the first counts.
    private func redundant(_ tier: [Candidate], _ candidate: Candidate) -> IdleRule.Reason? {
        let origin = candidate.rule.origin
        for other in tier where other.rule.origin.policy == origin.policy && other.rule.origin != origin {
            guard coverage.covers(other.certain, candidate.rule) else { continue }
            let isEqual = coverage.covers(candidate.certain, other.rule)
            if isEqual, other.rule.origin.index > origin.index { continue }
            return isEqual ? .repeats(other.rule.origin) : .within(other.rule.origin)
        }
        return nil
    }

    /// What the addresses of nodes that may come can be.
    private static let anyAddress = ["0.0.0.0/0", "::/0"].compactMap { CIDR($0) }.map {
        PolicyPeer.block($0, except: [])
    }

    private func isolated(_ direction: PolicyDirection, _ candidate: Candidate) -> IdleRule.Reason? {
        let isolating = sources.first { source in
            source.isolates.contains(direction) && !mayBeAudited(source, candidate)
                && coverage.namespaces.covers(source.subject, candidate.source.subject)
        }
        return isolating.map { .isolatedBy($0.key.name) }
    }

    private func covers(_ other: Candidate, _ candidate: Candidate) -> Bool {
        !(other.rule.action == .deny && mayBeAudited(other.source, candidate))
            && coverage.namespaces.covers(other.source.subject, candidate.source.subject)
            && coverage.covers(other.certain, candidate.rule)
    }

    /// Whether what a policy denies may be in audit mode for a pod that the candidate's policy selects: it is left to
    /// others then.
    private func mayBeAudited(_ source: PolicySource, _ candidate: Candidate) -> Bool {
        let scope = candidate.source.subject.scope
        return source.isAudited || auditedNamespaces.contains { !coverage.namespaces.excludes(.named($0), scope) }
    }

    private func mayMeet(_ other: Candidate, _ candidate: Candidate) -> Bool {
        !coverage.namespaces.excludes(other.source.subject, candidate.source.subject)
            && !coverage.excludes(other.rule, candidate.rule)
    }
}

extension ClusterPolicyObject {
    /// The policy with other peers where a rule has addresses of nodes.
    fileprivate func replacingNodes(by peers: [PolicyPeer]) -> ClusterPolicyObject {
        var copy = self
        copy.egress = egress.map { rule in
            var rule = rule
            rule.peers = rule.peers.flatMap { $0.isNodes ? peers : [$0] }
            return rule
        }
        return copy
    }

    fileprivate func namesNodes(_ origin: RuleOrigin) -> Bool {
        origin.direction == .egress && egress.indices.contains(origin.index)
            && egress[origin.index].peers.contains(where: \.isNodes)
    }
}

extension PolicyPeer {
    fileprivate var isNodes: Bool {
        if case .addresses = self { true } else { false }
    }
}
