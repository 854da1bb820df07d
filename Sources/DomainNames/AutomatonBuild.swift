/// Puts exact names over the wildcards' automaton and gives patterns and sets their final numbers.
///
/// A string leads to one place in the tree of exact names and to one state of the wildcards. So a place of the tree is
/// one state, a copy of the wildcards' with its own children in place of where they lead, and names cost what a tree of
/// them costs, whatever the wildcards are.
struct AutomatonBuild {
    private let candidates: [DomainPattern]
    private let budget: DomainAutomaton.Budget
    private var refused: [Int: Int] = [:]
    private(set) var table = StateTable()

    /// A build of patterns that are sorted and differ.
    init(_ candidates: [DomainPattern], _ budget: DomainAutomaton.Budget) {
        self.candidates = candidates
        self.budget = budget
    }

    /// The patterns that found room, in their order.
    var kept: [DomainPattern] { candidates.indices.filter { refused[$0] == nil }.map { candidates[$0] } }

    /// The patterns that found none, in their order.
    var refusals: [DomainAutomaton.Refusal] {
        refused.sorted { $0.key < $1.key }.map { .init(pattern: candidates[$0.key], limit: $0.value) }
    }

    /// Builds the table. Exact names get room first: what they need is known beforehand and small.
    mutating func run() {
        let (names, nameStates) = fittingNames()
        let room = min(budget.wildcardStates, budget.states - nameStates)
        let wildcards = candidates.enumerated().filter { $1.form != .exact }.map { (number: $0, pattern: $1) }
        let merge = WildcardMerge(wildcards, limit: room)
        for number in merge.refused { refused[number] = room }
        table = merge.merged
        overlay(names)
    }

    /// The exact names that fit, with the number of states of their tree. The dead state is the wildcards'.
    private mutating func fittingNames() -> (names: [Int], states: Int) {
        var (names, states): ([Int], Int) = ([], 1)
        var previous: [UInt8] = []
        for (number, pattern) in candidates.enumerated() where pattern.form == .exact {
            let name = Array(pattern.text.utf8)
            // Sorted names share the most with the one before them.
            let shared = zip(previous, name).prefix { $0 == $1 }.count
            if states + name.count - shared >= budget.states {
                refused[number] = budget.states
                continue
            }
            states += name.count - shared
            names.append(number)
            previous = name
        }
        return (names, names.isEmpty ? 0 : states)
    }

    private mutating func overlay(_ names: [Int]) {
        if names.isEmpty { return }
        // States from here on are places of the tree.
        let first = UInt32(table.count)
        table.start = table.addCopy(of: table.start)
        for number in names {
            var state = table.start
            for byte in candidates[number].text.utf8 {
                let character = Int(DomainAlphabet.classOfByte[Int(byte)])
                var target = table.next(state, character)
                if target < first {
                    target = table.addCopy(of: target)
                    table.setNext(state, character, target)
                }
                state = target
            }
            table.accept(number, in: state)
        }
    }

    /// Each state's pattern set and the sets, in numbers that count only the patterns that are kept.
    func numberedSets() -> (acceptance: [UInt32], sets: [[Int]]) {
        var renumbered: [Int: Int] = [:]
        for number in candidates.indices where refused[number] == nil { renumbered[number] = renumbered.count }
        var sets: [[Int]] = [[]]
        var indices: [[Int]: UInt32] = [[]: 0]
        let acceptance = table.accepted.map { set in
            if set.isEmpty { return UInt32(0) }
            if let known = indices[set] { return known }
            indices[set] = UInt32(sets.count)
            sets.append(set.compactMap { renumbered[$0] })
            return UInt32(sets.count - 1)
        }
        return (acceptance, sets)
    }
}
