internal import DomainNames
internal import PolicyGenerators
import Testing

@Suite("The automaton of all patterns")
struct DomainAutomatonTests {
    private func patterns(_ dialect: Dialect, _ texts: [String]) throws -> [DomainPattern] {
        try texts.map { try dialect.pattern($0) }
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let dialect: Dialect
        let text: String
        let matching: [String]
        let other: [String]

        var testDescription: String { "\(dialect) \(text)" }
    }

    private static let rows: [Row] = [
        Row(
            dialect: .name, text: "a.com", matching: ["a.com", "A.CoM", "a.com."],
            other: ["b.a.com", "a.co", "a.comm", ""]),
        Row(
            dialect: .pattern, text: "*.google.com",
            matching: ["www.google.com", "a-b.google.com", "\u{fc}.google.com"],
            other: ["google.com", "a.b.google.com"]),
        Row(dialect: .pattern, text: "*", matching: ["", ".", "a", "a.b.c"], other: []),
        Row(dialect: .pattern, text: "**", matching: ["", "a"], other: ["a.b"]),
        Row(
            dialect: .pattern, text: "w*w.a", matching: ["ww.a", "wxw.a", "wwww.a"], other: ["w.a", "w.w.a", "wwx.a"]),
        Row(
            dialect: .pattern, text: "*a*b.*", matching: ["ab.c", "xaxb.yy", "aabb.x"], other: ["ba.c", "ab", "ab.c.d"]),
        Row(
            dialect: .cluster, text: "*.kubernetes.io", matching: ["www.kubernetes.io", "latest.blog.kubernetes.io."],
            other: ["kubernetes.io", "xkubernetes.io", "kubernetes.io.kubernetes"]),
    ]

    @Test("A pattern matches what its dialect says", arguments: rows)
    func matches(row: Row) throws {
        let pattern = try row.dialect.pattern(row.text)
        let automaton = DomainAutomaton(compiling: [pattern])
        for name in row.matching { #expect(automaton.patterns(matching: name) == [pattern], "\(name)") }
        for name in row.other { #expect(automaton.patterns(matching: name) == [], "\(name)") }
    }

    @Test("No patterns are one dead state")
    func empty() {
        let automaton = DomainAutomaton(compiling: [])
        #expect(automaton.stateCount == 1)
        #expect(automaton.patternSet(matching: "a.b".utf8) == 0)
    }

    @Test("Where all have room, the order and the number of mentions of the patterns change nothing")
    func orderIsOfNoMatter() throws {
        var random = RandomSource(seed: 7)
        let all =
            try patterns(.pattern, ["*.b.com", "a*.com", "*", "x-*-y.z", "*a*b*"])
            + patterns(.cluster, ["*.b.com", "a.b.com"]) + patterns(.name, ["a.b.com", "a.b", "c"])
        let first = DomainAutomaton(compiling: all)
        for _ in 0..<20 {
            #expect(DomainAutomaton(compiling: (all + all.prefix(4)).shuffled(using: &random)) == first)
        }
    }

    @Test("Patterns that multiply are refused by name, and the rest is as if they were not there")
    func refusesWhatMultiplies() throws {
        let stars = try patterns(.pattern, "abcdefghijklmnop".map { "*\($0)*.com" })
        let harmless = try patterns(.pattern, ["z-*.com", "*.zone"]) + patterns(.name, ["zz.com", "zz.org"])
        let budget = DomainAutomaton.Budget(states: 2_000, wildcardStates: 500)
        let automaton = DomainAutomaton(compiling: harmless + stars, budget: budget)
        #expect(!automaton.refusals.isEmpty)
        #expect(automaton.refusals.allSatisfy { stars.contains($0.pattern) && $0.limit == 500 })
        #expect(automaton.patterns.count + automaton.refusals.count == stars.count + harmless.count)
        #expect(automaton.stateCount <= 520)
        #expect(automaton.patterns(matching: "zz.com").contains(harmless[2]))
        #expect(automaton.patterns(matching: "z-1.com").contains(harmless[0]))
        let alone = DomainAutomaton(compiling: automaton.patterns, budget: budget)
        #expect(alone.refusals == [])
        #expect(alone.transitions == automaton.transitions)
        #expect(alone.acceptance == automaton.acceptance)
        #expect(alone.patternSets == automaton.patternSets)
    }

    @Test("Patterns that fitted together still do when others come behind them")
    func precedence() throws {
        var random = RandomSource(seed: 9)
        let budget = DomainAutomaton.Budget(states: 600, wildcardStates: 400)
        let all =
            try patterns(.pattern, "abcdefghijklmnop".map { "*\($0)*.com" } + ["x-*", "*-y"])
            + patterns(.name, (0..<60).map { "host\($0).example\($0 % 7)" })
        var isRefused = false
        for _ in 0..<20 {
            let before = DomainAutomaton(compiling: all.shuffled(using: &random).prefix(40), budget: budget)
            let kept = before.patterns.shuffled(using: &random)
            let after = DomainAutomaton(compiling: kept + all.shuffled(using: &random), budget: budget)
            #expect(Set(after.patterns).isSuperset(of: kept))
            #expect(Set(after.patterns + after.refusals.map(\.pattern)) == Set(all))
            isRefused = isRefused || !after.refusals.isEmpty
        }
        #expect(isRefused)
    }

    @Test("Exact names over the budget are refused, and never more states are made than it says")
    func refusesNames() throws {
        let names = try patterns(.name, (0..<50).map { "host\($0).example" })
        for states in [1, 2, 13, 14, 15, 100, 400] {
            let automaton = DomainAutomaton(compiling: names, budget: .init(states: states, wildcardStates: 1))
            #expect(automaton.stateCount <= states)
            #expect(automaton.patterns.count + automaton.refusals.count == 50)
            for name in automaton.patterns { #expect(automaton.patterns(matching: name.text) == [name]) }
        }
    }

    @Test("Exact names cost the states of their tree, whatever wildcards there are")
    func namesCostTheirTree() throws {
        let names = try patterns(.name, (0..<5_000).map { "service-\($0).team\($0 % 37).example.com" })
        let wildcards =
            try patterns(.pattern, (0..<50).map { "*.zone\($0).example.org" })
            + patterns(.cluster, (0..<50).map { "*.region\($0).example.net" })
        let (alone, wild) = (DomainAutomaton(compiling: names), DomainAutomaton(compiling: wildcards))
        let clock = ContinuousClock()
        var both = alone
        let taken = clock.measure { both = DomainAutomaton(compiling: names + wildcards) }
        // The dead state is in both; a root of the tree is added beside the start of the wildcards.
        #expect(both.stateCount == alone.stateCount + wild.stateCount - 1)
        #expect(both.refusals == [])
        print(
            "5,000 names and 100 wildcards: \(both.stateCount) states (\(wild.stateCount) of the wildcards), "
                + "\(both.byteCount) bytes, \(taken)")
    }
}
