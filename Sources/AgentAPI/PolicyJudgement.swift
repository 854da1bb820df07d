internal import Flows

/// What the policies of one pod say of a packet in one direction, and why.
public struct PolicyJudgement: Sendable, Hashable, Codable {
    /// What decided.
    public enum Reason: String, Sendable, Codable, CaseIterable {
        /// A pod always reaches itself.
        case ownTraffic = "own_traffic"
        /// A node always reaches its pods.
        case localNode = "local_node"
        /// The last of `rules`.
        case rule
        /// No rule of the NetworkPolicy tier admits the packet, and `policies` isolate the pod.
        case isolation
        /// With `policies` the pod has more rules than can be programmed: everything is denied.
        case broken
        /// The policy that should judge is not in the maps: everything is dropped.
        case closed
        /// No policy says anything about the packet.
        case nothing = "no_policy"
    }

    /// One rule that was looked at.
    public struct Rule: Sendable, Hashable, Codable {
        private enum CodingKeys: String, CodingKey {
            case rule, number, tier, action, admits
            case ruleName = "rule_name"
            case admitsPeer = "admits_peer"
            case admitsPort = "admits_port"
        }

        /// For people: `NetworkPolicy shop/web ingress[0]`; nil when the maps have no name for it.
        public var rule: String?
        /// What the rule's author calls it.
        public var ruleName: String?
        /// The rule's bit in the maps; nil when the judgement is not made of them.
        public var number: Int?
        public var tier: Tier.Name
        /// `allow`, `deny` or `pass`; `deny (audit)` in audit mode, which decides nothing.
        public var action: String
        /// The peers and ports that it matches as text; nil when only the maps are there, which hold no selectors.
        public var admits: Admission?
        public var admitsPeer: Bool
        public var admitsPort: Bool

        public init(
            rule: String?, ruleName: String? = nil, number: Int? = nil, tier: Tier.Name, action: String,
            admits: Admission? = nil, admitsPeer: Bool, admitsPort: Bool
        ) {
            self.rule = rule
            self.ruleName = ruleName
            self.number = number
            self.tier = tier
            self.action = action
            self.admits = admits
            self.admitsPeer = admitsPeer
            self.admitsPort = admitsPort
        }

        /// Whether the rule matches the packet.
        public var matches: Bool { admitsPeer && admitsPort }

        fileprivate var passes: Bool { matches && action == "pass" }

        /// The rule and its name, or its number where there is neither.
        public var text: String {
            guard let rule else { return "rule \(number.map(String.init) ?? "without a name")" }
            // Any character may be in a name: quoted as a literal, it can't do anything to a terminal.
            return rule + (ruleName.map { " \($0.debugDescription)" } ?? "")
        }
    }

    /// What a rule matches, as text.
    public struct Admission: Sendable, Hashable, Codable {
        public var peers: String
        public var ports: String

        public init(peers: String, ports: String) {
            self.peers = peers
            self.ports = ports
        }
    }

    /// A name under which the address of the other end is held.
    public struct Name: Sendable, Hashable, Codable {
        public var name: String
        /// When it ends for new connections, to the second.
        public var expires: String

        public init(name: String, expires: String) {
            self.name = name
            self.expires = expires
        }

        /// - Parameter end: in nanoseconds since 1970.
        public init(name: String, end: UInt64) {
            self.init(name: name, expires: Timestamp.text(end).prefix(19) + "Z")
        }
    }

    /// A pattern of names that matches the name asked about, in a rule of the pod's policies.
    public struct Pattern: Sendable, Hashable, Codable, Comparable {
        /// As written, in lower case and without a trailing dot.
        public var pattern: String
        /// For people: `FQDNNetworkPolicy shop/web egress[0]`.
        public var rule: String

        public init(pattern: String, rule: String) {
            self.pattern = pattern
            self.rule = rule
        }

