/// Pauses that double from one failure to the next, each shortened by chance so that nodes don't come in step.
struct Backoff: Sendable {
    private let first: Duration
    private(set) var failures = 0

    init(first: Duration) {
        self.first = first
    }

    /// Forgets the failures.
    mutating func reset() { failures = 0 }

    /// The pause after one more failure: from half of the doubled one to all of it, `longest` at most.
    mutating func next(longest: Duration, random: Double) -> Duration {
        let doubled = first * (1 << min(failures, 20))
        failures += 1
        return min(doubled, longest) * (0.5 + 0.5 * random)
    }
}
