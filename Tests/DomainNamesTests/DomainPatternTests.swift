internal import DomainNames
import Testing

@Suite("Domain patterns")
struct DomainPatternTests {
    struct Accepted: Sendable, CustomTestStringConvertible {
        let dialect: Dialect
        let text: String
        let form: DomainPattern.Form
        let normal: String

        var testDescription: String { "\(dialect) \(text)" }
    }

    struct Refused: Sendable, CustomTestStringConvertible {
        let dialect: Dialect
        let text: String
        let problem: DomainPatternError.Problem

        var testDescription: String { "\(dialect) \"\(text)\"" }
    }

    private static let accepted: [Accepted] = [
        Accepted(dialect: .name, text: "Example.COM.", form: .exact, normal: "example.com"),
        Accepted(dialect: .name, text: "localhost", form: .exact, normal: "localhost"),
        Accepted(dialect: .name, text: "a-b_c.d", form: .exact, normal: "a-b_c.d"),
        Accepted(dialect: .pattern, text: "example.com", form: .exact, normal: "example.com"),
        Accepted(dialect: .pattern, text: "*", form: .everything, normal: "*"),
        Accepted(dialect: .pattern, text: "*.", form: .everything, normal: "*"),
        Accepted(dialect: .pattern, text: "***", form: .wildcard, normal: "**"),
        Accepted(dialect: .pattern, text: "*.Google.com", form: .wildcard, normal: "*.google.com"),
        Accepted(dialect: .pattern, text: "a**b.*", form: .wildcard, normal: "a*b.*"),
        Accepted(dialect: .pattern, text: "*-*", form: .wildcard, normal: "*-*"),
        Accepted(dialect: .cluster, text: "kubernetes.io", form: .exact, normal: "kubernetes.io"),
        Accepted(dialect: .cluster, text: "*.Kubernetes.io.", form: .subdomains, normal: "*.kubernetes.io"),
        Accepted(dialect: .cluster, text: "_sip.example.com", form: .exact, normal: "_sip.example.com"),
        Accepted(
            dialect: .name, text: String(repeating: "a", count: 253), form: .exact,
            normal: String(repeating: "a", count: 253)),
    ]

    private static let refused: [Refused] = [
        Refused(dialect: .name, text: "", problem: .empty),
        Refused(dialect: .name, text: ".", problem: .empty),
        Refused(dialect: .name, text: "a..b", problem: .emptyLabel),
        Refused(dialect: .name, text: ".a", problem: .emptyLabel),
        Refused(dialect: .name, text: "a.com..", problem: .emptyLabel),
        Refused(dialect: .name, text: "*.a", problem: .character("*")),
        Refused(dialect: .name, text: "-a.b", problem: .labelEdge("-")),
        Refused(dialect: .name, text: "a_.b", problem: .labelEdge("_")),
        Refused(dialect: .name, text: "_a.b", problem: .labelEdge("_")),
        Refused(dialect: .name, text: "b\u{fc}cher.example", problem: .character("\u{fc}")),
        Refused(dialect: .name, text: "\u{212a}.example", problem: .character("\u{212a}")),
        Refused(dialect: .name, text: "a b", problem: .character(" ")),
        Refused(dialect: .name, text: String(repeating: "a", count: 254), problem: .tooLong(254)),
        Refused(dialect: .pattern, text: "-*", problem: .labelEdge("-")),
        Refused(dialect: .pattern, text: "a?", problem: .character("?")),
        Refused(dialect: .cluster, text: "*", problem: .character("*")),
        Refused(dialect: .cluster, text: "*.", problem: .empty),
        Refused(dialect: .cluster, text: "*.com", problem: .tooFewLabels),
        Refused(dialect: .cluster, text: "com", problem: .tooFewLabels),
        Refused(dialect: .cluster, text: "a.*.com", problem: .character("*")),
        Refused(dialect: .cluster, text: "*a.com", problem: .character("*")),
        Refused(dialect: .cluster, text: "*.*.com", problem: .character("*")),
    ]

    @Test("What a dialect allows has one normal form", arguments: accepted)
    func acceptedTexts(row: Accepted) throws {
        let pattern = try row.dialect.pattern(row.text)
        #expect(pattern.form == row.form)
        #expect(pattern.text == row.normal)
    }

    @Test("What a dialect does not allow is refused with the reason and the text", arguments: refused)
    func refusedTexts(row: Refused) throws {
        let error = try #require(throws: DomainPatternError.self) { _ = try row.dialect.pattern(row.text) }
        #expect(error.problem == row.problem)
        #expect(error.text == row.text)
    }

    @Test(
        "A character that is not allowed is told with what is",
        arguments: [
            (
                Dialect.cluster, "*",
                #""*" must not contain "*": expected a name of two labels or more, or "*." before one"#
            ),
            (
                .cluster, "a_b.*.com",
                #""a_b.*.com" must not contain "*": expected a name of two labels or more, or "*." before one"#
            ),
            (.name, "*.a", #""*.a" must not contain "*": expected a name of letters, digits, - and _"#),
            (.pattern, "a?", #""a?" must not contain "?": expected a pattern of letters, digits, -, _ and *"#),
        ])
    func allowedForms(dialect: Dialect, text: String, reason: String) throws {
        let error = try #require(throws: DomainPatternError.self) { _ = try dialect.pattern(text) }
        #expect(error.description == reason)
    }

    @Test("The same name in both dialects is one pattern")
    func dialectsShareNames() throws {
        let patterns = try [Dialect.name, .pattern, .cluster].map { try $0.pattern("www.Example.com") }
        #expect(Set(patterns).count == 1)
        #expect(try Dialect.pattern.pattern("*.example.com") != Dialect.cluster.pattern("*.example.com"))
    }
}
