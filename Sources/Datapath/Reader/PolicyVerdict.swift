public import NetworkPolicy

/// What the maps say of a packet in one direction of one endpoint, as the programs judge it, and by which rules.
public struct PolicyVerdict: Sendable, Hashable {
    /// What decided.
    public enum Reason: Sendable, Hashable {
        /// An endpoint always reaches itself.
        case ownTraffic
        /// The node always reaches its endpoints.
        case localNode
        /// The last of the rules looked at.
        case rule
        /// No rule admits the packet, and the policy isolates.
        case isolation
        /// The policy stands for more rules than can be programmed: everything is dropped.
        case tooLong
        /// A page of the policy is not in the maps: everything is dropped.
        case missing
        /// No policy, or none of its rules says anything and it does not isolate.
        case nothing
    }

    /// One rule that was looked at.
    public struct Rule: Sendable, Hashable {
        public var rule: PolicyRuleReading
        public var admitsPeer: Bool
        public var admitsPort: Bool

        /// Whether the rule matches the packet.
        public var matches: Bool { admitsPeer && admitsPort }
    }

    /// What would have denied a packet if it were not in audit mode.
    public enum Audit: Sendable, Hashable {
        case rule(PolicyRuleReading)
        /// No rule admits the packet, and a policy in audit mode isolates.
        case isolation
    }

    /// The policy of the endpoint; nil when it has none in that direction.
    public var policy: PolicyID?
    /// The class of the peer.
    public var peerClass = ClassID.anyone
    /// The names under which the peer counts for the policy now and that its rules admit, the last to end first.
    public var names: [HeldName] = []
    public var isAllowed = true
    public var reason = Reason.nothing
    /// What would have denied an allowed packet if it were not in audit mode; nil: nothing.
    public var audited: Audit?
    /// What isolates, or would, `kind/namespace/name/direction/isolation`; nil when nothing does or its name is not in
    /// the maps.
    public var isolationText: String?
    /// The rules looked at, in order, up to the deciding one.
    public var rules: [Rule] = []

    /// Notes what would have denied; the first one counts.
    mutating func audit(_ audit: Audit) { audited = audited ?? audit }

    mutating func decide(_ reason: Reason, isAllowed: Bool) {
        self.reason = reason
        self.isAllowed = isAllowed
        if !isAllowed { audited = nil }
    }
}
