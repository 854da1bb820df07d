/// Merges the automata of wildcard patterns into one, within a number of states.
///
/// Stars in many patterns multiply: `*a*`, `*b*`, … need a state for every subset of what was seen. Adding a pattern
/// never takes a state away, so which patterns fit follows from their order alone, however they are grouped here. To find
/// out that one does not fit takes as many states as there may be, so the states that are made in vain are limited too.
struct WildcardMerge {
    /// A pattern and its number.
    typealias Entry = (number: Int, pattern: DomainPattern)

    private let limit: Int
    /// How many states may be made for patterns of which it is not known whether they fit.
    private let work: Int
    private(set) var merged = StateTable()
    /// States that were made for those.
    private(set) var made = 0
    /// Numbers of the patterns that did not fit, in the order in which they were tried.
    private(set) var refused: [Int] = []
    /// Numbers of the patterns that were not tried to the end, as too much had been done by then.
    private(set) var untried: [Int] = []

    /// Merges what fits into `limit` states; a pattern comes before those behind it.
    ///
    /// - Parameters:
    ///   - settled: patterns that come first and are known to fit together.
    ///   - others: those that come behind them.
    init(settled: [Entry], _ others: [Entry], limit: Int, work: Int) {
        self.limit = limit
        self.work = work
        if !settled.isEmpty { add(group(settled[...]), settled[...]) }
        made = 0
        isLimited = true
        addInBlocks(others)
    }

    /// Neighbouring patterns with their common automaton; nil when it alone is over the limit.
    private indirect enum Group {
        case one(table: StateTable?)
        case two(Group, Group, table: StateTable?)

        var table: StateTable? {
            switch self {
            case .one(let table), .two(_, _, let table): table
            }
        }
    }

    private var isLimited = false
    private var isExhausted: Bool { isLimited && made >= work }

    /// Blocks that double for as long as all goes well: where most patterns fit, each state is merged a few times only,
    /// and where many don't, little is done in vain for those that come later.
    private mutating func addInBlocks(_ entries: [Entry]) {
        var (first, size) = (0, 1)
        while first < entries.count {
            let block = entries[first..<min(first + size, entries.count)]
            if isExhausted { return untried += entries[first...].map(\.number) }
            size = add(group(block), block) ? size * 2 : 1
            first += block.count
        }
    }

    /// Halves upon halves: each state is merged once a level, not once a pattern.
    private mutating func group(_ entries: ArraySlice<Entry>) -> Group {
        if entries.count == 1, let entry = entries.first {
            let table = PatternStates.table(of: entry.pattern, number: entry.number)
            return .one(table: table.count <= limit ? table : nil)
        }
        let middle = entries.startIndex + entries.count / 2
        let (left, right) = (group(entries[..<middle]), group(entries[middle...]))
        guard let first = left.table, let second = right.table else { return .two(left, right, table: nil) }
        return .two(left, right, table: product(first, second))
    }

    /// Adds a group as a whole, or, when that does not fit, what fits of its parts in their order. Returns whether all of
    /// it fitted.
    @discardableResult
    private mutating func add(_ group: Group, _ entries: ArraySlice<Entry>) -> Bool {
        if let table = group.table, let sum = product(merged, table) {
            merged = sum
            return true
        }
        switch group {
        case .one:
            let number = entries[entries.startIndex].number
            if isExhausted { untried.append(number) } else { refused.append(number) }
        case .two(let left, let right, _):
            let middle = entries.startIndex + entries.count / 2
            add(left, entries[..<middle])
            add(right, entries[middle...])
        }
        return false
    }

    /// Nil when it has too many states, or too many were made before.
    private mutating func product(_ left: StateTable, _ right: StateTable) -> StateTable? {
        if isExhausted { return nil }
        let product = StateProduct.table(left, right, limit: limit)
        made += product.made
        return product.table
    }
}
