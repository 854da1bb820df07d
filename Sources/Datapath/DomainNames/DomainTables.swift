internal import DatapathABI
internal import DomainNames
internal import NetworkPolicy

/// The names in policies: what the patterns of all of them make, and what of it the kernel does not have yet.
struct DomainTables: Sendable {
    /// A policy that admits what names resolve to.
    struct Policy: Sendable {
        var domains: [DomainBits]
        /// Who wrote each rule.
        var objects: [PolicyObjectAge]
        /// Whether it is wanted; otherwise it stays while endpoints have it.
        var isWanted = true
    }

    /// By the policy's id.
    private(set) var policies: [UInt32: Policy] = [:]
    /// Of the patterns of all policies; nil: there is none.
    private(set) var program: DomainProgram?
    /// Whether the kernel has the program, and the names that are held have its sets.
    private(set) var isInstalled = false
    /// The program in force; nil also while the kernel has one from before that is not known.
    private(set) var installed: DomainProgram?
    /// The sets that names may have in the kernel, with their patterns: those of the program in force, and until all names
    /// were walked through it, of those before. After a start, of all programs that `names` tells of.
    private(set) var setsInForce: [UInt32: [DomainPattern]] = [:]
    /// What the id of a set follows from.
    var identifier: @Sendable ([DomainPattern]) -> UInt32 = DomainProgram.identifier
    /// Why it has not.
    private(set) var failure: MapError?
    /// Whether it has to wait, as policies are kept whose patterns only the kernel knows.
    var waitsForPolicies = false
    private var patterns: Set<DomainPattern> = []
    /// The patterns of the program that the kernel has: they keep their room whatever else is wanted.
    private var inForce: Set<DomainPattern> = []
    /// The sets that have entries, of each policy.
    private var setsOfPolicy: [UInt32: Set<UInt32>] = [:]
    private var namedSets: [UInt32: Int] = [:]

    /// The sets whose entries may go.
    private(set) var outdated: [(policy: UInt32, set: UInt32)] = []

    /// Takes in a policy; one without names is none of these.
    mutating func set(_ policy: CompiledPolicy) {
        if policy.domains.isEmpty { return }
        policies[policy.id.rawValue] = Policy(
            domains: policy.domains, objects: policy.rules.map { PolicyObjectAge($0.origin) })
    }

    mutating func remove(_ id: UInt32) { policies[id]?.isWanted = false }

    /// Whether the policy is known to have names.
    func hasNames(_ policy: UInt32) -> Bool { policies[policy] != nil }

    /// Lets go of policies that no endpoint has any more, and compiles the patterns if they are others now.
    ///
    /// - Returns: Whether the program is another one.
    mutating func compile(policiesInUse: Set<UInt32>) -> Bool {
        policies = policies.filter { $0.value.isWanted || policiesInUse.contains($0.key) }
        let wanted = Set(policies.values.flatMap { $0.domains.map(\.pattern) })
        guard wanted != patterns else { return false }
        patterns = wanted
        program =
            wanted.isEmpty
            ? nil
            : DomainProgram(
                DomainAutomaton(compiling: byPrecedence, inForce: inForce, after: program?.automaton),
                keeping: sets, identifier: identifier)
        isInstalled = false
        return true
    }

    /// Takes over that the kernel has a pattern, in a set.
    mutating func adopt(_ pattern: DomainPattern, in set: UInt32) {
        inForce.insert(pattern)
        setsInForce[set, default: []].append(pattern)
        setsInForce[set]?.sort()
    }

    /// The sets that names have in the kernel, or are about to have.
    private var sets: [UInt32: [DomainPattern]] {
        let coming = Dictionary(uniqueKeysWithValues: (program?.sets ?? []).map { ($0.id, $0.patterns) })
        return isInstalled ? coming : coming.merging(setsInForce) { coming, _ in coming }
    }

    /// The patterns in the order in which they get room: those in force first, then those of older objects. So what is
    /// refused is what came last, and stays refused while what came before leaves no room for it.
    private var byPrecedence: [DomainPattern] {
        var oldest: [DomainPattern: PolicyObjectAge] = [:]
        for policy in policies.values {
            for domain in policy.domains {
                let ages = domain.bits.rules.map { policy.objects[$0] } + [oldest[domain.pattern]].compactMap { $0 }
                oldest[domain.pattern] = ages.min()
            }
        }
        return oldest.sorted { left, right in
            let (isLeft, isRight) = (inForce.contains(left.key), inForce.contains(right.key))
            return isLeft != isRight ? isLeft : (left.value, left.key) < (right.value, right.key)
        }.map(\.key)
    }

