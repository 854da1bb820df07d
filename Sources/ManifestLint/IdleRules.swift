internal import NetworkPolicy

/// Rules and policies without effect, as remarks.
struct IdleRules {
    /// Something about one field of a policy.
    struct Remark {
        var code: LintCode
        var policy: PolicyName
        var field: String
        var message: String
    }

    private let idle: [IdleRule]
    private let ruleCounts: [PolicyName: Int]
    private let isolations: [PolicyName: [PolicyDirection]]
    private let overlong: [PolicyName: [PolicyDirection: Int]]

    init(_ inputs: [PolicyInput]) {
        let lint = RuleOrderLint(inputs)
        idle = lint.idleRules()
        ruleCounts = lint.ruleCounts
        isolations = lint.isolations
        overlong = lint.overlong
    }

    /// A policy of which no rule is ever asked is told once, not by each rule.
    var remarks: [Remark] {
        let shadowed = Dictionary(grouping: idle.filter(\.isUnreachable), by: \.origin.policy)
            .filter { $0.value.count == ruleCounts[$0.key] }
        let whole = shadowed.map { name, rules in
            var seen: Set<String> = []
            let causes = rules.compactMap(\.cause).filter { seen.insert($0).inserted }
            let verb = causes.count == 1 ? "decides" : "decide"
            return Remark(
                code: .shadowedPolicy, policy: name, field: "spec",
                message:
                    "none of its rules is ever asked: \(causes.joined(separator: ", ")) \(verb) all that they match"
                    + isolation(of: name))
        }
        return tooLong + whole + idle.filter { shadowed[$0.origin.policy] == nil }.map(\.remark)
    }
}

extension IdleRules {
    /// Policies of which a direction is not in force at all.
    private var tooLong: [Remark] {
        overlong.flatMap { name, counts in
            counts.map { direction, count in
                Remark(
                    code: .notEnforced, policy: name, field: "spec.\(direction)",
                    message:
                        "has \(count) rules, more than \(CompiledPolicy.maximumRules): the pods that it selects are "
                        + "closed; give it fewer rules with more peers and ports")
            }
        }
    }

    /// What a policy does without its rules: who deletes it opens its pods.
    private func isolation(of name: PolicyName) -> String {
        let directions = isolations[name] ?? []
        if directions.isEmpty { return "" }
        return "; it still isolates its pods (\(directions.map { "\($0)" }.joined(separator: ", ")))"
    }
}

extension IdleRule {
    /// Whether the rule is never asked because of what is judged before it.
    fileprivate var isUnreachable: Bool {
        switch reason {
        case .decidedBy, .isolatedBy: true
        case .repeats, .within: false
        }
    }

    /// What takes its place, for people.
    fileprivate var cause: String? {
        switch reason {
        case .decidedBy(let origin): origin.text
        case .isolatedBy(let policy): policy.text
        case .repeats, .within: nil
        }
    }

    fileprivate var remark: IdleRules.Remark {
        let field = origin.field
        let (code, message): (LintCode, String) =
            switch reason {
            case .repeats(let other): (.duplicateRule, "is the same as \(other.field): delete one of them")
            case .within(let other): (.redundantRule, "allows nothing that \(other.field) does not allow")
            case .decidedBy(let other): (.unreachableRule, "is never asked: \(other.text) decides all that it matches")
            case .isolatedBy(let policy):
                (.unreachableRule, "is never asked: \(policy.text) isolates all pods that the policy selects")
            }
        // It stands in no field.
        if origin.isOfDNS {
            return IdleRules.Remark(
                code: code, policy: origin.policy, field: "spec", message: "the rule that admits DNS \(message)")
        }
        return IdleRules.Remark(code: code, policy: origin.policy, field: field, message: message)
    }
}

extension RuleOrigin {
    /// Whether it is the rule of each FQDNNetworkPolicy that lets its pods ask for names.
    fileprivate var isOfDNS: Bool { policy.kind == .fqdnNetworkPolicy && ruleName != nil }

    /// `spec.ingress[0]`.
    fileprivate var field: String { "spec.\(place)" }

    /// For people: `ClusterNetworkPolicy guard ingress[0] "monitoring"`.
    fileprivate var text: String {
        "\(policy.text) \(place)" + (ruleName.map { " \($0.debugDescription)" } ?? "")
    }
}
