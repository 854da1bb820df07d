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
    /// How often nothing could go of a policy, or of all of them, that had nearly as much as it may, at each look again.
    public internal(set) var held: UInt64 = 0

    public init() {}
}

/// What a look at all that is held did about policies, and maps, that are nearly full.
public struct RoomMade: Sendable, Hashable {
    /// How many addresses had to go of policies that have nearly as many as they may.
    public internal(set) var evicted: [PolicyID: Int] = [:]
    /// Such policies of which nothing could go, as each of their addresses is in use: a live connection leads to it, or, at
    /// this look and at the one before, it was used within the last second.
    public internal(set) var heldPolicies: Set<PolicyID> = []
    /// Whether nothing could go from maps that are nearly full, likewise.
    public internal(set) var areMapsHeld = false

    public init() {}

    fileprivate var heldCount: UInt64 { UInt64(heldPolicies.count) + (areMapsHeld ? 1 : 0) }
}

/// Keeps the map of learned addresses small: lets go of what has ended, and makes room before there is none.
///
/// Nothing goes that a live connection leads to: when policies change, such a connection is judged by what it was
/// admitted by.
public struct LearnedKeeper: ~Copyable, Sendable {
    /// How long ago a name has ended that is let go of, in nanoseconds: a connection that it admitted in its last moment
    /// is to be seen by then.
    private static let rest: UInt64 = 100_000_000
    /// How exactly the data path notes when an address was used, in nanoseconds: who has used it since may have opened a
    /// connection that was not seen.
    private static let step: UInt64 = 1_000_000_000

    private let teacher: NameTeacher
    private let addresses: BPFMap
    private let names: BPFMap
    private let liveEnds: LiveEnds
    private let counters: BPFMap
    private let shares: BPFMap
    /// What one policy may have of addresses, and of names in them.
    private let share: (addresses: Int, names: Int)
    /// Names that nobody held at the last look, with the time of their last answer.
    private var unheldBefore: [UInt64: UInt64] = [:]
    /// What the data path had learned at the last look.
    private var learnedBefore = LearnedTotals()
    public private(set) var counts = LearnedCounts()
    /// Whether some had to stay at the last look, as they were used a moment before: the next one may let go of them.
    public private(set) var isUnsettled = false
    /// Of which policies nothing could go for that reason, at the last look and at the one before; nil: of all of them.
    private var unsettled: (now: Set<PolicyID?>, before: Set<PolicyID?>) = ([], [])

