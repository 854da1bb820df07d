internal import BPF
internal import Flows
internal import NetworkPolicy

/// The names of rules, each read from the kernel once: what a policy id stands for never changes.
struct RuleNames: ~Copyable, Sendable {
    /// Names kept before the cache starts anew: far more than a node has rules.
    private static let limit = 65_536

    private let map: BPFMap
    /// By policy and rule as one number; nil is a rule that had no name when it was looked for.
    private var known: [UInt64: RuleReference?] = [:]
    private var hasMisses = false

    init(_ map: consuming BPFMap) { self.map = map }

    /// What decided: `kind/namespace/name/direction/index`; nil when nothing names it.
    mutating func reference(_ decision: PolicyDecision) -> RuleReference? {
        // Most connections where no policy isolates, and there is never a name for it.
        if decision.rule == .noRule { return nil }
        let key = UInt64(decision.policy.rawValue) << 32 | UInt64(decision.rule.abi)
        if let reference = known[key] { return reference }
        let reference = read(decision)
        if known.count >= Self.limit { known = [:] }
        known.updateValue(reference, forKey: key)
        if reference == nil { hasMisses = true }
        return reference
    }

    /// Looks again for names that were missing; without this a rule that nothing names costs one look.
    mutating func forgetMisses() {
        guard hasMisses else { return }
        known = known.filter { $0.value != nil }
        hasMisses = false
    }

    private func read(_ decision: PolicyDecision) -> RuleReference? {
        let key = NameKey.rule(policy: decision.policy.rawValue, decision.rule.abi).key
        var value = Bytes(zeros: DatapathTable.names.valueSize)
        var span = value.mutableSpan
        var bytes = span.mutableBytes
        guard (try? map.lookup(key.span.bytes, into: &bytes)) == true else { return nil }
        return RuleReference(NameKey.text(value))
    }
}
