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

    /// How long a name is held that no address has, in nanoseconds: the data path may be learning an answer about it.
    private static let nameRest: UInt64 = 2_000_000_000

    private let addresses: BPFMap
    private let names: BPFMap
    private let established: BPFMap
    private let halfOpen: BPFMap
    private let counters: BPFMap
    /// What the data path had learned at the last look.
    private var learnedBefore = LearnedTotals()
    public private(set) var counts = LearnedCounts()

    init(
        addresses: consuming BPFMap, names: consuming BPFMap, established: consuming BPFMap, halfOpen: consuming BPFMap,
        counters: consuming BPFMap
    ) {
        self.addresses = addresses
        self.names = names
        self.established = established
        self.halfOpen = halfOpen
        self.counters = counters
    }

    /// Whether so much was learned since the last look that the maps may be full before long.
    public var isPressing: Bool {
        guard let learned = try? LearnedTotals(counters) else { return false }
        return learned.addresses &- learnedBefore.addresses > UInt64(addresses.shape.maxEntries / 8)
            || learned.names &- learnedBefore.names > UInt64(names.shape.maxEntries / 8)
    }

    /// Looks at everything that is held.
    ///
    /// - Parameters:
    ///   - now: CLOCK_MONOTONIC in nanoseconds.
    ///   - policies: those that pods of this node have or are about to get.
    public mutating func sweep(now: UInt64, policies: Set<PolicyID>) throws(MapError) {
        do throws(BPFError) {
            learnedBefore = try LearnedTotals(counters)
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

    /// Takes out what was not used for the longest time where a map is nearly full; returns what is left.
    private mutating func makeRoom(_ held: [Entry]) throws(BPFError) -> [Entry] {
        let names = Set(held.flatMap { $0.value.learned.map(\.name) }).count
        var excess = max(
            Self.excess(held.count, of: addresses.shape.maxEntries), Self.excess(names, of: self.names.shape.maxEntries)
        )
        if excess == 0 { return held }
        let live = try liveEnds(among: Set(held.map { AddressKey($0.key.address) }))
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

    /// How many of the entries of a map have to go: none up to seven eighths of it, down to three quarters beyond.
    private static func excess(_ count: Int, of capacity: Int) -> Int {
        count > capacity - capacity / 8 ? count - (capacity - capacity / 4) : 0
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
            if taken.seen_ns != record.seenAt {
                var kept = taken
                kept.holds = APUS_NAME_KEPT.rawValue
                _ = try? names.update(key, kept, rule: .onlyNew)
            }
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

/// What the data path has learned since its maps were made; names count with every answer.
private struct LearnedTotals {
    var addresses: UInt64 = 0
    var names: UInt64 = 0

    init() {}

    init(_ counters: borrowing BPFMap) throws(BPFError) {
        addresses = try counters.lookupSum(apus_dns_counter.APUS_DNS_COUNT_ADDRESSES.rawValue) ?? 0
        names = try counters.lookupSum(apus_dns_counter.APUS_DNS_COUNT_LEARNED.rawValue) ?? 0
    }
}

/// An address as a key of a set.
private struct AddressKey: Hashable {
    let high: UInt64
    let low: UInt64

    init(_ address: apus_address) { (high, low) = (address.high, address.low) }
}
