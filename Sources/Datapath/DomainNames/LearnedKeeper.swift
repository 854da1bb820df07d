internal import BPF
internal import DatapathABI
internal import LinuxKernel
public import NetworkPolicy

/// What is held of learned addresses, and what was let go since the agent's start.
public struct LearnedCounts: Sendable, Hashable {
    /// Addresses of policies, and names, that are held now.
    public internal(set) var addresses = 0
    public internal(set) var names = 0
    /// Addresses that were let go as all their names had ended, or as no pod has their policy any more.
    public internal(set) var expired: UInt64 = 0
    /// Addresses that still counted and had to make room, those that were not used for the longest time.
    public internal(set) var evicted: UInt64 = 0

    public init() {}
}

/// Keeps the map of learned addresses small: takes out what has ended, and makes room before there is none.
///
/// Nothing goes that a live connection leads to: when policies change, such a connection is judged by what it was
/// admitted by.
public struct LearnedKeeper: ~Copyable, Sendable {
    private typealias Entry = (key: apus_learned_key, value: apus_learned_address)

    /// How long a name is held that no address has: an answer may be on its way to use it.
    private static let nameRest: UInt64 = 60_000_000_000

    private let addresses: BPFMap
    private let names: BPFMap
    private let established: BPFMap
    private let halfOpen: BPFMap
    public private(set) var counts = LearnedCounts()

    init(
        addresses: consuming BPFMap, names: consuming BPFMap, established: consuming BPFMap, halfOpen: consuming BPFMap
    ) {
        self.addresses = addresses
        self.names = names
        self.established = established
        self.halfOpen = halfOpen
    }

    /// Looks at everything that is held.
    ///
    /// - Parameters:
    ///   - now: CLOCK_MONOTONIC in nanoseconds.
    ///   - policies: those that pods of this node have or are about to get.
    public mutating func sweep(now: UInt64, policies: Set<PolicyID>) throws(MapError) {
        do throws(BPFError) {
            var held = try addresses.learnedAddresses()
            held = try removeEnded(held, now: now, policies)
            held = try makeRoom(held)
            counts.addresses = held.count
            try removeNames(usedBy: held, now: now)
        } catch {
            throw MapError(error)
        }
    }

    /// Takes out what has ended; returns what is left.
    private mutating func removeEnded(
        _ held: [Entry], now: UInt64, _ policies: Set<PolicyID>
    ) throws(BPFError) -> [Entry] {
        let isOver = { (entry: Entry) in
            entry.value.end <= now || !policies.contains(PolicyID(rawValue: entry.key.policy))
        }
        let ended = held.filter(isOver)
        if ended.isEmpty { return held }
        let live = try liveEnds(among: Set(ended.map { AddressKey($0.key.address) }))
        var left = held.filter { !isOver($0) }
        for entry in ended {
            // Of a policy that is gone nothing is judged again.
            let isKept =
                policies.contains(PolicyID(rawValue: entry.key.policy)) && live.contains(AddressKey(entry.key.address))
            if !isKept, try remove(entry) { counts.expired += 1 } else { left.append(entry) }
        }
        return left
    }

    /// Takes out what was not used for the longest time where the map is nearly full; returns what is left.
    private mutating func makeRoom(_ held: [Entry]) throws(BPFError) -> [Entry] {
        let capacity = addresses.shape.maxEntries
        guard held.count > capacity - capacity / 8 else { return held }
        let live = try liveEnds(among: Set(held.map { AddressKey($0.key.address) }))
        var excess = held.count - (capacity - capacity / 4)
        var left: [Entry] = []
        for entry in held.sorted(by: { $0.value.used_ns < $1.value.used_ns }) {
            if excess > 0, !live.contains(AddressKey(entry.key.address)), try remove(entry) {
                excess -= 1
                counts.evicted += 1
            } else {
                left.append(entry)
            }
        }
        return left
    }

    private mutating func removeNames(usedBy held: [Entry], now: UInt64) throws(BPFError) {
        let used = Set(held.flatMap { $0.value.learned.map(\.name) })
        counts.names = 0
        for (key, record) in try names.learnedNames() {
            guard !used.contains(key), record.seenAt + Self.nameRest < now else {
                counts.names += 1
                continue
            }
            guard let taken = try names.lookupAndDelete(key, as: apus_learned_name.self) else { continue }
            // An answer came between the two calls.
            if taken.seen_ns != record.seenAt { _ = try? names.update(key, taken, rule: .onlyNew) }
        }
    }

    /// Removes an entry, unless an answer renewed it since it was read. Returns whether it is gone.
    private func remove(_ entry: Entry) throws(BPFError) -> Bool {
        guard let taken = try addresses.lookupAndDelete(entry.key, as: apus_learned_address.self) else { return true }
        if taken.end == entry.value.end { return true }
        try addresses.learn(entry.key, taken)
        return false
    }

    /// Of some addresses those that a connection of this node leads to.
    private func liveEnds(among candidates: Set<AddressKey>) throws(BPFError) -> Set<AddressKey> {
        var live: Set<AddressKey> = []
        let note = { (key: borrowing RawSpan) in
            guard key.byteCount == MemoryLayout<apus_connection_key>.size else { return }
            let connection = key.unsafeLoadUnaligned(as: apus_connection_key.self)
            for end in [AddressKey(connection.low), AddressKey(connection.high)] where candidates.contains(end) {
                live.insert(end)
            }
        }
        try established.forEachKey(note)
        try halfOpen.forEachKey(note)
        return live
    }
}

/// An address as a key of a set.
private struct AddressKey: Hashable {
    let high: UInt64
    let low: UInt64

    init(_ address: apus_address) { (high, low) = (address.high, address.low) }
}
