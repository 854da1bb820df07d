internal import BPF
internal import DatapathABI

/// Which addresses connections of this node lead to that live.
struct LiveEnds: ~Copyable, Sendable {
    /// For how long nothing may have come of a connection that a packet has ended, in nanoseconds: an end that somebody
    /// forged is ignored at both ends, and they go on.
    private static let silence: UInt64 = 1_000_000_000
    /// More than the clock by which the data path notes packets may be behind, in nanoseconds.
    private static let margin: UInt64 = 100_000_000

    private let established: BPFMap
    private let halfOpen: BPFMap
    private let timeouts: DatapathTimeouts

    init(established: consuming BPFMap, halfOpen: consuming BPFMap, timeouts: DatapathTimeouts) {
        self.established = established
        self.halfOpen = halfOpen
        self.timeouts = timeouts
    }

    /// Of some addresses those that a live connection leads to. One that has ended and was silent since, or had no packet
    /// for so long that the next one would open it anew, does not live, though its entry is there until the scanner deletes
    /// it.
    ///
    /// Half-open ones first: one that is answered meanwhile goes from there to the others, and is seen twice at most.
    ///
    /// - Parameter now: CLOCK_MONOTONIC in nanoseconds.
    func among(_ candidates: Set<AddressKey>, now: UInt64) throws(BPFError) -> Set<AddressKey> {
        var live: Set<AddressKey> = []
        let rule = timeouts
        let past = now > Self.margin ? now - Self.margin : 0
        func note(_ key: borrowing RawSpan, _ value: borrowing RawSpan, isHalfOpen: Bool) {
            guard key.byteCount == MemoryLayout<apus_connection_key>.size,
                value.byteCount == MemoryLayout<apus_connection>.size
            else { return }
            let connection = key.unsafeLoadUnaligned(as: apus_connection_key.self)
            let ends = [AddressKey(connection.low), AddressKey(connection.high)].filter(candidates.contains)
            if ends.isEmpty { return }
            let state = value.unsafeLoadUnaligned(as: apus_connection.self)
            if state.has(APUS_CONNECTION_CLOSED), state.isSilent(for: Self.silence, at: past) { return }
            if rule.isOver(state, connection.protocol, isHalfOpen: isHalfOpen, now: past) { return }
            live.formUnion(ends)
        }
        try halfOpen.forEachEntry { note($0, $1, isHalfOpen: true) }
        try established.forEachEntry { note($0, $1, isHalfOpen: false) }
        return live
    }
}

/// An address as a key of a set.
struct AddressKey: Hashable {
    let high: UInt64
    let low: UInt64

    init(_ address: apus_address) { (high, low) = (address.high, address.low) }
}
