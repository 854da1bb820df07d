import Foundation
import TestSupport
import Testing

@testable import HubbleFlows

@Suite("Regular expressions for names")
struct QueryPatternTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let pattern: String
        let found: [String]
        let missed: [String]

        var testDescription: String { pattern }

        init(_ pattern: String, found: [String] = [], missed: [String] = []) {
            (self.pattern, self.found, self.missed) = (pattern, found, missed)
        }
    }

    static let cases = [
        Case("", found: ["", "a."]),
        Case("web", found: ["web.", "a.web.test."], missed: ["we.b."]),
        Case("^web\\.", found: ["web.test."], missed: ["a.web.test.", "webb."]),
        Case("test\\.$", found: ["web.test."], missed: ["test.web."]),
        Case("^$", found: [], missed: ["a."]),
        Case("(^|\\.)api\\.", found: ["api.test.", "v1.api.test."], missed: ["myapi.test."]),
        Case("a.c", found: ["abc.", "a.c."], missed: ["ac."]),
        Case("^[a-c\\d_-]+\\.$", found: ["a-1_b."], missed: ["ad.", "."]),
        Case("^[^.]*\\.test", found: ["web.test."], missed: ["a.web.test."]),
        Case("^[]a]+\\.", found: ["]a."], missed: ["b."]),
        Case("^\\w+\\W$", found: ["web."], missed: ["we.b.x"]),
        Case("^(?:ab|a)(c|bcd)?\\.", found: ["a.", "abcd.", "abc.", "ac."], missed: ["abb."]),
        Case("^(a+)+$", found: ["aaaa"], missed: ["aab"]),
        Case("^a{2}\\.", found: ["aa."], missed: ["a.", "aaa."]),
        Case("^a{2,}\\.", found: ["aa.", "aaaaa."], missed: ["a."]),
        Case("^(ab){0,2}\\.", found: [".", "ab.", "abab."], missed: ["ababab."]),
        Case("^a{0}b", found: ["b."], missed: ["ab."]),
        Case("^a*?b+?\\.", found: ["b.", "aabb."], missed: ["aa."]),
        Case("^(?:^web\\.$|^api\\.$)$", found: ["web.", "api."], missed: ["webapi.", "a.web."]),
        Case("(?i)^WEB[A-C]", found: ["weba.", "WEBc."], missed: ["webd."]),
    ]

    @Test("What is found, and what is not", arguments: cases)
    func table(_ row: Case) throws {
        let pattern = try QueryPattern(row.pattern, "p")
        for name in row.found { #expect(pattern.matches(name), "\(name)") }
        for name in row.missed { #expect(!pattern.matches(name), "\(name)") }
    }

    @Test(
        "What is not known, not closed or too much is refused by name",
        arguments: [
            ("(", "a group does not end"), (")", "a ) ends no group"), ("[a", "a [ does not end"),
            ("*a", "there is nothing before a *"), ("a**", "what is repeated is repeated"),
            ("(a)\\1", "\\1 is not known"), ("\\bweb", "\\b is not known"), ("a\\", "there is nothing after a \\"),
            ("(?=a)", "of groups that begin with (? only (?: is known"), ("[[:alpha:]]", "[: is not known"),
            ("[b-a]", "between [ and ] the range goes backwards or to no letter"),
            ("a{", "after { come one or two numbers up to 128 and }"),
            ("a{3,2}", "after { come one or two numbers up to 128 and }"), ("é", "names are ASCII"),
            ("a{100}b{100}", "written out it has more than 128 letters"), ("((){100}){100}", "it is too large"),
            (String(repeating: "a", count: 129), "it has more than 128 bytes"),
        ])
    func refused(_ text: String, _ problem: String) {
        #expect {
            _ = try QueryPattern(text, "p")
        } throws: {
            "\($0)" == "p: '\(text)' is no regular expression that is taken: \(problem)"
        }
    }

    @Test("What takes others for ever does not take long")
    func exponential() throws {
        for text in [
            String(repeating: ".?", count: 42) + String(repeating: ".", count: 42), "(a+)+b$", "((a*)*)*b", "(a|a)+b",
            String(repeating: "(.|.)", count: 25) + "!",
        ] {
            #expect(!(try QueryPattern(text, "p").matches(String(repeating: "a", count: 30))))
        }
    }

    /// `a`, `b`, `.`, in groups, alternatives and repetitions.
    private static func expression(_ depth: Int, _ random: inout some RandomNumberGenerator) -> String {
        let parts = (0..<Int.random(in: 1...3, using: &random)).map { _ -> String in
            let isGroup = depth > 0 && Int.random(in: 0..<3, using: &random) == 0
            let atom =
                isGroup ? "(\(expression(depth - 1, &random)))" : ["a", "b", ".", "[^a]"].randomElement(using: &random)
            return (atom ?? "") + (["", "", "*", "+", "?", "{1,2}"].randomElement(using: &random) ?? "")
        }
        let isSplit = parts.count > 1 && Bool.random(using: &random)
        return isSplit ? parts[0] + "|" + parts[1...].joined() : parts.joined()
    }

    @Test("It agrees with another engine on random expressions and names")
    func agrees() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<2000 {
            let text = (Bool.random(using: &random) ? "^(?:" : "(?:") + Self.expression(2, &random) + ")$"
            guard text.utf8.count <= 60 else { continue }
            let (pattern, other) = (try QueryPattern(text, "p"), try NSRegularExpression(pattern: text))
            for _ in 0..<10 {
                let count = Int.random(in: 0...6, using: &random)
                let name = String((0..<count).map { _ in "abc".randomElement(using: &random) ?? "a" })
                let found = other.firstMatch(in: name, range: NSRange(location: 0, length: count)) != nil
                #expect(pattern.matches(name) == found, "\(text) \(name)")
            }
        }
    }
}
