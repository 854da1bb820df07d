/// Merges the automata of wildcard patterns into one, within a number of states.
///
/// Stars in many patterns multiply: `*a*`, `*b*`, … need a state for every subset of what was seen. Adding a pattern
/// never takes a state away, so which patterns fit follows from their order alone, however they are grouped here.
struct WildcardMerge {
    private let limit: Int
    /// The patterns, and their numbers, in the order in which they get room.
    private let patterns: [(number: Int, pattern: DomainPattern)]
    private(set) var merged = StateTable()
    /// Numbers of the patterns that did not fit, in the order in which they were tried.
    private(set) var refused: [Int] = []

    /// Merges what fits into `limit` states; a pattern comes before those behind it.
    init(_ patterns: [(number: Int, pattern: DomainPattern)], limit: Int) {
        self.limit = limit
        self.patterns = patterns
        if !patterns.isEmpty { add(group(0..<patterns.count)) }
    }

    /// Neighbouring patterns with their common automaton; nil when it alone is over the limit.
    private indirect enum Group {
        case one(number: Int, table: StateTable?)
        case two(Group, Group, table: StateTable?)

        var table: StateTable? {
            switch self {
            case .one(_, let table), .two(_, _, let table): table
            }
        }
    }

    /// Halves upon halves: each state is merged once a level, not once a pattern.
    private func group(_ range: Range<Int>) -> Group {
        if range.count == 1 {
            let (number, pattern) = patterns[range.lowerBound]
            let table = PatternStates.table(of: pattern, number: number)
            return .one(number: number, table: table.count <= limit ? table : nil)
        }
        let middle = range.lowerBound + range.count / 2
        let (left, right) = (group(range.lowerBound..<middle), group(middle..<range.upperBound))
        guard let first = left.table, let second = right.table else { return .two(left, right, table: nil) }
        return .two(left, right, table: StateProduct.table(first, second, limit: limit))
    }

    /// Adds a group as a whole, or, when that does not fit, what fits of its parts in their order.
    private mutating func add(_ group: Group) {
        if let table = group.table, let sum = StateProduct.table(merged, table, limit: limit) {
            merged = sum
            return
        }
        switch group {
        case .one(let number, _): refused.append(number)
        case .two(let left, let right, _):
            add(left)
            add(right)
        }
    }
}
