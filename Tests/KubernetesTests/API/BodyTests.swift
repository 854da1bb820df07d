import Kubernetes
import Testing

@Suite("Bodies of lists and watches")
struct BodyTests {
    static let list = """
        {"kind":"PodList","x":["items",{"items":[1]}],"metadata":{"resourceVersion":"7","continue":"t\\"["},
        "items":[{"metadata":{"name":"a]}","managedFields":[{"name":"}\\\\\\""}]}},
         {"metadata":{"name":"b","labels":{"items":"[{"}}}] }
        """

    @Test("a list gives its items one by one, wherever it is cut", arguments: 1..<40)
    func items(size: Int) throws {
        var scanner = ListScanner()
        var items: [String] = []
        var rest = Array(Self.list.utf8)[...]
        while !rest.isEmpty {
            items += try scanner.take(rest.prefix(size)).map { String(decoding: $0, as: UTF8.self) }
            rest = rest.dropFirst(size)
        }
        #expect(
            items == [
                #"{"metadata":{"name":"a]}","managedFields":[{"name":"}\\\""}]}}"#,
                #"{"metadata":{"name":"b","labels":{"items":"[{"}}}"#,
            ])
        #expect(try ListEnvelope(scanner.envelope) == ListEnvelope(resourceVersion: "7", continuation: "t\"["))
    }

    @Test(
        "an answer that is no whole list is refused",
        arguments: ["", "{", "[]", #"{"kind":"Status","metadata":{}}"#, #"{"items":[{"a":"#, "404 page not found"])
    func noList(text: String) throws {
        var scanner = ListScanner()
        #expect(try scanner.take(Array(text.utf8)).isEmpty)
        #expect(throws: MalformedBody.self) { try ListEnvelope(scanner.envelope) }
    }

    @Test("an item without an end is refused before it fills the memory")
    func longItem() {
        var scanner = ListScanner(limit: 100)
        let text = #"{"items":[{"a":""# + String(repeating: "x", count: 200)
        #expect(throws: MalformedBody.self) { try scanner.take(Array(text.utf8)) }
        var splitter = LineSplitter(limit: 100)
        #expect(throws: MalformedBody.self) { try splitter.take(Array(text.utf8)[...]) }
    }

    @Test("a watch gives its lines, wherever it is cut, and not the last one without an end", arguments: 1..<9)
    func lines(size: Int) throws {
        var splitter = LineSplitter()
        var lines: [String] = []
        var rest = Array("one\ntwo\n\nthree\ncut".utf8)[...]
        while !rest.isEmpty {
            lines += try splitter.take(rest.prefix(size)).map { String(decoding: $0, as: UTF8.self) }
            rest = rest.dropFirst(size)
        }
        #expect(lines == ["one", "two", "", "three"])
    }

    static func event(_ text: String, _ kind: ObjectKind = .networkPolicy) throws -> WatchEvent? {
        try WatchEvent(Array(text.utf8)[...], kind: kind)
    }

    @Test("events of a type that is not known are passed over; what is no event is refused")
    func oddLines() throws {
        #expect(try Self.event(#"{"type":"LATER","object":{}}"#) == nil)
        #expect(try Self.event(#"{"type":"ADDED","object":{"spec":{}}}"#) == .unnamed)
        for text in ["", "{}", "[]", #"{"type":"ADDED"}"#, #"{"type":"ADDED","object":{"#] {
            #expect(throws: MalformedBody.self, "\(text)") { try Self.event(text) }
        }
    }

    @Test("a refusal is read from a Status or from plain text")
    func refusals() {
        let status = #"{"kind":"Status","message":"too old","code":410,"details":{"retryAfterSeconds":3}}"#
        #expect(
            APIRefusal(code: 500, body: Array(status.utf8)) == APIRefusal(code: 410, message: "too old", retryAfter: 3))
        let text = APIRefusal(code: 404, body: Array("404 page not found\n".utf8), retryAfter: 1)
        #expect(text == APIRefusal(code: 404, message: "404 page not found", retryAfter: 1))
        #expect(APIRefusal(code: 503, body: []).message == "no reason given")
    }
}
