/// What is known, before wildcards are merged, of which of them fit.
struct KnownFits {
    /// Patterns that fit together.
    var inForce: Set<DomainPattern> = []
    /// What was compiled before.
    var previous: DomainAutomaton?

    /// How many patterns from the first one on are known to fit together, and which of the others are known not to fit
    /// behind them: true for those that were tried.
    struct Fits {
        var settled: Int
        var refused: [DomainPattern: Bool] = [:]
    }

    /// What is known of patterns in their order.
    ///
    /// What found no room behind some patterns finds none behind those and more. What was not tried, as others had taken
    /// too much work, is not tried again while those are there: it would take the same work.
    func among(_ patterns: [DomainPattern], limit: Int) -> Fits {
        let settled = patterns.prefix { inForce.contains($0) }.count
        guard let previous else { return Fits(settled: settled) }
        let kept = Set(previous.patterns.filter { $0.form != .exact })
        guard Set(patterns.prefix(kept.count)) == kept else { return Fits(settled: settled) }
        var fits = Fits(settled: max(settled, kept.count))
        let refusals = previous.refusals.filter { $0.pattern.form != .exact && $0.limit == limit }
        let present = Set(patterns)
        let isSameWork = refusals.allSatisfy { !$0.isTried || present.contains($0.pattern) }
        for refusal in refusals where refusal.isTried || isSameWork { fits.refused[refusal.pattern] = refusal.isTried }
        return fits
    }
}
