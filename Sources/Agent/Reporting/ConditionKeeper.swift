/// When the Node's condition is to be written, as a value.
struct ConditionKeeper: Sendable {
    /// The condition that keeps pods off a node whose network is not there yet.
    static let type = "NetworkUnavailable"

    /// How long a written condition may take to come back with the Node, and the longest pause after failures, in
    /// nanoseconds.
    private static let patience: UInt64 = 10_000_000_000
    private static let longestPause: UInt64 = 300_000_000_000

    private var pause = patience
    private var notBefore: UInt64 = 0

    /// Whether to write it now.
    ///
    /// - Parameters:
    ///   - isInForce: whether the data path is.
    ///   - isKnown: whether there is a Node to write it to.
    ///   - isUnavailable: what the Node says now; nil: nothing.
    func isDue(isInForce: Bool, isKnown: Bool, isUnavailable: Bool?, now: UInt64) -> Bool {
        isInForce && isKnown && isUnavailable != false && now >= notBefore
    }

    mutating func noteSuccess(at now: UInt64) {
        pause = Self.patience
        notBefore = now + pause
    }

    mutating func noteFailure(at now: UInt64) {
        notBefore = now + pause
        pause = min(pause * 2, Self.longestPause)
    }
}