    init(
        teacher: NameTeacher, addresses: consuming BPFMap, names: consuming BPFMap, established: consuming BPFMap,
        halfOpen: consuming BPFMap, counters: consuming BPFMap, shares: consuming BPFMap,
        timeouts: DatapathTimeouts, share: (addresses: Int, names: Int)
    ) {
        self.teacher = teacher
        self.addresses = addresses
        self.names = names
        liveEnds = LiveEnds(established: established, halfOpen: halfOpen, timeouts: timeouts)
        self.counters = counters
        self.shares = shares
        self.share = share
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
    @discardableResult
    public mutating func sweep(now: UInt64, policies: Set<PolicyID>) throws(MapError) -> RoomMade {
        do throws(BPFError) {
            learnedBefore = try LearnedTotals(counters)
            let held = HeldAddress.list(try addresses.learnedAddresses())
            let left = try removeEnded(held, now: now, policies)
            (isUnsettled, unsettled) = (false, ([], unsettled.now))
            var room = try makeRoomOfPolicies(left, now: now)
            if room.evicted.isEmpty { room.areMapsHeld = isHeld(try makeRoom(left, now: now), nil) }
            counts.held += room.heldCount
            try forgetShares(but: policies)
            counts.addresses = try addresses.countKeys()
            counts.names = try removeLostNames()
            return room
        } catch {
            throw MapError(error)
        }
    }

    /// Lets go of names that have ended, and of what no pod's policy needs any more; returns what is left.
    private mutating func removeEnded(
        _ held: [HeldAddress], now: UInt64, _ policies: Set<PolicyID>
    ) throws(BPFError) -> [HeldAddress] {
        let past = now > Self.rest ? now - Self.rest : 0
        // Of a policy that is gone nothing is judged again.
        let isOfNobody = { (entry: HeldAddress) in !policies.contains(PolicyID(rawValue: entry.key.policy)) }
        let ended = held.filter { !isOfNobody($0) && $0.firstEnd <= past }
        let live = try ended.isEmpty ? [] : liveEnds.among(Set(ended.map { AddressKey($0.key.address) }), now: now)
        let leaving =
            held.filter(isOfNobody).map { $0.leaving(at: .max, unusedSince: .max) }
            + ended.filter { !live.contains(AddressKey($0.key.address)) }.map {
                $0.leaving(at: past, unusedSince: .max)
            }
        counts.expired += UInt64(try teacher.letGo(leaving))
        return held.filter { !isOfNobody($0) && ($0.end > past || live.contains(AddressKey($0.key.address))) }
    }

    /// What became of room that was to be made.
    private enum Eviction: Equatable {
        case none, gone(Int)
        /// A live connection leads to each address.
        case held
        /// To none of some, but each of these was used a moment ago.
        case unsettled
    }

    /// Whether it is to be told that nothing could go of a policy, nil: of all of them. Of what was just used something may
    /// go at the next look.
    private mutating func isHeld(_ eviction: Eviction, _ policy: PolicyID?) -> Bool {
        guard eviction == .unsettled else { return eviction == .held }
        unsettled.now.insert(policy)
        return unsettled.before.contains(policy)
    }

    /// Lets go of what was not used for the longest time where a map is nearly full.
    private mutating func makeRoom(_ held: [HeldAddress], now: UInt64) throws(BPFError) -> Eviction {
        let excess = max(
            Self.excess(held.reduce(0) { $0 + $1.parts }, of: addresses.shape.maxEntries),
            Self.excess(try names.countKeys(), of: names.shape.maxEntries))
        if excess == 0 || held.isEmpty { return .none }
        let live = try liveEnds.among(Set(held.map { AddressKey($0.key.address) }), now: now)
        return try evict(excess, of: held, now: now, but: live)
    }

    /// Lets go of the addresses of policies that have nearly as many as they may: their own, not those of others.
    private mutating func makeRoomOfPolicies(_ held: [HeldAddress], now: UInt64) throws(BPFError) -> RoomMade {
        var excesses: [UInt32: Int] = [:]
        let byPolicy = Dictionary(grouping: held, by: \.key.policy)
        for (policy, own) in byPolicy {
            let excess = max(
                Self.excess(own.reduce(0) { $0 + $1.parts }, of: share.addresses),
                Self.excess(own.reduce(0) { $0 + $1.names }, of: share.names))
            if excess > 0 { excesses[policy] = excess }
        }
        var room = RoomMade()
        if excesses.isEmpty { return room }
        let candidates = excesses.keys.flatMap { byPolicy[$0] ?? [] }
        let live = try liveEnds.among(Set(candidates.map { AddressKey($0.key.address) }), now: now)
        for (policy, excess) in excesses {
            let id = PolicyID(rawValue: policy)
            let eviction = try evict(excess, of: byPolicy[policy] ?? [], now: now, but: live)
            if case .gone(let count) = eviction { room.evicted[id] = count }
            if isHeld(eviction, id) { room.heldPolicies.insert(id) }
        }
        return room
    }

    /// Lets go of those addresses that were not used for the longest time.
    private mutating func evict(
        _ count: Int, of held: [HeldAddress], now: UInt64, but live: Set<AddressKey>
    ) throws(BPFError) -> Eviction {
        let unused = held.filter { !live.contains(AddressKey($0.key.address)) }
        if unused.isEmpty { return .held }
        let settled = now > Self.step ? now - Self.step : 0
        let oldest = unused.filter { $0.used < settled }.sorted { $0.used < $1.used }
        if oldest.count < min(count, unused.count) { isUnsettled = true }
        let gone = try teacher.letGo(oldest.prefix(count).map { $0.leaving(at: $0.end, unusedSince: $0.used) })
        counts.evicted += UInt64(gone)
        return gone > 0 ? .gone(gone) : .unsettled
    }

    /// Forgets the counts of policies that nobody has any more, and nothing.
    private func forgetShares(but policies: Set<PolicyID>) throws(BPFError) {
        var gone: [UInt32] = []
        try shares.forEachEntry { key, value in
            guard key.byteCount == MemoryLayout<UInt32>.size,
                value.byteCount == MemoryLayout<apus_learned_share>.size
            else { return }
            let policy = key.unsafeLoadUnaligned(as: UInt32.self)
            let share = value.unsafeLoadUnaligned(as: apus_learned_share.self)
            if share.entries == 0, share.names == 0, !policies.contains(PolicyID(rawValue: policy)) {
                gone.append(policy)
            }
        }
        for policy in gone { try shares.delete(policy) }
    }

    /// How many entries of a map have to go: none up to seven eighths of it, down to three quarters beyond.
    private static func excess(_ count: Int, of capacity: Int) -> Int {
        count > capacity - max(1, capacity / 8) ? count - (capacity - max(1, capacity / 4)) : 0
    }

    /// Takes out names that nobody holds and nobody deleted, which takes three CPUs that meet within some nanoseconds.
    ///
    /// One that is being deleted just now looks the same. But that does not take from one look to the next, and a name
    /// that was learned anew since has another time; so what was the same at two looks is nobody's to delete, and as
    /// nobody can take hold of it, it can't be learned anew before it is gone.
    /// - Returns: how many names there are.
    private mutating func removeLostNames() throws(BPFError) -> Int {
        var count = 0
        var unheld: [UInt64: UInt64] = [:]
        try names.forEachEntry { key, value in
            count += 1
            guard value.byteCount == MemoryLayout<apus_learned_name>.size else { return }
            let name = value.unsafeLoadUnaligned(as: apus_learned_name.self)
            if name.holds == 0 { unheld[key.unsafeLoadUnaligned(as: UInt64.self)] = name.seen_ns }
        }
        let lost = unheld.filter { unheldBefore[$0.key] == $0.value }.keys
        for key in lost {
            try names.delete(key)
            unheld[key] = nil
        }
        unheldBefore = unheld
        return count - lost.count
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
