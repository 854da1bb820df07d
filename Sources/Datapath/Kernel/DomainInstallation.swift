internal import BPF
internal import DatapathABI
internal import DomainNames
internal import Glibc
internal import LinuxKernel

extension DatapathKernel {
    /// Puts an automaton in the place of the one in force, and gives the names that are held their sets in it.
    package func install(_ program: DomainProgram?) -> DomainInstallation {
        if let failure = failure(of: { try putInForce(program) }) { return .refused(failure) }
        guard let program, let failure = failure(of: { try walkAgain(program) }) else { return .done }
        return .unfinished(failure)
    }

    private func failure(of step: () throws -> Void) -> MapError? {
        do {
            try step()
            return nil
        } catch let error as BPFError {
            return MapError(error)
        } catch let error as MapError {
            return error
        } catch {
            return MapError(code: 2, description: "\(error)")
        }
    }

    private func putInForce(_ program: DomainProgram?) throws {
        let automaton = try box("domain_automaton")
        if let program {
            let rows = try Self.rows(of: program)
            // The kernel waits here until no program walks through the old one.
            try automaton.map.update(UInt32(0), toMap: rows.map)
        } else {
            _ = try automaton.map.delete(UInt32(0))
        }
        domainProgram = program
    }

    /// Has new maps begin with the automaton of those before: it stays in force for as long as policies are kept whose
    /// patterns only the kernel knows.
    func keepAutomaton() throws {
        let first = UInt32(0)
        let automaton = try box("domain_automaton")
        guard let before = former["domain_automaton"], let id = try? before.map.lookup(first, as: UInt32.self),
            let rows = try? BPFMap.open(id: id), rows.shape.valueSize == MemoryLayout<apus_domain_state>.size
        else { return }
        try automaton.map.update(first, toMap: rows)
    }

    private static func rows(of program: DomainProgram) throws(BPFError) -> MapBox {
        let count = program.automaton.stateCount
        let box = MapBox(
            try BPFMap.create(
                BPFMapShape(
                    type: .array, keySize: MemoryLayout<UInt32>.size, valueSize: MemoryLayout<apus_domain_state>.size,
                    maxEntries: count, flags: .ofAnySize),
                name: "domain_states"))
        var keys: Bytes = []
        keys.reserveCapacity(count * MemoryLayout<UInt32>.size)
        for number in 0..<UInt32(count) { keys += Bytes(of: number) }
        let rows = program.rows
        let result = box.map.update(packedKeys: keys.span.bytes, packedValues: rows.span.bytes)
        if let failure = result.failure { throw failure }
        return box
    }

    /// Names keep what they were learned with: only the patterns that match them may be others now. One that another CPU
    /// did not let go of, also not at a second attempt, leaves the installation unfinished: until it is tried again, the
    /// sets that such names may have keep their rules.
    private func walkAgain(_ program: DomainProgram) throws {
        let names = try box("learned_names").map.learnedNames().map(\.record)
        let busy = try walk(walk(names, program), program)
        if busy.isEmpty { return }
        throw MapError(
            code: EBUSY, description: "\(busy.count) names are held by other CPUs, \(busy[0].name) among them")
    }

    /// Gives names their sets; returns those that were busy.
    private func walk(_ names: [LearnedNameRecord], _ program: DomainProgram) throws -> [LearnedNameRecord] {
        try names.filter { record in
            let set = program.set(matching: record.name.utf8)
            if set == record.set { return false }
            let lesson = NameLesson(name: record.name, set: set, time: record.seenAt, policies: [])
            return try programs.names.learn(lesson) == .APUS_LESSON_BUSY
        }
    }

    /// What was learned for one policy counts for another one, too, as far as there is room: to wait for more would leave
    /// a policy in force that is not wanted any more.
    package func copyLearned(from old: UInt32, to new: UInt32) -> MapError? {
        do {
            let held = try box("learned_addresses").map.learnedAddresses().filter { $0.key.policy == old }
            if held.isEmpty { return nil }
            let missed = try learn(held, try box("learned_names").map.learnedNames(), policy: { _ in new })
            uncopiedNames += UInt64(missed)
            return nil
        } catch let error as BPFError {
            return MapError(error)
        } catch {
            return MapError(code: 2, description: "\(error)")
        }
    }

    /// Takes over what the maps before these hold. Twice at an upgrade, as the old programs learn until they are
    /// replaced: the later end of each name counts.
    func copyLearnedFromFormer() throws {
        guard let addresses = former["learned_addresses"], let names = former["learned_names"] else { return }
        let missed = try learn(try addresses.map.learnedAddresses(), try names.map.learnedNames(), policy: { $0 })
        uncopiedNames += UInt64(missed)
    }

    private func learn(
        _ held: [(key: apus_learned_key, value: apus_learned_address)],
        _ names: [(key: UInt64, record: LearnedNameRecord)], policy: (UInt32) -> UInt32
    ) throws(BPFError) -> Int {
        let names = Dictionary(names.map { ($0.key, $0.record) }) { first, _ in first }
        let program = domainProgram
        return try programs.names.learn(held, names, policy: policy) { record in
            program?.set(matching: record.name.utf8) ?? record.set
        }
    }

    /// Has names hashed from a random number on, the same one for as long as there are maps to take over.
    func seedNames() throws {
        let first = UInt32(0)
        let seeds = try box("name_seed")
        if let seed = try seeds.map.lookup(first, as: UInt64.self), seed != 0 { return }
        let previous = try? BPFMap.open(pinned: pins.map("name_seed"))
        let known = try previous?.lookup(first, as: UInt64.self) ?? 0
        try seeds.map.update(first, known != 0 ? known : UInt64.random(in: 1 ... .max))
    }
}

extension BPFMap {
    /// Everything in `learned_names`.
    borrowing func learnedNames() throws(BPFError) -> [(key: UInt64, record: LearnedNameRecord)] {
        var found: [(UInt64, LearnedNameRecord)] = []
        try forEachEntry { key, value in
            let (key, value) = (key.withUnsafeBytes { Bytes($0) }, value.withUnsafeBytes { Bytes($0) })
            if let key = key.load(UInt64.self), let record = LearnedNameRecord(value) { found.append((key, record)) }
        }
        return found
    }

    /// Everything in `learned_addresses`.
    borrowing func learnedAddresses() throws(BPFError) -> [(key: apus_learned_key, value: apus_learned_address)] {
        var found: [(apus_learned_key, apus_learned_address)] = []
        try forEachEntry { key, value in
            let (key, value) = (key.withUnsafeBytes { Bytes($0) }, value.withUnsafeBytes { Bytes($0) })
            if let key = key.load(apus_learned_key.self), let value = value.load(apus_learned_address.self) {
                found.append((key, value))
            }
        }
        return found
    }

    /// How many entries there are.
    borrowing func countKeys() throws(BPFError) -> Int {
        var count = 0
        try forEachKey { _ in count += 1 }
        return count
    }
}
