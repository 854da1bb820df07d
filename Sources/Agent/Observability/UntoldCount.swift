internal import Datapath

/// How much of what the data path was to tell never will be told, as the kernel has evicted what waited.
///
/// Nobody says what is evicted: it is what was due and was neither told nor waits any more. A look takes a while, in which
/// packets go on; what is in between two places then counts as missing. So two looks in a row must have missed it, and the
/// count only grows: it is never too high, and right as soon as traffic has been calm for two looks.
struct UntoldCount: Sendable {
    private(set) var total: UInt64 = 0
    private var former: UInt64?

    /// - Parameters:
    ///   - before: what was due before the look.
    ///   - after: what was told after it.
    ///   - waiting: what the look has found.
    mutating func note(before: EvidenceTotals.Account, after: EvidenceTotals.Account, waiting: UInt64) {
        let accounted = after.told &+ after.taken &+ waiting
        let missing = before.due > accounted ? before.due - accounted : 0
        if let former { total = max(total, min(former, missing)) }
        former = missing
    }
}
