/// A compiled policy: the ordered rules that judge one direction of the endpoints that share it.
package struct PolicyRow: Codable, Equatable, Sendable {
    enum CodingKeys: String, CodingKey {
        case policy, direction, isolates, audits, closed, endpoints, rules
        case isolatedBy = "isolated_by"
    }

    /// One rule, in the order in which they are tried.
    package struct Rule: Codable, Equatable, Sendable {
        enum CodingKeys: String, CodingKey {
            case number, kind, namespace, name, rule, tier, action, audit, peers, ports
            case ruleName = "rule_name"
        }

        /// The rule's bit.
        package var number: Int
        /// The policy object that it comes from.
        package var kind: String?
        package var namespace: String?
        package var name: String?
        /// The rule's place in that object, `ingress[0]`.
        package var rule: String?
        /// What the author calls it; only rules of a ClusterNetworkPolicy may have a name.
        package var ruleName: String?
        /// `admin`, `network_policy` or `baseline`.
        package var tier: String
        /// `allow`, `deny` or `pass`.
        package var action: String
        /// Whether it denies in audit mode: what it matches is reported and not denied. Left out where it does not.
        package var audit: Bool?
        /// What it admits, where the agent was asked too: the maps hold no selectors.
        package var peers: String?
        package var ports: String?

        package init(
            number: Int, kind: String? = nil, namespace: String? = nil, name: String? = nil, rule: String? = nil,
            ruleName: String? = nil, tier: String, action: String, audit: Bool? = nil
        ) {
            self.number = number
            self.kind = kind
            self.namespace = namespace
            self.name = name
            self.rule = rule
            self.ruleName = ruleName
            self.tier = tier
            self.action = action
            self.audit = audit
        }

        /// `deny`, `deny (audit)`.
        var actionText: String { audit == true ? "\(action) (audit)" : action }

        /// `NetworkPolicy shop/allow-web ingress[0]`, `ClusterNetworkPolicy guard ingress[0] "allow-monitoring"`.
        var text: String {
            guard let kind, let name else { return "rule \(number)" }
            let object = [namespace, name].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: "/")
            return [kind, object, rule, ruleName?.debugDescription].compactMap { $0 }.joined(separator: " ")
        }
    }

    package var policy: String
    /// `ingress` or `egress`; nil when no endpoint uses it and it has no rule.
    package var direction: String?
    /// Whether what no rule allows is denied.
    package var isolates: Bool
    /// Whether that is reported and not denied, as what isolates is in audit mode. Left out where it is not.
    package var audits: Bool?
    /// Whether everything is dropped, as there are more rules than can be programmed. Left out where there are not.
    package var closed: Bool?
    /// The policy object that isolates, or would, `NetworkPolicy shop/deny-all`; the one with which there are too many
    /// rules.
    package var isolatedBy: String?
    /// The pods that it judges, `namespace/name`.
    package var endpoints: [String]
    package var rules: [Rule]

    package init(
        policy: String, direction: String?, isolates: Bool, audits: Bool? = nil, closed: Bool? = nil,
        isolatedBy: String?, endpoints: [String], rules: [Rule]
    ) {
        self.policy = policy
        self.direction = direction
        self.isolates = isolates
        self.audits = audits
        self.closed = closed
        self.isolatedBy = isolatedBy
        self.endpoints = endpoints
        self.rules = rules
    }

    static let absence = "no policies: every pod of this node is open in both directions"

    /// Each policy as a line, its rules as lines under it.
    static func text(_ rows: [PolicyRow]) -> String {
        rows.map { row in
            let pods = row.endpoints.isEmpty ? "no endpoint" : Quantity.few(row.endpoints, 4)
            let head = "policy \(row.policy)  \(row.direction ?? "unused")  \(row.rest)\n    judges \(pods)\n"
            if row.closed == true { return head }
            if row.rules.isEmpty { return head + "    no rules\n" }
            let isDescribed = row.rules.contains { $0.peers != nil }
            let columns = ruleColumns + (isDescribed ? admissionColumns : [])
            return head + Table.text(row.rules, columns).split(separator: "\n").map { "    \($0)\n" }.joined()
        }.joined(separator: "\n")
    }

    /// What becomes of packets that no rule decides.
    private var rest: String {
        if closed == true { return "closed: \(excess)" }
        let end = isolates ? "isolates" : audits == true ? "audits the rest" : "leaves the rest open"
        return end + (isolatedBy.map { " (by \($0))" } ?? "")
    }

    /// What a policy that is closed has too much of.
    var excess: String { "more rules than can be programmed" + (isolatedBy.map { ", with \($0)" } ?? "") }

    private static let ruleColumns: [Column<Rule>] = [
        Column("RULE", number: true) { "\($0.number)" },
        Column("ACTION") { $0.actionText },
        Column("TIER") { $0.tier },
        Column("FROM") { $0.text },
    ]

    private static let admissionColumns: [Column<Rule>] = [
        Column("PEERS") { $0.peers ?? "" },
        Column("PORTS") { $0.ports ?? "" },
    ]
}
