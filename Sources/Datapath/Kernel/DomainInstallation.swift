internal import BPF
internal import DatapathABI
internal import DomainNames
internal import LinuxKernel

extension DatapathKernel {
    /// Puts an automaton in the place of the one in force, and gives the names that are held their sets in it.
    package func install(_ program: DomainProgram?) -> MapError? {
        do {
            let automaton = try box("domain_automaton")
            guard let program else {
                _ = try automaton.map.delete(UInt32(0))
                return nil
            }
            let rows = try Self.rows(of: program)
            // The kernel waits here until no program walks through the old one.
            try automaton.map.update(UInt32(0), toMap: rows.map)
            try walkAgain(program)
            return nil
        } catch let error as BPFError {
            return MapError(error)
        } catch {
            return MapError(code: 2, description: "\(error)")
        }
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

    /// Names keep what they were learned with: only the patterns that match them may be others now.
    private func walkAgain(_ program: DomainProgram) throws {
        let held = try box("learned_names")
        for (key, record) in try held.map.learnedNames() {
            let set = program.set(matching: record.name.utf8)
            if set == record.set { continue }
            var changed = record.value
            changed.set = set
            changed.holds = APUS_NAME_KEPT.rawValue
            // One that was let go meanwhile stays away.
            if try held.map.lookup(key, as: apus_learned_name.self) != nil { try held.map.update(key, changed) }
        }
    }

    /// Keeps all names that are held: what counts their uses ran while they were copied.
    func keepLearnedNames() throws {
        let names = try box("learned_names")
        try names.map.keepNames(Set(try names.map.learnedNames().map(\.key)))
    }

    /// What was learned for one policy counts for another one, too, as far as there is room: to wait for more would leave
    /// a policy in force that is not wanted any more.
    package func copyLearned(from old: UInt32, to new: UInt32) -> MapError? {
        do {
            let addresses = try box("learned_addresses")
            let copied = try addresses.map.learnedAddresses().filter { $0.key.policy == old }
            try box("learned_names").map.keepNames(Set(copied.flatMap { $0.value.learned.map(\.name) }))
            for (key, value) in copied {
                var copy = key
                copy.policy = new
                try addresses.map.learn(copy, value)
            }
            return nil
        } catch let error as BPFError {
            let error = MapError(error)
            return error.saysFull ? nil : error
        } catch {
            return MapError(code: 2, description: "\(error)")
        }
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

    /// Keeps names for uses that the data path does not count.
    borrowing func keepNames(_ hashes: Set<UInt64>) throws(BPFError) {
        for hash in hashes {
            guard var name = try lookup(hash, as: apus_learned_name.self) else { continue }
            if name.holds >= APUS_NAME_KEPT.rawValue { continue }
            name.holds = APUS_NAME_KEPT.rawValue
            // The data path may have let go of it meanwhile.
            _ = try? update(hash, name, rule: .onlyExisting)
        }
    }

    /// Adds names to an address; a name that it has keeps the later end.
    ///
    /// - Throws: Also when there is no room for it.
    borrowing func learn(_ key: apus_learned_key, _ value: apus_learned_address) throws(BPFError) {
        do throws(BPFError) {
            return try update(key, value, rule: .onlyNew)
        } catch {
            guard error.errno == .exists else { throw error }
        }
        guard var known = try lookup(key, as: apus_learned_address.self) else {
            // It was let go of between the two calls.
            return try update(key, value)
        }
        if known.merge(value) { try update(key, known) }
    }
}