    /// The sets that have rules of each policy. Until the program is installed, those in force are among them: a pod may
    /// get a policy before, and what its names have is judged by that.
    func entries() -> [(policy: UInt32, set: UInt32, bits: RuleBits)] {
        let sets = sets
        return policies.flatMap { id, policy in
            let bits = Dictionary(policy.domains.map { ($0.pattern, $0.bits) }) { first, _ in first }
            return sets.compactMap { set, patterns -> (policy: UInt32, set: UInt32, bits: RuleBits)? in
                let found = patterns.compactMap { bits[$0] }
                if found.isEmpty { return nil }
                return (id, set, found.reduce(into: RuleBits()) { $0.formUnion($1) })
            }
        }
    }

    /// Notes which sets have entries; those that had before are `outdated` once the program is installed.
    mutating func note(_ entries: [(policy: UInt32, set: UInt32, bits: RuleBits)]) {
        var current: [UInt32: Set<UInt32>] = [:]
        for entry in entries { current[entry.policy, default: []].insert(entry.set) }
        outdated.removeAll { current[$0.policy]?.contains($0.set) ?? false }
        for (policy, sets) in setsOfPolicy {
            outdated += sets.subtracting(current[policy] ?? []).sorted().map { (policy, $0) }
        }
        setsOfPolicy = current
    }

    /// The patterns of each set as entries of `names`, and the keys of those that are not wanted any more. Those of sets in
    /// force stay until there is another program: an agent that starts meanwhile knows them from there.
    mutating func nameEntries() -> (put: [TableEntry], remove: [Bytes]) {
        let sets = sets
        let put = sets.flatMap { set, patterns in
            patterns.enumerated().map { index, pattern in
                TableEntry(
                    key: NameKey.pattern(set: set, UInt32(index)).key,
                    value: NameKey.value(PatternText(pattern).written))
            }
        }
        let old = namedSets
        namedSets = sets.mapValues(\.count)
        let remove = old.filter { namedSets[$0.key] == nil }.flatMap { set, count in
            (0..<UInt32(count)).map { NameKey.pattern(set: set, $0).key }
        }
        return (put, remove)
    }

    /// The kernel took the program, or said why not. From the moment that it is in force it counts, whatever else failed:
    /// what was in force before is kept besides, until all names that are held have their sets in the new one.
    mutating func noteInstallation(_ outcome: DomainInstallation) {
        failure = outcome.failure
        isInstalled = outcome.failure == nil
        guard outcome.isInForce else { return }
        setsInForce = sets
        installed = program
        inForce = Set(program?.automaton.patterns ?? [])
    }

    mutating func takeOutdated() -> [(policy: UInt32, set: UInt32)] {
        defer { outdated = [] }
        return outdated
    }

    /// What of the names is not in force, with the objects that it belongs to.
    var problems: [DatapathProblem] {
        var found: [DatapathProblem] = []
        if let failure { found = objects().map { DatapathProblem(object: "\($0)", reason: .names(failure)) } }
        if waitsForPolicies {
            found += objects().map { DatapathProblem(object: "\($0)", reason: .namesWait) }
        }
        for refusal in program?.automaton.refusals ?? [] {
            for (object, field) in places(of: refusal.pattern) {
                let reason = DatapathProblem.Reason.patternRefused(
                    refusal.pattern.description, field: field, states: refusal.limit)
                found.append(DatapathProblem(object: "\(object)", reason: reason))
            }
        }
        return found
    }

    /// The objects in whose rules patterns are.
    private func objects() -> [PolicyName] {
        let found = policies.values.filter(\.isWanted).flatMap { policy in
            policy.domains.flatMap { domain in
                policy.objects.indices.filter { domain.bits[$0] }.map { policy.objects[$0].name }
            }
        }
        return Set(found).sorted()
    }

    /// The objects in whose rules a pattern is, with the first field of each that has it.
    private func places(of pattern: DomainPattern) -> [(object: PolicyName, field: String?)] {
        var fields: [PolicyName: String?] = [:]
        for policy in policies.values where policy.isWanted {
            for domain in policy.domains where domain.pattern == pattern {
                for object in policy.objects.indices.filter({ domain.bits[$0] }).map({ policy.objects[$0] }) {
                    let known = [fields[object.name] ?? nil, object.fields[pattern]].compactMap { $0 }
                    fields[object.name] = .some(known.min())
                }
            }
        }
        return fields.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
