/// A deterministic automaton as a flat table: state × class → next state, and what each state accepts.
///
/// State 0 is dead: it leads to itself and accepts nothing.
struct StateTable: Equatable {
    static let dead: UInt32 = 0
    static let width = DomainAlphabet.classCount

    /// Row after row of next states, `width` a row.
    private(set) var next: [UInt32]
    /// The sorted numbers of the patterns that each state accepts.
    private(set) var accepted: [[Int]]
    /// Where a walk starts.
    var start: UInt32

    /// A table of only the dead state, which is where it starts: it accepts nothing.
    init() {
        next = Array(repeating: Self.dead, count: Self.width)
        accepted = [[]]
        start = Self.dead
    }

    /// States, the dead one among them.
    var count: Int { accepted.count }

    func next(_ state: UInt32, _ character: Int) -> UInt32 { next[Int(state) * Self.width + character] }

    mutating func setNext(_ state: UInt32, _ character: Int, _ target: UInt32) {
        next[Int(state) * Self.width + character] = target
    }

    /// Adds a state that leads nowhere.
    mutating func addState(accepting patterns: [Int]) -> UInt32 {
        next.append(contentsOf: repeatElement(Self.dead, count: Self.width))
        accepted.append(patterns)
        return UInt32(count - 1)
    }

    /// Adds a state that goes where another goes and accepts what it accepts.
    mutating func addCopy(of state: UInt32) -> UInt32 {
        // A slice would share the storage, and appending would copy all of it.
        let row = Array(next[Int(state) * Self.width..<(Int(state) + 1) * Self.width])
        next.append(contentsOf: row)
        accepted.append(accepted[Int(state)])
        return UInt32(count - 1)
    }

    /// Makes a state accept one more pattern.
    mutating func accept(_ pattern: Int, in state: UInt32) {
        accepted[Int(state)] = (accepted[Int(state)] + [pattern]).sorted()
    }
}
