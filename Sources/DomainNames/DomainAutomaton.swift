/// All patterns as one deterministic automaton: one step a character, however many patterns there are.
///
/// The arrays are what a kernel map can hold as they are. The same patterns give the same arrays, in whatever order they
/// come and however often each: the order only decides who gets room where there is not enough for all.
public struct DomainAutomaton: Sendable, Equatable {
    /// How many states a table may have.
    public struct Budget: Sendable, Hashable {
        /// States altogether; a state takes ``DomainAutomaton/bytesPerState``.
        public var states: Int
        /// States that are the wildcards' alone, which multiply where exact names add up. Both have room of their own,
        /// so that no number of names takes that of a wildcard in force.
        public var wildcardStates: Int
        /// States that are made at most to find out which wildcards fit: what does not fit takes all of their room to
        /// find out, for each pattern anew. A million take some seconds.
        public var work: Int

        public init(states: Int = 131_072, wildcardStates: Int = 8_192, work: Int = 524_288) {
            self.states = states
            self.wildcardStates = wildcardStates
            self.work = work
        }
    }

    /// A pattern for which there was no room.
    public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        public let pattern: DomainPattern
        /// The number of states that it would have exceeded, together with those that come before it.
        public let limit: Int
        /// Whether it was tried to the end. If not, those before it took so much work that it was left out.
        public let isTried: Bool

        public var description: String { "\(pattern) needs more than the \(limit) states that are left for it" }
    }

    /// The patterns in force, sorted; a pattern's number is its index.
    public let patterns: [DomainPattern]
    /// The patterns that are not in force, sorted.
    public let refusals: [Refusal]
    /// The next state of state s for class c is at s × ``DomainAlphabet/classCount`` + c. State 0 leads only to itself.
    public let transitions: [UInt32]
    /// The pattern set of the names that end in each state: an index of ``patternSets``.
    public let acceptance: [UInt32]
    /// Sorted pattern numbers; set 0 is the empty one.
    public let patternSets: [[Int]]
    /// Where a walk starts.
    public let start: UInt32

    /// Bytes of a state: its row of next states and its pattern set.
    public static let bytesPerState = (DomainAlphabet.classCount + 1) * MemoryLayout<UInt32>.size
    public var stateCount: Int { acceptance.count }
    public var byteCount: Int { stateCount * Self.bytesPerState }

    /// Compiles patterns; those that do not fit into the budget are in ``refusals`` and the others are in force.
    ///
    /// A pattern gets room before those behind it. So patterns that fitted together still fit when they come first,
    /// whatever follows them: a pattern never adds states that another one would save.
    ///
    /// - Parameters:
    ///   - inForce: patterns that are known to fit together. What is known of those that come first takes no work.
    ///   - previous: what was compiled before, of whose refusals those are kept that nothing can have changed.
    public init(
        compiling patterns: some Sequence<DomainPattern>, inForce: Set<DomainPattern> = [],
        after previous: DomainAutomaton? = nil, budget: Budget = Budget()
    ) {
        self = Self.compile(Array(patterns), inForce: inForce, after: previous, budget).automaton
    }

    /// The same; `made` is how many states were made to find out which wildcards fit.
    package static func compile(
        _ patterns: [DomainPattern], inForce: Set<DomainPattern> = [], after previous: DomainAutomaton? = nil,
        _ budget: Budget = Budget()
    ) -> (automaton: DomainAutomaton, made: Int) {
        var build = AutomatonBuild(patterns, KnownFits(inForce: inForce, previous: previous), budget)
        build.run()
        return (DomainAutomaton(build), build.made)
    }

    private init(_ build: AutomatonBuild) {
        refusals = build.refusals
        self.patterns = build.kept
        start = build.table.start
        transitions = build.table.next
        (acceptance, patternSets) = build.numberedSets()
    }

    /// The index in ``patternSets`` of the patterns that match a name, given without escapes; a trailing dot and case
    /// change nothing.
    public func patternSet(matching name: some Collection<UInt8>) -> Int {
        let isRooted = name.count > 0 && name.dropFirst(name.count - 1).first == UInt8(ascii: ".")
        var state = start
        for byte in name.prefix(name.count - (isRooted ? 1 : 0)) {
            let index = Int(state) * DomainAlphabet.classCount + Int(DomainAlphabet.classOfByte[Int(byte)])
            state = transitions[index]
        }
        return Int(acceptance[Int(state)])
    }

    /// The patterns that match a name, sorted.
    public func patterns(matching name: String) -> [DomainPattern] {
        patternSets[patternSet(matching: name.utf8)].map { patterns[$0] }
    }
}
