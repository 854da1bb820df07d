import Addressing
import Flows
import Foundation
import Testing

@Suite struct FlowFilters {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let matches: Bool
        let filter: FlowFilter

        init(_ description: String, _ matches: Bool, _ change: (inout FlowFilter) -> Void) {
            testDescription = description
            self.matches = matches
            var filter = FlowFilter()
            change(&filter)
            self.filter = filter
        }
    }

    static let cases = [
        Case("nothing asked", true) { _ in },
        Case("namespace", true) { $0.namespaces = ["shop"] },
        Case("any of two namespaces", true) { $0.namespaces = ["bank", "shop"] },
        Case("other namespace", false) { $0.namespaces = ["bank"] },
        Case("source pod", true) { $0.pods = names("shop/frontend-1") },
        Case("destination pod of any namespace", true) { $0.pods = names("cart-2") },
        Case("pods by prefix", true) { $0.pods = names("shop/cart-*") },
        Case("a prefix of another namespace", false) { $0.pods = names("bank/cart-*") },
        Case("a part of a name", false) { $0.pods = names("cart") },
        Case("a Service is no pod", false) { $0.pods = names("shop/cart") },
        Case("service", true) { $0.services = names("shop/cart") },
        Case("a pod is no service", false) { $0.services = names("shop/cart-2") },
        Case("labels of the source", true) { $0.labels = labels("app=frontend,!tier") },
        Case("labels of neither", false) { $0.labels = labels("app in (cart, web)") },
        Case("any of two selectors", true) { $0.labels = labels("app=cart", "app!=cart") },
        Case("labels of a pod without any", true) { $0.labels = labels("!app") },
        Case("source address", true) { $0.addresses = prefixes("10.244.0.1/32") },
        Case("prefix", true) { $0.addresses = prefixes("10.244.0.0/16") },
        Case("service address", true) { $0.addresses = prefixes("10.96.0.10/32") },
        Case("other address", false) { $0.addresses = prefixes("10.1.0.0/16", "::/0") },
        Case("destination port", true) { $0.ports = [8080] },
        Case("service port", true) { $0.ports = [80] },
        Case("other port", false) { $0.ports = [443] },
        Case("a name that it has not", false) { $0.names = domains("*") },
        Case("protocol", true) { $0.protocols = [.udp, .tcp] },
        Case("other protocol", false) { $0.protocols = [.udp] },
        Case("verdict", true) { $0.verdicts = [.forwarded] },
        Case("other verdict", false) { $0.verdicts = [.dropped] },
        Case("kind", true) { $0.kinds = [.opened, .closed] },
        Case("other kind", false) { $0.kinds = [.denied] },
        Case("all fields agree", true) { ($0.namespaces, $0.ports, $0.kinds) = (["shop"], [80], [.opened]) },
        Case("one field disagrees", false) { ($0.namespaces, $0.ports) = (["shop"], [443]) },
    ]

    private static func names(_ texts: String...) -> [NamePattern] { texts.compactMap { NamePattern($0) } }

    private static func labels(_ texts: String...) -> [LabelFilter] { texts.compactMap { LabelFilter($0) } }

    private static func domains(_ texts: String...) -> [DomainFilter] { texts.compactMap { DomainFilter($0) } }

    private static func prefixes(_ texts: String...) -> [CIDR] { texts.compactMap { CIDR($0) } }

    @Test(arguments: cases)
    func aFlowMatchesWhenEveryFieldAgrees(row: Case) {
        #expect(row.filter.matches(Sample.enriched) == row.matches)
        #expect(row.filter.matches(.lost(1, by: .store, time: 0, node: "")), "loss is never hidden")
    }

    @Test func aFilterHasAtMost256Values() throws {
        var filter = FlowFilter()
        filter.ports = Array(1...200)
        filter.namespaces = (0..<56).map { "n\($0)" }
        let data = try JSONEncoder().encode(filter)
        #expect(try JSONDecoder().decode(FlowFilter.self, from: data) == filter)
        filter.kinds = [.opened]
        let more = try JSONEncoder().encode(filter)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(FlowFilter.self, from: more) }
    }

    @Test(arguments: [
        ("app", true), ("!app", false), ("app=web", true), ("app==web", true), (" app = web ", true), ("app=", false),
        ("app!=web", false), ("tier!=web", true), ("app in (web, cart)", true), ("app notin (web)", false),
        ("app in (web),tier notin (a),!canary", true), ("app=web,tier", false), ("", true),
    ])
    func aSelectorMatchesLabels(text: String, matches: Bool) throws {
        #expect(try #require(LabelFilter(text)).matches(["app": "web"]) == matches)
    }

    @Test(arguments: [
        "=web", "app in web", "app in ()", "a b", "app=web,", "!", "app within (a)", "(a)", "tier>3", "tier < 3",
    ])
    func whatIsNoSelectorIsRefused(text: String) { #expect(LabelFilter(text) == nil) }

    @Test(arguments: cases)
    func filtersSurviveJSON(row: Case) throws {
        let data = try JSONEncoder().encode(row.filter)
        #expect(try JSONDecoder().decode(FlowFilter.self, from: data) == row.filter)
    }

    @Test(arguments: [
        ("api.example.com", true), ("API.Example.com.", true), ("*.example.com", true), ("*", true), ("a*e*m", true),
        ("*api*", true), ("example.com", false), ("api.example.comm", false), ("*.api.example.com", false),
        ("api.example.com*api.example.com", false), ("a**m", true), ("b*", false),
    ])
    func namesMatchWholeWithStarsForAnyCharacters(text: String, matches: Bool) throws {
        let filter = try #require(DomainFilter(text))
        #expect(filter.matches("api.example.com") == matches && "\(filter)" == text)
        var asked = FlowFilter()
        asked.names = [filter]
        var (named, answer) = (Sample.flow(), Sample.flow(.dns))
        named.destinationNames = ["other.test", "api.example.com"]
        answer.dns = DNSAnswer(query: "api.example.com", type: 1, code: 3, latency: 1)
        #expect(asked.matches(answer) == matches)
        #expect(asked.matches(named) == matches)
        #expect(!asked.matches(Sample.flow()))
        #expect(try JSONDecoder().decode(FlowFilter.self, from: JSONEncoder().encode(asked)) == asked)
    }

    @Test(arguments: ["", "/", "a/", "/a", "a/b/c", "a*b", "*/a", "a**"])
    func nonsenseIsNoNamePattern(text: String) {
        #expect(NamePattern(text) == nil)
    }

    @Test(arguments: ["a", "a/b", "a-*", "a/b-*", "*"])
    func namePatternsPrintAsTheyWereWritten(text: String) {
        #expect(NamePattern(text)?.description == text)
    }
}
