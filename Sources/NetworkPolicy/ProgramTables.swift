/// The contents that ids stand for, who points at them, and the bits of every (policy, class) pair.
struct ProgramTables {
    private struct Policy {
        let content: PolicyContent
        let compiled: CompiledPolicy
        let bitsByAtom: [Atom: RuleBits]
        var references = 0
    }

    private struct Class {
        let atoms: [Atom]
        var references = 0
    }

    private var policies: [PolicyID: Policy] = [:]
    private var policyIDs: [PolicyContent: PolicyID] = [:]
    private var classes: [ClassID: Class] = [:]
    private var classIDs: [[Atom]: ClassID] = [:]
    private var policiesByAtom: [Atom: Set<PolicyID>] = [:]
    private var classesByAtom: [Atom: Set<ClassID>] = [:]
    private var unreferencedPolicies: Set<PolicyID> = []
    private var unreferencedClasses: Set<ClassID> = []

    /// The id of a content, with one more reference to it; a new content is programmed with its pairs.
    mutating func retain(_ content: PolicyContent, _ matchers: MatcherTable, _ stage: inout EditStage) -> PolicyID {
        if content.isNothing { return .none }
        let id = policyIDs[content] ?? insert(content, matchers, &stage)
        policies[id]?.references += 1
        unreferencedPolicies.remove(id)
        return id
    }

    /// One more reference to a policy that has one.
    mutating func retain(_ id: PolicyID) {
        policies[id]?.references += 1
        unreferencedPolicies.remove(id)
    }

    mutating func release(_ id: PolicyID) {
        policies[id]?.references -= 1
        if policies[id]?.references == 0 { unreferencedPolicies.insert(id) }
    }

    /// The id of a signature, with one more reference to it; a new class is programmed with its pairs.
    mutating func retain(_ atoms: [Atom], _ matchers: MatcherTable, _ stage: inout EditStage) -> ClassID {
        if atoms.isEmpty { return .anyone }
        let id = classIDs[atoms] ?? insert(atoms, matchers, &stage)
        classes[id]?.references += 1
        unreferencedClasses.remove(id)
        return id
    }

    mutating func release(_ id: ClassID) {
        classes[id]?.references -= 1
        if classes[id]?.references == 0 { unreferencedClasses.insert(id) }
    }

    /// Removes what nothing points at any more.
    mutating func collect(_ stage: inout EditStage) {
        for id in unreferencedPolicies {
            guard let policy = policies.removeValue(forKey: id) else { continue }
            policyIDs[policy.content] = nil
            for atom in policy.bitsByAtom.keys { policiesByAtom.remove(id, from: atom) }
            for peerClass in partners(of: policy.bitsByAtom.keys, classesByAtom) { stage.remove(id, peerClass) }
            stage.remove(id)
        }
        unreferencedPolicies = []
        for id in unreferencedClasses {
            guard let peerClass = classes.removeValue(forKey: id) else { continue }
            classIDs[peerClass.atoms] = nil
            for atom in peerClass.atoms { classesByAtom.remove(id, from: atom) }
            for policy in partners(of: peerClass.atoms, policiesByAtom) { stage.remove(policy, id) }
        }
        unreferencedClasses = []
    }

    private mutating func insert(
        _ content: PolicyContent, _ matchers: MatcherTable, _ stage: inout EditStage
    ) -> PolicyID {
        var id = PolicyID(rawValue: content.identifier(matchers))
        while id == .none || policies[id] != nil { id = PolicyID(rawValue: id.rawValue &+ 1) }
        let bitsByAtom = content.bitsByAtom
        let compiled = CompiledPolicy(
            id: id, direction: content.direction, isolatedBy: content.isolatedBy, auditedBy: content.auditedBy,
            rules: content.rules.map { $0.compiled(matchers) }, pages: content.pages,
            domains: matchers.domainBits(bitsByAtom), isTooLong: content.isTooLong)
        let policy = Policy(content: content, compiled: compiled, bitsByAtom: bitsByAtom)
        policies[id] = policy
        policyIDs[content] = id
        for atom in policy.bitsByAtom.keys { policiesByAtom[atom, default: []].insert(id) }
        stage.set(compiled)
        for peerClass in partners(of: policy.bitsByAtom.keys, classesByAtom) {
            stage.set(id, peerClass, bits(id, peerClass))
        }
        return id
    }

    private mutating func insert(_ atoms: [Atom], _ matchers: MatcherTable, _ stage: inout EditStage) -> ClassID {
        var hash = StableHash()
        for content in atoms.map(matchers.stableHash).sorted() { hash.combine(content) }
        // The first bit tells the classes that names have from those of addresses.
        var id = ClassID(rawValue: hash.identifier() & .max >> 1)
        while id == .anyone || classes[id] != nil { id = ClassID(rawValue: (id.rawValue &+ 1) & .max >> 1) }
        classes[id] = Class(atoms: atoms)
        classIDs[atoms] = id
        for atom in atoms { classesByAtom[atom, default: []].insert(id) }
        for policy in partners(of: atoms, policiesByAtom) { stage.set(policy, id, bits(policy, id)) }
        return id
    }

    private func partners<Partner>(of atoms: some Sequence<Atom>, _ index: [Atom: Set<Partner>]) -> Set<Partner> {
        atoms.reduce(into: []) { result, atom in if let found = index[atom] { result.formUnion(found) } }
    }

    private func bits(_ policy: PolicyID, _ peerClass: ClassID) -> RuleBits {
        var result = RuleBits()
        guard let table = policies[policy]?.bitsByAtom else { return result }
        for atom in classes[peerClass]?.atoms ?? [] {
            if let bits = table[atom] { result.formUnion(bits) }
        }
        return result
    }

    /// Adds all contents and pairs to a stage.
    func all(_ stage: inout EditStage) {
        for (id, policy) in policies {
            stage.set(policy.compiled)
            for peerClass in partners(of: policy.bitsByAtom.keys, classesByAtom) {
                stage.set(id, peerClass, bits(id, peerClass))
            }
        }
    }

    /// A policy in force.
    func policy(_ id: PolicyID) -> CompiledPolicy? { policies[id]?.compiled }

    /// The selectors and blocks of a class in force, as text in a stable order.
    func describe(_ id: ClassID, _ matchers: MatcherTable) -> [String] {
        (classes[id]?.atoms ?? []).map(matchers.describe).sorted()
    }
}

extension Dictionary where Key == Atom {
    fileprivate mutating func remove<Member>(_ member: Member, from atom: Atom) where Value == Set<Member> {
        self[atom]?.remove(member)
        if self[atom]?.isEmpty == true { self[atom] = nil }
    }
}
