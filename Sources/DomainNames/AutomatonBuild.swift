/// Puts exact names over the wildcards' automaton and gives patterns and sets their final numbers.
///
/// A string leads to one place in the tree of exact names and to one state of the wildcards. So a place of the tree is
/// one state, a copy of the wildcards' with its own children in place of where they lead, and names cost what a tree of
/// them costs, whatever the wildcards are.
struct AutomatonBuild {
    private let candidates: [DomainPattern]
    /// Numbers of the candidates in the order in which they get room.
    private let precedence: [Int]
    private let budget: DomainAutomaton.Budget
    private var refused: [Int: Int] = [:]
    /// Of those the ones of which it was not found out whether they fit.
    private var untried: Set<Int> = []
    private let known: KnownFits
    /// States that were made for patterns of which it was not known whether they fit.
    private(set) var made = 0
    private(set) var table = StateTable()

    /// A build of patterns that get room in their order.
    init(_ patterns: [DomainPattern], _ known: KnownFits, _ budget: DomainAutomaton.Budget) {
        let candidates = Set(patterns).sorted()
        let numbers = Dictionary(uniqueKeysWithValues: zip(candidates, candidates.indices))
        var seen: Set<Int> = []
        self.candidates = candidates
        precedence = patterns.compactMap { numbers[$0] }.filter { seen.insert($0).inserted }
        self.budget = budget
        self.known = known
    }

    /// The patterns that found room, in their order.
    var kept: [DomainPattern] { candidates.indices.filter { refused[$0] == nil }.map { candidates[$0] } }

    /// The patterns that found none, in their order.
    var refusals: [DomainAutomaton.Refusal] {
        refused.sorted { $0.key < $1.key }.map {
            .init(pattern: candidates[$0.key], limit: $0.value, isTried: !untried.contains($0.key))
        }
    }

    /// Builds the table. Names and wildcards do not take each other's room.
    mutating func run() {
        let room = min(budget.wildcardStates, budget.states)
        let names = fittingNames(room: budget.states - room)
        let wildcards = precedence.filter { candidates[$0].form != .exact }.map {
            (number: $0, pattern: candidates[$0])
        }
        let fits = known.among(wildcards.map(\.pattern), limit: room)
        let others = wildcards.dropFirst(fits.settled).filter { fits.refused[$0.pattern] == nil }
        let merge = WildcardMerge(
            settled: Array(wildcards.prefix(fits.settled)), Array(others), limit: room, work: budget.work)
        for (number, pattern) in wildcards {
            guard let isTried = fits.refused[pattern] else { continue }
            refuse(number, room, isTried: isTried)
        }
        for number in merge.refused { refuse(number, room, isTried: true) }
        for number in merge.untried { refuse(number, room, isTried: false) }
        made = merge.made
        table = merge.merged
        overlay(names)
    }

    private mutating func refuse(_ number: Int, _ room: Int, isTried: Bool) {
        refused[number] = room
        if !isTried { untried.insert(number) }
    }

    /// The exact names whose tree fits into the room, in their order.
    private mutating func fittingNames(room: Int) -> [Int] {
        var tree = NameTreeSize()
        for number in precedence where candidates[number].form == .exact {
            if !tree.add(Array(candidates[number].text.utf8), limit: room) { refused[number] = room }
        }
        return precedence.filter { candidates[$0].form == .exact && refused[$0] == nil }.sorted()
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
