internal import DatapathABI

extension PolicyTables {
    /// The two tables that say what peers are, with what the kernel holds of them.
    static var peerTables: [(WritableKeyPath<PolicyTables, HashTable>, WritableKeyPath<PolicyTables, PeerRecords>)] {
        [(\.classes, \.classRecords), (\.prefixes, \.prefixRecords)]
    }

    /// Whether a peer is to become something else with the next epoch.
    var hasStagedPeers: Bool { !classRecords.staged.isEmpty || !prefixRecords.staged.isEmpty }

    /// Whether a peer is not going to be what it should.
    var hasUnstagedPeers: Bool { !classRecords.unstaged.isEmpty || !prefixRecords.unstaged.isEmpty }

    /// Whether the kernel holds the same in every epoch.
    var hasEvenPeers: Bool { classRecords.uneven.isEmpty && prefixRecords.uneven.isEmpty }

    /// The next epoch is in force: what was written for it is what peers are.
    mutating func confirmStagedPeers() {
        for (table, records) in Self.peerTables {
            for key in self[keyPath: records].staged {
                let held = self[keyPath: records].held(key, inForce: self[keyPath: table].held(key))
                self[keyPath: table].confirm(key)
                self[keyPath: records].note(key, held, inForce: self[keyPath: table].held(key))
            }
            self[keyPath: records].staged = []
        }
    }

    /// Takes over an entry of a peer that the kernel holds.
    mutating func adopt(_ entry: TableEntry, in place: Int, _ epoch: PolicyEpoch) {
        let (table, records) = Self.peerTables[place]
        let inForce = PeerRecords.value(entry.value, in: epoch.current)
        if let inForce { self[keyPath: table].adopt(TableEntry(key: entry.key, value: inForce)) }
        self[keyPath: records].note(entry.key, entry.value, inForce: inForce)
    }

    /// The kernel was seen to hold an entry of a peer; nil: none.
    mutating func observe(_ key: Bytes, _ value: Bytes?, in place: Int, _ epoch: PolicyEpoch) {
        let (table, records) = Self.peerTables[place]
        let inForce = value.flatMap { PeerRecords.value($0, in: epoch.current) }
        if inForce != self[keyPath: table].held(key) { self[keyPath: table].observe(key, inForce) }
        self[keyPath: records].note(key, value, inForce: inForce)
    }
}

extension DatapathTables {
    /// Writes what peers are to be with the next epoch.
    mutating func stagePeers<Writer>(_ incomplete: Set<UInt32>, _ pass: inout ProgrammingPass<Writer>) {
        for place in PolicyTables.peerTables.indices { stagePeers(place, incomplete, &pass) }
    }

    private mutating func stagePeers<Writer>(
        _ place: Int, _ incomplete: Set<UInt32>, _ pass: inout ProgrammingPass<Writer>
    ) {
        let (table, records) = PolicyTables.peerTables[place]
        let peers = policies[keyPath: table]
        let plan = PeerPlan(peers, policies[keyPath: records], epoch, incomplete: incomplete)
        entriesLookedAt += plan.lookedAt
        for key in plan.waiting { pass.hold(peers.table, key) }
        // What goes makes room for what comes.
        let done = pass.delete(peers, plan.deletes) + pass.put(peers.table, plan.puts)
        let values = Dictionary(uniqueKeysWithValues: plan.puts.map { ($0.key, $0.value) })
        for key in done { policies[keyPath: records].note(key, values[key], inForce: peers.held(key)) }
        let missed = Set(plan.puts.map(\.key) + plan.deletes).subtracting(done).union(plan.waiting)
        policies[keyPath: records].unstaged = missed
        policies[keyPath: records].staged = Set(peers.dirtyKeys).subtracting(missed)
        let staged = policies[keyPath: records].staged
        if !staged.isEmpty { requireGenerations(for: PeerChange(of: staged, in: peers, policies)) }
    }

    /// Gives the room of entries back that could not be changed, as the map is full: kernels before 6.13 refuse that of
    /// full prefix maps. Only for classes whose policies are closed: such a peer is judged as another one until then.
    mutating func makeRoomForPeers<Writer>(_ pass: inout ProgrammingPass<Writer>) {
        for (table, records) in PolicyTables.peerTables {
            let peers = policies[keyPath: table]
            let full = pass.misses.filter { $0.table == peers.table && $0.error?.saysFull ?? false }.map(\.key)
            let replaced = full.filter { policies[keyPath: records].held($0, inForce: peers.held($0)) != nil }
            for key in pass.delete(peers, replaced) {
                policies[keyPath: table].observe(key, nil)
                policies[keyPath: records].note(key, nil, inForce: nil)
                if peers[key] == nil { policies[keyPath: records].unstaged.remove(key) }
            }
        }
    }

    /// Waits until no packet is on its way that came when the next epoch, or `all`: any former one, was in force.
    mutating func awaitPackets<Writer>(all: Bool, _ pass: inout ProgrammingPass<Writer>) -> Bool {
        guard let begun = epoch.wait(all: all) else { return true }
        let number = begun == 0 ? pass.writer.beginWait() : begun
        if let error = pass.writer.endWait(number) {
            pass.miss(.policyEpoch, Bytes(of: UInt32(0)), error)
            epoch.failWait()
            return false
        }
        epoch.endWait(number)
        return true
    }
}
