/// The time in which what the last start left in force is kept, because the view of the cluster has gaps.
struct KeptState: Sendable {
    /// How long the view must be full, in nanoseconds: a source forgives first and says what it has read after that.
    static let calm: UInt64 = 1_000_000_000

    private var fullSince: UInt64?

    /// Whether what nobody asked for may go now.
    mutating func isOver(at now: UInt64, viewIsFull: Bool) -> Bool {
        guard viewIsFull else {
            fullSince = nil
            return false
        }
        let since = fullSince ?? now
        fullSince = since
        return now - since >= Self.calm
    }
}
