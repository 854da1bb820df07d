import JSONText
import Testing

/// Values that stay the text they were.
@Suite struct JSONTextTests {
    @Test func partsAreTheTextTheyWereWrittenAs() throws {
        let text = try JSONText(#" {"a" : [ 1.50, {"b":null} ,"x" ],"c": { "d" :true} } "#.utf8)
        #expect(text.text == #"{"a" : [ 1.50, {"b":null} ,"x" ],"c": { "d" :true} }"#)
        #expect(text.members.map(\.name) == ["a", "c"])
        #expect(text["a"]?.elements.map(\.text) == ["1.50", #"{"b":null}"#, #""x""#])
        #expect(text["c"]?.text == #"{ "d" :true}"#)
        #expect(text["c"]?["d"]?.boolean == true)
        #expect(text["missing"] == nil)
    }

    @Test func valuesMayStandOneAfterTheOther() throws {
        #expect(try JSONText.values(#"{"a":1}{} [2] "x""#.utf8).map(\.text) == [#"{"a":1}"#, "{}", "[2]", #""x""#])
        #expect(try JSONText.values(" ".utf8) == [])
        #expect(throws: JSONTextError.self) { try JSONText.values("{} }".utf8) }
    }

    @Test func ofANameThatIsRepeatedTheLastCounts() throws {
        #expect(try JSONText(#"{"a":1,"a":2}"#.utf8)["a"]?.integer == 2)
    }

    @Test(arguments: [
        (#""plain""#, "plain"), (#""a\"b\\c\/d""#, "a\"b\\c/d"), (#""\n\t\r\b\f""#, "\n\t\r\u{8}\u{c}"),
        (#""\u00e9\ud83d\ude00""#, "é😀"), (#""\ud83d""#, "\u{fffd}"), (#""\ud83dx""#, "\u{fffd}x"), (#""ü""#, "ü"),
    ])
    func stringsSayWhatTheyMean(written: String, meant: String) throws {
        #expect(try JSONText(written.utf8).string == meant)
    }

    @Test(arguments: ["", "plain", "a\"b\\c", "line\nend\t", "\u{1}", "é😀/"])
    func whatIsQuotedIsReadBack(text: String) throws {
        #expect(try JSONText(JSONText.quoted(text).utf8).string == text)
    }

    @Test(arguments: ["0", "-0", "12", "-3", "1.5", "2e10", "2E-3", "0.0"])
    func numbers(text: String) throws { #expect(try JSONText(text.utf8).kind == .number) }

    @Test(arguments: [
        "", " ", "{", "[1,", "[1 2]", #"{"a"}"#, #"{"a":}"#, #"{a:1}"#, "01", "1.", "+1", ".5", "1e", "tru", "nul",
        "\"", "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"", "[1]x", "[1] [2]", "{\"a\":1,}", "[,]", "-",
    ])
    func whatIsNoJSONIsRefused(text: String) {
        #expect(throws: JSONTextError.self) { try JSONText(text.utf8) }
    }

    @Test func nestingHasABound() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(try JSONText(nested(256).utf8).kind == .list)
        #expect(throws: JSONTextError.self) { try JSONText(nested(257).utf8) }
        #expect(throws: JSONTextError.self) { try JSONText(String(repeating: "[", count: 1_000_000).utf8) }
    }
}