        public static func < (left: Pattern, right: Pattern) -> Bool {
            (left.pattern, left.rule) < (right.pattern, right.rule)
        }
    }

    /// How one tier was gone through.
    public struct Tier: Sendable, Hashable, Codable {
        /// The tiers in the order in which they are judged.
        public enum Name: String, Sendable, Codable, CaseIterable {
            case admin
            case networkPolicy = "network-policy"
            case baseline
        }

        /// What came of it.
        public enum Outcome: String, Sendable, Codable, CaseIterable {
            /// It has no rules for this pod and direction.
            case noRules = "no_rules"
            /// None of its rules matches.
            case noMatch = "no_match"
            /// A rule left the decision to the next tier.
            case passed
            /// A rule decided.
            case decided
            /// No rule admits the packet, and the pod is isolated.
            case isolated
            /// It was not asked.
            case notReached = "not_reached"
        }

        public var tier: Name
        public var outcome: Outcome

        public init(tier: Name, outcome: Outcome) {
            self.tier = tier
            self.outcome = outcome
        }
    }

    public var allowed: Bool
    public var reason: Reason
    /// What would have denied an allowed packet if it were not in audit mode: a rule, or the policies that isolate.
    public var audited: String?
    /// The policy objects that isolate or are too much, `NetworkPolicy shop/default-deny`.
    public var policies: [String]
    /// What of the policies that were asked is not in force as written, by their fields.
    public var problems: [String]
    /// Why the kernel holds something else, as the agent knows it: what does not fit, and what is closed for that.
    public var unwritten: [String]
    /// Every tier, in order.
    public var tiers: [Tier]
    /// The rules looked at, in order, up to the deciding one.
    public var rules: [Rule]
    /// The learned names of the other end that count now; nil: none does.
    public var names: [Name]?
    /// What matches the name that was asked about, whether the rule is reached or not; nil: no name was.
    public var patterns: [Pattern]?

    /// A judgement; the tiers follow from the rest.
    public init(
        allowed: Bool, reason: Reason, audited: String? = nil, policies: [String] = [], problems: [String] = [],
        unwritten: [String] = [], rules: [Rule] = [], names: [Name] = []
    ) {
        self.allowed = allowed
        self.reason = reason
        self.audited = audited
        self.policies = policies
        self.problems = problems
        self.unwritten = unwritten
        self.rules = rules
        self.names = names.isEmpty ? nil : names
        tiers = Self.tiers(reason, rules)
    }

    /// The rule that decided.
    public var decidingRule: Rule? { reason == .rule ? rules.last : nil }

    /// Whether two judgements come to the same by the same rule, in audit mode or not. What the maps may not know is not
    /// compared: the name of a rule, which objects isolate beside the first, and what audits.
    public func agrees(with other: PolicyJudgement) -> Bool {
        guard allowed == other.allowed, reason == other.reason, isAudited == other.isAudited else { return false }
        guard let rule = decidingRule?.rule, let others = other.decidingRule?.rule else { return true }
        return rule == others
    }

    private var isAudited: Bool { allowed && audited != nil }

    private static func tiers(_ reason: Reason, _ rules: [Rule]) -> [Tier] {
        let end: Tier.Name? =
            switch reason {
            case .rule: rules.last?.tier
            case .isolation: .networkPolicy
            case .ownTraffic, .localNode, .broken, .closed, .nothing: nil
            }
        let isJudged = reason == .rule || reason == .isolation || reason == .nothing
        var isReached = isJudged
        return Tier.Name.allCases.map { name in
            defer { if name == end { isReached = false } }
            guard isReached else { return Tier(tier: name, outcome: .notReached) }
            if name == end { return Tier(tier: name, outcome: reason == .isolation ? .isolated : .decided) }
            let own = rules.filter { $0.tier == name }
            let outcome: Tier.Outcome = own.isEmpty ? .noRules : own.last?.passes == true ? .passed : .noMatch
            return Tier(tier: name, outcome: outcome)
        }
    }
}
