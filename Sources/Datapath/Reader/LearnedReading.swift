public import Addressing
internal import BPF
internal import DatapathABI
public import NetworkPolicy

/// A pattern of names that a rule of a policy in the maps admits.
public struct PatternUse: Sendable, Hashable {
    public var pattern: PatternText
    public var policy: PolicyID
    /// The rule's bit.
    public var rule: UInt32
    /// `kind/namespace/name/direction/index`; nil when its name is not in the maps.
    public var ruleText: String?

    public init(pattern: PatternText, policy: PolicyID, rule: UInt32, ruleText: String? = nil) {
        self.pattern = pattern
        self.policy = policy
        self.rule = rule
        self.ruleText = ruleText
    }
}

/// An address that is held under a name for the pods of a policy.
public struct LearnedReading: Sendable, Hashable {
    /// Lower case, no trailing dot.
    public var name: String
    public var address: IPAddress
    /// The egress policy of the pods that it counts for.
    public var policy: PolicyID
    /// The first moment at which it does not count for a new connection, in nanoseconds of the monotonic clock.
    public var end: UInt64
    /// The patterns in force that match the name, whichever policies have them.
    public var patterns: [PatternText]

    public init(name: String, address: IPAddress, policy: PolicyID, end: UInt64, patterns: [PatternText]) {
        self.name = name
        self.address = address
        self.policy = policy
        self.end = end
        self.patterns = patterns
    }
}

/// What is known of names.
extension DatapathReader {
    /// The patterns in the rules of all policies, by policy and pattern.
    public func patternUses() throws(DatapathReadError) -> [PatternUse] {
        let policies = Set(try policies().map(\.id))
        var found: [PatternUse] = []
        for entry in try entries(of: .names) {
            guard case .domains(let policy, _)? = NameKey(key: entry.key),
                policies.contains(PolicyID(rawValue: policy))
            else { continue }
            for use in DomainUse.list(NameKey.text(entry.value)) {
                let text = ruleText(policy: PolicyID(rawValue: policy), rule: .rule(use.rule))
                found.append(
                    PatternUse(
                        pattern: use.pattern, policy: PolicyID(rawValue: policy), rule: use.rule, ruleText: text))
            }
        }
        return found.sorted { ($0.policy, $0.pattern, $0.rule) < ($1.policy, $1.pattern, $1.rule) }
    }

    /// Everything that is held, by name, policy and address; what has ended, too, as live connections may lead there.
    public func learned() throws(DatapathReadError) -> [LearnedReading] {
        let names = try open(.learnedNames)
        let addresses = try open(.learnedAddresses)
        let texts = try reading(.learnedNames) { () throws(BPFError) in
            Dictionary(try names.learnedNames().map { ($0.key, $0.record) }) { first, _ in first }
        }
        let held = try reading(.learnedAddresses) { () throws(BPFError) in try addresses.learnedAddresses() }
        var patterns: [UInt32: [PatternText]] = [:]
        var found: [LearnedReading] = []
        for (key, value) in held {
            for use in value.learned {
                guard let record = texts[use.name] else { continue }
                let matching = patterns[record.set] ?? self.patterns(ofSet: record.set)
                patterns[record.set] = matching
                found.append(
                    LearnedReading(
                        name: record.name, address: key.address.address, policy: PolicyID(rawValue: key.policy),
                        end: use.end_ns, patterns: matching))
            }
        }
        return found.sorted { ($0.name, $0.policy, $0.address) < ($1.name, $1.policy, $1.address) }
    }

    /// The patterns in force that match a name: it is walked through the automaton that the programs use.
    ///
    /// - Parameter name: in lower case, without a trailing dot.
    public func patterns(matching name: String) throws(DatapathReadError) -> [PatternText] {
        patterns(ofSet: try patternSet(matching: name))
    }

    /// The patterns of the automaton that the programs use. Those of a policy that are not among them were refused, or
    /// wait to be put in force.
    public func patternsInForce() throws(DatapathReadError) -> Set<PatternText> {
        let automaton = AutomatonInForce(try open(.domainAutomaton))
        let sets = try reading(.domainAutomaton) { () throws(BPFError) in try automaton.sets() }
        return sets.reduce(into: []) { $0.formUnion(patterns(ofSet: $1)) }
    }

    /// The set of the patterns in force that match a name; 0: none does.
    func patternSet(matching name: String) throws(DatapathReadError) -> UInt32 {
        let automaton = AutomatonInForce(try open(.domainAutomaton))
        return try reading(.domainAutomaton) { () throws(BPFError) in try automaton.set(matching: name) }
    }

    /// The patterns of a set, sorted.
    private func patterns(ofSet set: UInt32) -> [PatternText] {
        if set == 0 { return [] }
        var found: [PatternText] = []
        while let pattern = text(of: .pattern(set: set, UInt32(found.count))).flatMap({ PatternText($0) }) {
            found.append(pattern)
        }
        return found.sorted()
    }
}
