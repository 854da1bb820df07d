internal import Datapath
internal import Flows
internal import LinuxKernel
internal import NetworkPolicy

/// What the maps know of names, put together for people.
struct DomainReading {
    /// A pattern in a policy with its rules.
    private struct Use: Hashable {
        let policy: PolicyID
        let pattern: PatternText
    }

    private let uses: [Use]
    private let rules: [Use: [String]]
    private let endpoints: [PolicyID: [String]]
    private let learned: [LearnedReading]
    /// The patterns that the data path knows, by their text.
    private let inForce: [String: [PatternText]]
    private let now = KernelClock.monotonic()
    private let offset = KernelClock.realtimeOffset()

    init(_ reader: borrowing DatapathReader) throws(DatapathReadError) {
        var rules: [Use: [String]] = [:]
        for use in try reader.patternUses() {
            let text = use.ruleText.map { RuleReference($0).description } ?? "rule \(use.rule)"
            // Named ports may make several rules of one.
            let key = Use(policy: use.policy, pattern: use.pattern)
            if rules[key]?.contains(text) != true { rules[key, default: []].append(text) }
        }
        self.rules = rules
        uses = rules.keys.sorted { ($0.pattern, $0.policy) < ($1.pattern, $1.policy) }
        endpoints = Dictionary(
            try reader.policies().map { policy in
                (policy.id, policy.uses.map { $0.name?.description ?? "slot \($0.slot)" }.sorted())
            }
        ) { first, _ in first }
        learned = try reader.learned()
        inForce = Dictionary(grouping: try reader.patternsInForce(), by: \.text)
    }

    /// Each pattern of each policy, with each name that is held under it.
    var rows: [DomainRow] {
        let held = Dictionary(grouping: learned, by: \.policy)
        return uses.flatMap { use -> [DomainRow] in
            let matching = (held[use.policy] ?? []).filter {
                $0.patterns.contains { $0.isSamePattern(as: use.pattern) }
            }
            let names = Dictionary(grouping: matching, by: \.name).sorted { $0.key < $1.key }
            if names.isEmpty { return [row(use)] }
            return names.map { name, learned in
                var row = row(use)
                row.name = name
                row.addresses = learned.map(address)
                return row
            }
        }
    }

    /// What is known of one name, given the patterns in force that match it. Of the others it is their text that does.
    func explanation(of name: String, _ patterns: [PatternText]) -> DomainExplanation {
        let held = Dictionary(grouping: learned.filter { $0.name == name }, by: \.policy)
        let admitting = uses.filter { use in patterns.contains { $0.isSamePattern(as: use.pattern) } }
        let waiting = uses.filter { !isInForce($0.pattern) && $0.pattern.matches(name) }
        let policies = Set(admitting.map(\.policy))
        return DomainExplanation(
            name: name, matches: admitting.map(row) + waiting.filter { !admitting.contains($0) }.map(row),
            learned: held.sorted { $0.key < $1.key }.map { policy, learned in
                DomainExplanation.Learned(
                    policy: "\(policy)", isAdmitted: policies.contains(policy), endpoints: endpoints[policy] ?? [],
                    addresses: learned.map(address))
            })
    }

    private func isInForce(_ pattern: PatternText) -> Bool {
        inForce[pattern.text]?.contains { $0.isSamePattern(as: pattern) } ?? false
    }

    private func row(_ use: Use) -> DomainRow {
        DomainRow(
            pattern: use.pattern.text, field: use.pattern.field,
            isInForce: isInForce(use.pattern),
            policy: "\(use.policy)", rules: rules[use] ?? [], endpoints: endpoints[use.policy] ?? [])
    }

    private func address(_ learned: LearnedReading) -> HeldAddress {
        HeldAddress(
            address: "\(learned.address)",
            expires: Timestamp.text(learned.end &+ UInt64(bitPattern: offset)),
            remaining: learned.end > now ? learned.end - now : 0)
    }
}
