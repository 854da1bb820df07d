internal import Addressing
internal import DatapathABI

/// The entries of `backends`: which index each backend has, and what leads there.
struct BackendDirectory: Sendable {
    private struct Holder {
        let key: BackendKey
        /// How many slots and frontends refer to it, those on their way out included.
        var references = 0
        /// How many of them are in force: without any it serves no more.
        var uses = 0
    }

    var entries: ArrayTable
    private var allocator: RangeAllocator
    private var indexes: [BackendKey: Int] = [:]
    /// By index, nil where that is free; few are below the highest, as the lowest free one is always the next.
    private var holders: [Holder?] = []
    /// What free indexes were last, where that was one Service port's.
    private var former: [Int: BackendKey] = [:]

    init(capacity: Int) {
        entries = ArrayTable(.backends, capacity: capacity)
        // A slot that was never written holds 0, which must lead nowhere.
        allocator = RangeAllocator(1..<max(1, capacity))
    }

    /// The index of a backend, with one more use; nil when all are taken.
    mutating func acquire(_ key: BackendKey) -> Int? {
        if let index = hold(key) { return index }
        guard let index = allocate(for: key) else { return nil }
        indexes[key] = index
        set(index, Holder(key: key))
        retain(index)
        return index
    }

    /// The index that a backend has already, with one more use.
    mutating func hold(_ key: BackendKey) -> Int? {
        // Versions before had entries of all for datagrams, too: those last until nobody leads there.
        guard let index = indexes[key] ?? (key.isOfAll ? nil : indexes[key.ofAll]) else { return nil }
        retain(index)
        return index
    }

    /// One more use of an index that is taken.
    mutating func retain(_ index: Int) {
        guard holders.indices.contains(index), var holder = holders[index] else { return }
        holder.references += 1
        holder.uses += 1
        holders[index] = holder
        if holder.uses == 1 { entries.set(index, apus_backend(holder.key)) }
    }

    /// One use less: without any the backend serves no more, and its index stays until it is released.
    mutating func leave(_ index: Int) {
        guard holders.indices.contains(index), var holder = holders[index], holder.uses > 0 else { return }
        holder.uses -= 1
        holders[index] = holder
        if holder.uses == 0 { entries.set(index, apus_backend(holder.key, isGone: true)) }
    }

    /// Gives the reference of a former use back; with the last one the index is free.
    mutating func release(_ index: Int) {
        guard holders.indices.contains(index), let holder = holders[index] else { return }
        if holder.references > 1 { holders[index]?.references -= 1 } else { drop(index, holder) }
    }

    /// Whether entries of an owner are found at an index.
    func serves(_ owner: UInt32, at index: Int) -> Bool {
        guard holders.indices.contains(index), let holder = holders[index] else { return false }
        return holder.key.owner == owner || holder.key.isOfAll
    }

    // MARK: Adoption

    /// Takes over what the kernel holds, without references; of two entries of the same backend only the first is found
    /// again.
    mutating func adopt(_ elements: Bytes) {
        entries.adopt(elements)
        for index in 0..<entries.count {
            guard let entry = entries.load(apus_backend.self, at: index), entry.in_use != 0,
                allocator.reserve(index..<index + 1)
            else { continue }
            let key = BackendKey(entry)
            set(index, Holder(key: key))
            if indexes[key] == nil { indexes[key] = index }
        }
    }

    /// Frees the adopted indexes that nothing leads to.
    mutating func removeUnused() {
        for index in holders.indices {
            if let holder = holders[index], holder.references == 0 { drop(index, holder) }
        }
    }

    // MARK: Indexes

    /// A free index that was not the address's for another Service port: what was led there through that one would pass
    /// for this one's.
    private mutating func allocate(for key: BackendKey) -> Int? {
        var passed: [Int] = []
        defer { for index in passed { allocator.release(index..<index + 1) } }
        while let index = allocator.allocate() {
            guard let last = former[index], last.ofAll == key.ofAll, last != key else {
                former[index] = nil
                return index
            }
            passed.append(index)
        }
        return passed.isEmpty ? nil : passed.removeFirst()
    }

    private mutating func set(_ index: Int, _ holder: Holder) {
        while holders.count <= index { holders.append(nil) }
        holders[index] = holder
    }

    private mutating func drop(_ index: Int, _ holder: Holder) {
        holders[index] = nil
        if indexes[holder.key] == index { indexes[holder.key] = nil }
        if !holder.key.isOfAll { former[index] = holder.key }
        entries.set(index, apus_backend())
        allocator.release(index..<index + 1)
    }
}

/// What an entry of `backends` stands for.
enum BackendState {
    case serving, gone, free
}

extension BackendDirectory {
    /// Runs of entries of a state that are to be written.
    func pending(_ state: BackendState) -> [Range<Int>] {
        entries.pendingRuns { (entries.load(apus_backend.self, at: $0) ?? apus_backend()).state == state }
    }
}

extension apus_backend {
    fileprivate var state: BackendState { in_use == 0 ? .free : isGone ? .gone : .serving }
}
