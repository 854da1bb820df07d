internal import DomainNames
internal import Foundation
internal import PolicyGenerators
import Testing

/// Random patterns and names over few characters, so that they meet often.
private struct NameGenerator {
    var random: RandomSource

    private mutating func label(_ characters: String, upTo length: Int) -> String {
        let characters = Array(characters)
        return String(
            (0..<Int.random(in: 1...length, using: &random)).map { _ in
                characters[Int.random(in: 0..<characters.count, using: &random)]
            })
    }

    private mutating func labels(_ characters: String, _ count: ClosedRange<Int>) -> String {
        let count = Int.random(in: count, using: &random)
        let text = (0..<count).map { _ in label(characters, upTo: 4) }.joined(separator: ".")
        return text + (Int.random(in: 0..<8, using: &random) == 0 ? "." : "")
    }

    /// A dialect and a text that it may or may not allow.
    mutating func pattern() -> (Dialect, String) {
        if Int.random(in: 0..<40, using: &random) == 0 { return (.pattern, "*") }
        switch Dialect.allCases.randomElement(using: &random) {
        case .name?: return (.name, labels("aab0-C", 1...3))
        case .cluster?:
            return (.cluster, (Bool.random(using: &random) ? "*." : "") + labels("abB_", 2...3))
        default: return (.pattern, labels("aab*B-", 1...3))
        }
    }

    /// A name, often one that a pattern was turned into.
    mutating func name(near patterns: [(Dialect, String)]) -> String {
        guard let (dialect, text) = patterns.randomElement(using: &random), Int.random(in: 0..<4, using: &random) > 0
        else { return labels("abAc-%", 1...4) }
        var result = ""
        for character in text {
            if character == "*" {
                result +=
                    dialect == .cluster ? labels("ab", 0...3) : Bool.random(using: &random) ? label("ab-", upTo: 3) : ""
            } else if Int.random(in: 0..<25, using: &random) > 0 {
                result.append(Bool.random(using: &random) ? character : Character(character.uppercased()))
            }
        }
        return result
    }
}

@Suite("The automaton against a naive matcher")
struct AutomatonPropertyTests {
    /// Pairs to compare; `APUS_DOMAIN_PAIRS` sets another number.
    private static let pairs = ProcessInfo.processInfo.environment["APUS_DOMAIN_PAIRS"].flatMap(Int.init) ?? 100_000

    @Test(
        "They agree on random pairs of pattern set and name, both dialects",
        arguments: [1, UInt64.random(in: 2 ... .max)])
    func agrees(seed: UInt64) throws {
        var generator = NameGenerator(random: RandomSource(seed: seed))
        var (compared, matched) = (0, 0)
        while compared < Self.pairs / 2 {
            let count = Int.random(in: 1...8, using: &generator.random)
            var patterns: [(Dialect, String)] = []
            while patterns.count < count {
                let (dialect, text) = generator.pattern()
                if (try? dialect.pattern(text)) != nil { patterns.append((dialect, text)) }
            }
            let automaton = DomainAutomaton(compiling: try patterns.map { try $0.pattern($1) })
            try #require(automaton.refusals == [], "seed \(seed): \(patterns)")
            for _ in 0..<100 {
                let name = generator.name(near: patterns)
                let expected = try patterns.filter { NaiveMatcher.matches($0, $1, name) }.map { try $0.pattern($1) }
                let found = automaton.patterns(matching: name)
                try #require(found == Set(expected).sorted(), "seed \(seed): \(name) in \(patterns)")
                let normal = (name.hasSuffix(".") ? String(name.dropLast()) : name).lowercased()
                let alone = automaton.patterns.filter { $0.matches(normal) }
                try #require(alone == found, "seed \(seed): \(name) in \(patterns), each by itself")
                compared += 1
                matched += found.isEmpty ? 0 : 1
            }
        }
        // A comparison of names that match nothing would prove nothing.
        #expect(matched > compared / 5 && matched < compared, "seed \(seed): \(matched) of \(compared) match")
    }
}
