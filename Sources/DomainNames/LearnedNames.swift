public import Addressing

/// Which names an address was the answer for, and until when.
///
/// A value without a clock: every time is the caller's, in nanoseconds of one monotonic clock. Names are compared as
/// they are; learn them in lower case and without the trailing dot.
public struct LearnedNames: Sendable {
    public struct Settings: Sendable, Hashable {
        /// The most pairs of name and address that are held.
        public var capacity: Int
        /// The shortest lifetime of an answer, nanoseconds: a lifetime of zero would end before the connection begins.
        public var minimumLifetime: UInt64
        /// How much longer an answer counts than it lives, nanoseconds: clients use it a little too long.
        public var grace: UInt64

        public init(capacity: Int, minimumLifetime: UInt64 = 5_000_000_000, grace: UInt64 = 5_000_000_000) {
            self.capacity = capacity
            self.minimumLifetime = minimumLifetime
            self.grace = grace
        }
    }

    /// What became of an answer.
    public enum Outcome: Sendable, Hashable {
        case added
        /// It was known; it ends when the later of both answers does.
        case renewed
        /// Every pair that is held has a live connection, so there was no room.
        case full
    }

    /// What a full table cost, since the beginning.
    public struct Losses: Sendable, Hashable {
        /// Pairs that had ended anyway.
        public internal(set) var expired = 0
        /// Pairs that still counted, and were not used for the longest time.
        public internal(set) var unused = 0
        /// Answers that found no room.
        public internal(set) var refused = 0
    }

    private struct Pair: Hashable {
        let address: IPAddress
        let name: String
    }

    private struct Entry {
        let pair: Pair
        /// The first moment at which it no longer counts.
        var end: UInt64
    }

    private let settings: Settings
    private var entries: [Entry?] = []
    private var free: [Int] = []
    private var slots: [Pair: Int] = [:]
    private var slotsOfAddress: [IPAddress: [Int]] = [:]
    private var live: Set<IPAddress> = []
    /// The slots that may be evicted: those of addresses that are not live.
    private var order = UseOrder()
    /// The same slots, by their end.
    private var expiry = ExpiryQueue()
    public private(set) var losses = Losses()

    public init(_ settings: Settings) { self.settings = settings }

    /// Pairs that are held, ended ones among them.
    public var count: Int { slots.count }

    /// Takes an answer in: `name` has `address` for `seconds` from `now` on.
    public mutating func learn(
        _ name: String, _ address: IPAddress, lifetime seconds: UInt32, at now: UInt64
    ) -> Outcome {
        let pair = Pair(address: address, name: name)
        let end = self.end(of: seconds, from: now)
        if let slot = slots[pair], let known = entries[slot] {
            // A client may still hold the earlier answer.
            entries[slot] = Entry(pair: pair, end: max(known.end, end))
            if !live.contains(address) { makeEvictable(slot) }
            return .renewed
        }
        guard makeRoom(at: now) else {
            losses.refused += 1
            return .full
        }
        insert(Entry(pair: pair, end: end))
        return .added
    }

    /// The names that count for an address at `now`, sorted, and marks them used: what a new connection asks.
    public mutating func use(_ address: IPAddress, at now: UInt64) -> [String] {
        for slot in slotsOfAddress[address] ?? [] where isCounting(slot, at: now) { markUsed(slot, address) }
        return names(of: address, at: now)
    }

    /// The names that count for an address at `now`, sorted.
    public func names(of address: IPAddress, at now: UInt64) -> [String] {
        (slotsOfAddress[address] ?? []).filter { isCounting($0, at: now) }.compactMap { entries[$0]?.pair.name }
            .sorted()
    }

    /// The names that are held for an address, ended ones among them, sorted: what a live connection is called.
    public func heldNames(of address: IPAddress) -> [String] {
        (slotsOfAddress[address] ?? []).compactMap { entries[$0]?.pair.name }.sorted()
    }

    /// Says whether an address has a live connection: while it has, nothing of it is removed. What is not held can't be.
    public mutating func setLive(_ address: IPAddress, _ isLive: Bool) {
        guard let slots = slotsOfAddress[address] else { return }
        if isLive {
            live.insert(address)
            for slot in slots { keep(slot) }
        } else if live.remove(address) != nil {
            for slot in slots { makeEvictable(slot) }
        }
    }

    /// Removes what has ended and has no live connection; returns how many pairs.
    public mutating func removeExpired(at now: UInt64) -> Int {
        var removed = 0
        while let slot = expiry.ended(at: now) {
            remove(slot)
            removed += 1
        }
        return removed
    }

    private func end(of seconds: UInt32, from now: UInt64) -> UInt64 {
        let lifetime = max(UInt64(seconds) * 1_000_000_000, settings.minimumLifetime)
        let (total, isLong) = lifetime.addingReportingOverflow(settings.grace)
        let (end, isLate) = now.addingReportingOverflow(total)
        return isLong || isLate ? .max : end
    }

    private func isCounting(_ slot: Int, at now: UInt64) -> Bool { entries[slot].map { $0.end > now } ?? false }

    /// Evicts what has ended, or else the pair that was not used for the longest time; false when all are live.
    private mutating func makeRoom(at now: UInt64) -> Bool {
        if count < settings.capacity { return true }
        losses.expired += removeExpired(at: now)
        if count < settings.capacity { return true }
        guard let oldest = order.oldest else { return false }
        remove(oldest)
        losses.unused += 1
        return true
    }

    private mutating func insert(_ entry: Entry) {
        let slot = free.popLast() ?? entries.count
        if slot == entries.count { entries.append(entry) } else { entries[slot] = entry }
        slots[entry.pair] = slot
        slotsOfAddress[entry.pair.address, default: []].append(slot)
        if !live.contains(entry.pair.address) { makeEvictable(slot) }
    }

    private mutating func remove(_ slot: Int) {
        guard let pair = entries[slot]?.pair else { return }
        entries[slot] = nil
        free.append(slot)
        slots[pair] = nil
        keep(slot)
        slotsOfAddress[pair.address]?.removeAll { $0 == slot }
        if slotsOfAddress[pair.address] == [] { slotsOfAddress[pair.address] = nil }
    }

    private mutating func markUsed(_ slot: Int, _ address: IPAddress) {
        if !live.contains(address) { order.use(slot) }
    }

    /// Puts a slot where eviction looks, as the one used last.
    private mutating func makeEvictable(_ slot: Int) {
        guard let entry = entries[slot] else { return }
        order.use(slot)
        expiry.set(slot, end: entry.end)
    }

    /// Takes a slot from where eviction looks.
    private mutating func keep(_ slot: Int) {
        order.remove(slot)
        expiry.remove(slot)
    }
}
