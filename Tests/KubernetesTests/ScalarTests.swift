import Testing

@testable import Kubernetes

@Suite("Scalars of YAML and JSON")
struct ScalarTests {
    @Test(
        "plain YAML scalars mean what they mean to kubectl",
        arguments: [
            ("", "null"), ("~", "null"), ("NULL", "null"), ("true", "the boolean true"), ("yes", "the boolean true"),
            ("On", "the boolean true"), ("y", "the boolean true"), ("no", "the boolean false"),
            ("OFF", "the boolean false"), ("80", "80"), ("+80", "80"), ("-80", "-80"), ("8_080", "8080"), ("010", "8"),
            ("0o10", "8"), ("0x1F", "31"), ("0b101", "5"), ("0", "0"), ("00", "0"), ("1.5", "1.5"), ("1e3", "1e3"),
            (".5", ".5"), (".inf", ".inf"), ("9223372036854775808", "9223372036854775808"),
            ("09", "09"), ("web", "\"web\""), ("10.0.0.1", "\"10.0.0.1\""), ("10.0.0.0/8", "\"10.0.0.0/8\""),
            ("2026-11-23T04:53:49Z", "\"2026-11-23T04:53:49Z\""), ("1:30", "\"1:30\""), ("-", "\"-\""),
            ("+-1", "\"+-1\""), ("0x", "\"0x\""), ("0x+1", "\"0x+1\""), ("nan", "\"nan\""), ("yEs", "\"yEs\""),
            ("1m", "\"1m\""), ("::1", "\"::1\""),
        ])
    func yaml(text: String, meaning: String) {
        #expect(YAMLScalar.plain(text).inWords == meaning)
    }

    @Test("quoted and tagged scalars are strings")
    func quoted() throws {
        let text = "a: '1'\nb: \"yes\"\nc: !!str 5\nd: |\n  7\ne: !!int '9'\n"
        guard case .object(let object) = try YAMLParser.parse(ArraySlice(text.utf8)) else { throw WrongKind() }
        #expect(object.members.map(\.value.inWords) == ["\"1\"", "\"yes\"", "\"5\"", "\"7\n\"", "9"])
    }

    static func parseJSON(_ text: String) throws(JSONParser.Failure) -> ManifestValue? {
        var parser = JSONParser(ArraySlice(text.utf8))
        return try parser.next()
    }

    @Test(
        "JSON scalars",
        arguments: [
            ("null", "null"), (" true ", "the boolean true"), ("false", "the boolean false"), ("0", "0"),
            ("-12", "-12"),
            ("1.25", "1.25"), ("1E+2", "1E+2"), ("18446744073709551615", "18446744073709551615"), (#""""#, #""""#),
            (#""a\"b\\c\/d\n\t\r\b\f""#, "\"a\"b\\c/d\n\t\r\u{8}\u{c}\""), (#""\u00e9""#, "\"\u{e9}\""),
            (#""\ud83d\ude00!""#, "\"\u{1f600}!\""), (#""\ud83dx""#, "\"\u{fffd}x\""),
            (#""\ud83d\u0041""#, "\"\u{fffd}A\""), (#""\ude00""#, "\"\u{fffd}\""), ("\"\u{e9}\"", "\"\u{e9}\""),
            ("[]", "a list"), ("{}", "an object"), ("[1, [2], {}]", "a list"),
        ])
    func json(text: String, meaning: String) throws {
        #expect(try Self.parseJSON(text)?.inWords == meaning)
    }

    @Test(
        "what is no JSON is refused with its place",
        arguments: [
            ("{", "expected a name in quotes", 1), ("{\"a\" 1}", "expected a colon", 5),
            ("{\"a\":1 \"b\"}", "expected a comma or the end of the object", 7),
            ("{\"a\":1,}", "expected a name in quotes", 7), ("[1 2]", "expected a comma or the end of the list", 3),
            ("[1,]", "expected a value", 3), ("[", "the text ends where a value is expected", 1),
            ("\"abc", "the text ends inside a string", 4), ("\"a\nb\"", "control character in a string", 2),
            (#""\x""#, "unknown escape in a string", 3), (#""\u12g4""#, "expected four hexadecimal digits", 5),
            ("01", "expected a number, got 01", 2), ("1.", "expected a number, got 1.", 2),
            ("-", "expected a number, got -", 1), ("--1", "expected a number, got --1", 3),
            ("tru", "expected a value", 0),
        ])
    func notJSON(text: String, message: String, offset: Int) {
        let error = #expect(throws: JSONParser.Failure.self) { try Self.parseJSON(text) }
        #expect(error?.message == message)
        #expect(error?.offset == offset)
    }

    @Test("nesting has a bound")
    func depth() {
        #expect(throws: JSONParser.Failure.self) { try Self.parseJSON(String(repeating: "[", count: 100_000)) }
        let yaml = manifest(String(repeating: "- ", count: 100_000) + "x")
        #expect(yaml.diagnostics.count == 1)
    }

    @Test("random bytes never crash a parser")
    func fuzz() {
        var random = SystemRandomNumberGenerator()
        let alphabet = Array("{}[]:,\"\\-? |>&*!%#\n\t 'au0d8.e<~".utf8)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...40, using: &random)
            let bytes = (0..<count).map { _ in
                Int.random(in: 0..<50, using: &random) == 0
                    ? UInt8.random(in: 0...255, using: &random)
                    : alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            _ = Manifest(source: Bool.random(using: &random) ? "a.json" : "a.yaml", bytes: bytes)
        }
    }
}
