internal import DatapathABI
public import NetworkPolicy

extension DatapathTables {
    /// Brings what is wanted of names up to date with the policies: their sets are classes of `policy_peers`.
    mutating func updateDomains() {
        let inUse = endpoints.policiesInUse.union(endpoints.policiesWanted)
        let changed = domains.compile(policiesInUse: inUse)
        guard changed || policies.hasChangedDomains else { return }
        policies.hasChangedDomains = false
        writeDomains()
    }

    /// Wants the entries of all sets that names have, or are about to have. Those of others go once there is a program
    /// without them.
    private mutating func writeDomains() {
        let entries = domains.entries()
        for entry in entries { policies.setPeers(entry.policy, entry.set, entry.bits) }
        domains.note(entries)
        let named = domains.nameEntries()
        for entry in named.put { names.put(entry.key, entry.value) }
        for key in named.remove { names.retire(key) }
    }

    /// Puts the automaton in force once all its sets have their entries. What names had before goes only then.
    mutating func installDomains<Writer>(_ pass: inout ProgrammingPass<Writer>) {
        domains.waitsForPolicies = !domains.isInstalled && hasUnknownNames
        guard !domains.isInstalled, !domains.waitsForPolicies else { return }
        // One that found no room leaves its policy closed, which judges nobody, and holds up no other one's names.
        let isAwaited = { (key: Bytes) in
            PolicyTables.isOfSet(key) && !policies.isClosed(PolicyTables.owners(ofPeers: key).policy)
        }
        guard !policies.peers.pendingPuts.contains(where: isAwaited) else { return }
        let outcome = pass.writer.install(domains.program)
        domains.noteInstallation(outcome)
        guard outcome.failure == nil else { return }
        writeDomains()
        for entry in domains.takeOutdated() { policies.setPeers(entry.policy, entry.set, RuleBits()) }
    }

    /// Whether endpoints are to keep policies whose patterns only the kernel knows: then its automaton stays.
    private var hasUnknownNames: Bool {
        endpoints.policiesWanted.contains { policy in
            guard !domains.hasNames(policy),
                let page = policies.pages[PolicyTables.headKey(policy)]?.load(apus_policy_page.self)
            else { return false }
            return page.flags & UInt32(APUS_POLICY_NAMES.rawValue) != 0
        }
    }

    /// From which policy to which one an endpoint is about to take what was learned with it; nil: there is none of it.
    func nameMove(of record: EndpointRecord) -> NameMove? {
        guard let actual = record.actual else { return nil }
        let move = NameMove(from: actual.egress_policy, to: record.wanted.egress_policy)
        return move.from != move.to && hasNames(move.from) && domains.hasNames(move.to) ? move : nil
    }

    /// Has the addresses that were learned for the policies of endpoints count for those that they are about to get.
    /// What is learned meanwhile is learned for both, as the kernel knows already what comes: but for packets that were on
    /// their way then, which may have read that nothing comes. So these are waited for before anything is copied.
    ///
    /// - Parameter moves: with the slots of the endpoints.
    /// - Returns: Whether that went well; else the endpoints must wait.
    mutating func carryLearned<Writer>(_ moves: [NameMove: [Int]], _ pass: inout ProgrammingPass<Writer>) -> Bool {
        if moves.isEmpty { return true }
        let wait = pass.writer.beginWait()
        if let error = pass.writer.endWait(wait) {
            for slot in moves.values.joined().sorted() { pass.miss(.endpoints, Bytes(of: UInt32(slot)), error) }
            return false
        }
        epoch.endWait(wait)
        var isComplete = true
        for (move, slots) in moves where pass.writer.copyLearned(from: move.from, to: move.to) != nil {
            isComplete = false
            for slot in slots { pass.hold(.endpoints, Bytes(of: UInt32(slot))) }
        }
        return isComplete
    }

    /// Whether names may have been learned for a policy.
    func hasNames(_ policy: UInt32) -> Bool {
        if domains.hasNames(policy) { return true }
        let page = policies.pages.held(PolicyTables.headKey(policy))?.load(apus_policy_page.self)
        return page.map { $0.flags & UInt32(APUS_POLICY_NAMES.rawValue) != 0 } ?? false
    }

    /// The policies for which learned addresses are of use: those of endpoints, in the kernel or as they are wanted.
    public var policiesWithLearned: Set<PolicyID> {
        Set(endpoints.policiesInUse.union(endpoints.policiesWanted).map { PolicyID(rawValue: $0) })
    }
}

/// What was learned for one policy is to count for another one.
struct NameMove: Hashable {
    let from: UInt32
    let to: UInt32
}
