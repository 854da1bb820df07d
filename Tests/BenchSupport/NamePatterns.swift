internal import DomainNames

/// Names and patterns as the policies of many teams have them: of forty one `*.` before a name and one `*` in a label,
/// the others names. Of wildcards alone an automaton has room for some hundreds.
public struct NamePatterns: Sendable {
    /// What the measured names are matched by; the first of all.
    public static let measured = "*.web.test"

    /// Names of `matches[].name`.
    public private(set) var names: [String] = []
    /// Patterns of `matches[].pattern`.
    public private(set) var patterns = [measured]

    /// - Parameter count: How many there are in all, ``measured`` among them.
    public init(count: Int) {
        for number in 1..<max(1, count) {
            switch number % 40 {
            case 3: patterns.append("*.team-\(number).example.net")
            case 23: patterns.append("api-*.zone-\(number).example.org")
            default: names.append("service-\(number).team-\(number % 50).example.com")
            }
        }
    }

    func parsed() throws -> [DomainPattern] {
        try names.map { try DomainPattern(fqdnName: $0) } + patterns.map { try DomainPattern(fqdnPattern: $0) }
    }
}

/// What the automaton of a node's patterns takes.
public struct AutomatonCost: Sendable {
    /// From parsed patterns to its tables: the median of five.
    public let build: Duration
    public let states: Int
    /// What its map holds.
    public let bytes: Int

    /// Measures it.
    public static func measure(_ patterns: NamePatterns) throws -> AutomatonCost {
        let parsed = try patterns.parsed()
        let clock = ContinuousClock()
        var times: [Duration] = []
        var automaton = DomainAutomaton(compiling: parsed)
        if let refusal = automaton.refusals.first { throw refusal }
        for _ in 0..<5 { times.append(clock.measure { automaton = DomainAutomaton(compiling: parsed) }) }
        return AutomatonCost(build: times.sorted()[2], states: automaton.stateCount, bytes: automaton.byteCount)
    }
}
