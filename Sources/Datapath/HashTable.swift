/// The wanted entries of a hash or prefix map, and which of them the kernel does not hold yet.
///
/// A key that is not dirty has its wanted value in the kernel, as far as we know; for a dirty one the value that the
/// kernel holds is kept, so that what still points to old content is known while a write fails.
package struct HashTable: Sendable {
    /// What the kernel holds for a dirty key.
    private struct Actual {
        let value: Bytes?
        /// Whether somebody else changed the entry.
        var isDrift = false
    }

    package let table: DatapathTable
    /// The wanted entries.
    package private(set) var entries: [Bytes: Bytes] = [:]
    /// Entries found in the kernel that nobody has asked for since; wanted until `removeUnclaimed`.
    package private(set) var unclaimed: Set<Bytes> = []
    private var dirty: [Bytes: Actual] = [:]
    /// Entries that go when no packet can hold a pointer to them any more, with that time once it is known.
    private var leaving: [Bytes: UInt64?] = [:]
    /// How many entries, wanted or in the kernel, have values that start with each number; nil: nobody asks.
    private(set) var targets: Tally?
    /// The same of keys: the lengths of prefixes.
    private(set) var lengths: Tally?

    package init(_ table: DatapathTable) { self.table = table }

    /// A table of pointers, which counts what they lead to.
    init(pointers table: DatapathTable) {
        self.table = table
        targets = Tally()
        lengths = table == .peerPrefixes ? Tally() : nil
    }

    package subscript(key: Bytes) -> Bytes? { entries[key] }

    /// Whether the kernel holds something else for the key.
    func isDirty(_ key: Bytes) -> Bool { dirty[key] != nil }

    /// Whether somebody else changed the entry since it was written.
    func isDrift(_ key: Bytes) -> Bool { dirty[key]?.isDrift ?? false }

    /// Whether the key is wanted and the kernel holds nothing for it.
    func isMissing(_ key: Bytes) -> Bool { dirty[key].map { $0.value == nil } ?? false && entries[key] != nil }

    var hasDirty: Bool { !dirty.isEmpty }

    /// Keys for which the kernel holds something else than is wanted.
    var dirtyKeys: [Bytes] { Array(dirty.keys) }

    /// What the kernel holds for the key.
    func held(_ key: Bytes) -> Bytes? {
        if let actual = dirty[key] { actual.value } else { entries[key] }
    }

    /// Keys that are wanted and must be written, in order.
    var pendingPuts: [Bytes] { dirty.keys.filter { entries[$0] != nil }.sorted(by: memoryOrder) }

    /// Keys that are not wanted any more and must be deleted, in order.
    var pendingDeletes: [Bytes] { dirty.keys.filter { entries[$0] == nil }.sorted(by: memoryOrder) }

    /// Values that the kernel holds although others are wanted.
    var outdatedValues: [Bytes] { dirty.values.compactMap(\.value) }

    /// Entries on their way out, and when the next may go.
    var leavingCount: Int { leaving.count }
    var nextDeadline: UInt64? { leaving.values.compactMap { $0 }.min() }

    mutating func put(_ key: Bytes, _ value: Bytes) {
        unclaimed.remove(key)
        leaving[key] = nil
        change(key, to: value)
    }

    /// Removes an entry as soon as possible.
    mutating func remove(_ key: Bytes) {
        unclaimed.remove(key)
        leaving[key] = nil
        change(key, to: nil)
    }

    /// Removes an entry when nothing has pointed to it for the grace period. It is written before if it was not yet:
    /// what points to it may change in the same batch, and must never point to nothing.
    mutating func retire(_ key: Bytes) {
        unclaimed.remove(key)
        if entries[key] != nil, leaving[key] == nil { leaving[key] = .some(nil) }
    }

    /// The kernel took the wanted state of the key. True when that changed something that packets could have met:
    /// another value, or what somebody else had changed.
    @discardableResult
    mutating func confirm(_ key: Bytes) -> Bool {
        guard let actual = dirty[key] else { return false }
        setDirty(key, nil)
        return actual.value != nil || actual.isDrift
    }

    /// The kernel was made to let go of a wanted entry: it is to be written again.
    mutating func evict(_ key: Bytes) {
        if entries[key] != nil { setDirty(key, Actual(value: nil)) }
    }

    /// The kernel was seen to hold `value` for the key: it becomes dirty unless that is what is wanted.
    mutating func observe(_ key: Bytes, _ value: Bytes?) {
        setDirty(key, entries[key] == value ? nil : Actual(value: value, isDrift: true))
    }

    /// Takes over an entry that the kernel holds.
    mutating func adopt(_ entry: TableEntry) {
        setWanted(entry.key, entry.value)
        unclaimed.insert(entry.key)
    }

    /// Lets go of what nobody has asked for; content waits for the grace period.
    mutating func removeUnclaimed(afterGrace: Bool) {
        for key in unclaimed {
            if afterGrace { retire(key) } else { remove(key) }
        }
        unclaimed = []
    }

    /// Turns leaving entries whose time has come into pending deletes, and starts the time of the others.
    ///
    /// - Parameter dropsUnwritten: what was never written is not wanted any more, instead of being written first.
    mutating func expireLeaving(
        now: UInt64, grace: UInt64, dropsUnwritten: Bool = false, unless isHeld: (Bytes) -> Bool
    ) {
        for (key, deadline) in leaving where !isHeld(key) {
            if isDirty(key), entries[key] != nil {
                if dropsUnwritten, isMissing(key) { remove(key) }
                continue
            }
            let due = deadline ?? now + grace
            if due <= now { remove(key) } else { leaving[key] = due }
        }
    }

    /// Lets go of leaving entries that were never written, and that nothing is going to point to.
    mutating func dropUnwritten(unless isHeld: (Bytes) -> Bool) {
        for key in leaving.keys where isMissing(key) && !isHeld(key) { remove(key) }
    }

    private mutating func change(_ key: Bytes, to value: Bytes?) {
        let actual = dirty[key].map(\.value) ?? entries[key]
        let isDrift = self.isDrift(key)
        setWanted(key, value)
        setDirty(key, actual == value ? nil : Actual(value: actual, isDrift: isDrift))
    }

    private mutating func setWanted(_ key: Bytes, _ value: Bytes?) {
        let old = entries[key]
        entries[key] = value
        count(key, old, value)
    }

    private mutating func setDirty(_ key: Bytes, _ actual: Actual?) {
        let old = dirty[key]
        dirty[key] = actual
        count(key, old?.value, actual?.value)
    }

    private mutating func count(_ key: Bytes, _ old: Bytes?, _ new: Bytes?) {
        guard targets != nil else { return }
        for (value, step) in [(old, -1), (new, 1)] {
            guard let value else { continue }
            targets?.change(value.load(UInt32.self) ?? 0, by: step)
            lengths?.change(key.load(UInt32.self) ?? 0, by: step)
        }
    }
}

/// How often each number occurs.
struct Tally: Sendable {
    private var counts: [UInt32: Int] = [:]

    /// The numbers that occur.
    var numbers: [UInt32] { Array(counts.keys) }

    func contains(_ number: UInt32) -> Bool { counts[number] != nil }

    mutating func change(_ number: UInt32, by step: Int) {
        let count = (counts[number] ?? 0) + step
        counts[number] = count == 0 ? nil : count
    }
}
