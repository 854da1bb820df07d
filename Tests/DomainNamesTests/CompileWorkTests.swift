internal import DomainNames
import Testing

@Suite("The work of compiling patterns is limited")
struct CompileWorkTests {
    /// Each of them alone takes few states, and some of them together more than there may be.
    private static let multiplying = (0..<5_000).map { "*a\($0 % 1_000)*b\($0 / 1_000)*.x" }
    private static let budget = DomainAutomaton.Budget()
    /// What is made at most: the last product begins within the budget.
    private static let most = budget.work + budget.wildcardStates + 1

    private func patterns(_ texts: [String]) throws -> [DomainPattern] {
        try texts.map { try DomainPattern(fqdnPattern: $0) }
    }

    @Test("Thousands of patterns that multiply are refused, and what was in force before them stays")
    func multiplying() throws {
        let harmless = try patterns((0..<200).map { "*.zone\($0).example" })
        let before = DomainAutomaton(compiling: harmless)
        #expect(before.refusals.isEmpty)
        let all = harmless + (try patterns(Self.multiplying))
        let (automaton, made) = DomainAutomaton.compile(all, inForce: Set(harmless), after: before)
        #expect(made <= Self.most)
        #expect(Set(automaton.patterns).isSuperset(of: harmless))
        #expect(automaton.patterns.count + automaton.refusals.count == Set(all).count)
        #expect(automaton.refusals.contains { $0.isTried } && automaton.refusals.contains { !$0.isTried })
        #expect(automaton.refusals.allSatisfy { $0.limit == Self.budget.wildcardStates })
    }

    @Test("What was refused takes no work again while nothing goes, and others find room behind what is in force")
    func remembered() throws {
        let stars = try patterns(Self.multiplying)
        let (first, made) = DomainAutomaton.compile(stars)
        #expect(made > Self.budget.wildcardStates && made <= Self.most)
        let kept = first.patterns
        let more = try DomainPattern(fqdnName: "one.more.example")
        let order = kept + [more] + stars
        let (second, again) = DomainAutomaton.compile(order, inForce: Set(kept), after: first)
        #expect(again == 0)
        #expect(second.refusals == first.refusals && Set(second.patterns) == Set(kept + [more]))
    }

    @Test("What goes makes room for what was refused")
    func forgotten() throws {
        let stars = try patterns("abcdefghijklmnop".map { "*\($0)*\($0)*" })
        let first = DomainAutomaton(compiling: stars)
        let gone = try #require(first.patterns.first)
        let refused = try #require(first.refusals.first).pattern
        let rest = first.patterns.filter { $0 != gone } + [refused]
        let (second, made) = DomainAutomaton.compile(rest, inForce: Set(first.patterns), after: first)
        #expect(second.patterns.contains(refused) && made > 0)
    }

    @Test("What was not tried, as others took all the work, is tried when one of those goes")
    func untried() throws {
        let stars = try patterns(Self.multiplying)
        let last = try patterns(["*.harmless.example"])
        let (first, _) = DomainAutomaton.compile(stars + last)
        #expect(first.refusals.contains { $0.pattern == last[0] && !$0.isTried })
        let rest = first.patterns + last
        let (second, made) = DomainAutomaton.compile(rest, inForce: Set(first.patterns), after: first)
        #expect(second.patterns.contains(last[0]) && made <= Self.budget.wildcardStates)
    }

    @Test("Thousands of patterns that fit are all compiled within the budget of work")
    func fitting() throws {
        let names = try patterns((0..<600).map { "*.s\($0).example" })
        let (automaton, made) = DomainAutomaton.compile(names.reversed())
        #expect(automaton.refusals.isEmpty && made < Self.budget.work)
        #expect(automaton == DomainAutomaton(compiling: names))
    }
}
