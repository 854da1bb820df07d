/// Lets so many records a second pass, and as many at once after a quiet second.
struct RecordRate: Sendable {
    private static let second: UInt64 = 1_000_000_000

    private let perSecond: UInt64
    /// Nanoseconds of records that may pass now.
    private var credit: UInt64
    private var last: UInt64?

    /// - Parameter perSecond: at least one.
    init(_ perSecond: Int) {
        self.perSecond = UInt64(max(perSecond, 1))
        credit = Self.second
    }

    /// Whether one more may pass.
    mutating func admits(now: UInt64) -> Bool {
        if let last, now > last { credit = min(Self.second, credit + (now - last)) }
        last = max(now, last ?? 0)
        let cost = Self.second / perSecond
        guard credit >= cost else { return false }
        credit -= cost
        return true
    }
}
