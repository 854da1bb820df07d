import Addressing
import AgentAPI
import Flows
import HTTPEndpoint
import TestSupport
import Testing

@testable import WebPage

@Suite struct WebPageTests {
    private static let started: UInt64 = 7

    private struct Trouble: Error, CustomStringConvertible { let description = "no status today" }

    private func page(_ hub: FlowHub = FlowHub(capacity: 8), _ change: (inout WebPage.Limits) -> Void = { _ in })
        -> WebPage
    {
        var limits = WebPage.Limits()
        change(&limits)
        return WebPage(
            hub: hub, started: Self.started, limits: limits, now: { 0 }, status: { throw Trouble() },
            policies: { PolicyDetails(refused: ["NetworkPolicy shop/<b>: no"]) })
    }

    private func ask(_ page: WebPage, _ path: String, _ query: String = "", host: String? = "localhost:9991") async
        -> HTTPAnswer
    {
        await page.answer(HTTPQuestion(method: "GET", path: path, query: query, host: host))
    }

    /// Another request may have the only place just then.
    private func askOnceThereIsRoom(_ page: WebPage, _ path: String, _ query: String) async -> HTTPAnswer {
        while true {
            let answer = await ask(page, path, query)
            if answer.status != 503 { return answer }
            await Task.yield()
        }
    }

    private func flow(_ number: UInt8, _ verdict: Flow.Verdict = .forwarded) -> Flow {
        let tuple = FlowTuple(
            source: SocketAddress(IPAddress("10.0.0.\(number)")!, 40000),
            destination: SocketAddress(IPAddress("10.0.1.1")!, 80), ipProtocol: .tcp)
        return Flow(time: 1, kind: .opened, verdict: verdict, direction: .egress, tuple: tuple, node: "a")
    }

    @Test(arguments: ["localhost", "LOCALHOST:1", "127.0.0.1:9991", "127.9.9.9", "[::1]", "[::1]:9991"])
    func theHostItselfMayBeAskedFor(host: String) async {
        #expect(await ask(page(), "/", host: host).status == 200)
    }

    @Test(arguments: [
        nil, "", "example.com", "example.com:9991", "localhost.example.com", "127.0.0.1.example.com", "127.0.0",
        "10.0.0.1:9991", "[::1].example.com", "[::2]",
    ])
    func aNameOfAnotherSiteIsRefused(host: String?) async {
        for path in ["/", "/main.js", "/api/flows", "/api/policies"] {
            let answer = await ask(page(), path, host: host)
            #expect(answer.status == 421 && answer.body.contains("localhost"), "\(path)")
        }
    }

    @Test func everyAnswerKeepsOtherSitesOut() async throws {
        for path in ["/", "/api/flows", "/nothing"] {
            let headers = await ask(page(), path).headers
            #expect(headers["Content-Security-Policy"]?.hasPrefix("default-src 'none'; script-src 'self'") == true)
            #expect(headers["Cross-Origin-Resource-Policy"] == "same-origin")
            #expect(headers["Access-Control-Allow-Origin"] == nil)
        }
    }

    @Test func filesOfThePageAreServedAndNoOthers() async throws {
        for (path, type) in [("/", "text/html"), ("/style.css", "text/css"), ("/main.js", "text/javascript")] {
            let answer = await ask(page(), path)
            #expect(answer.status == 200 && answer.contentType.hasPrefix(type) && !answer.body.isEmpty)
        }
        for path in ["/../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd", "/main.js/", "/Main.js", "", "/index"] {
            #expect(await ask(page(), path).status == 404, "\(path)")
        }
    }

    @Test func thePageNamesOnlyFilesThatThereAre() async throws {
        let paths = Set(PageFile.allCases.map(\.rawValue))
        for file in PageFile.allCases {
            for match in file.answer.body.matches(of: #/(?:from |src=|href=)"\.?(\/[^"]*)"/#) {
                #expect(paths.contains(String(match.1)), "\(file.rawValue) names \(match.1)")
            }
            #expect(!file.answer.body.contains("innerHTML"), "\(file.rawValue) makes markup of data")
        }
    }

    @Test(arguments: [
        ("port=http", "port: 'http' is not a port from 0 to 65535"),
        ("port=65536", "port: '65536' is not a port from 0 to 65535"),
        ("verdict=maybe", "verdict: 'maybe' is not forwarded, dropped or audit"),
        ("protocol=ip6", "protocol: 'ip6' is not TCP, UDP"), ("pod=a%2Fb%2Fc", "pod: 'a/b/c' is not a name"),
        ("ip=10.0.0", "ip: '10.0.0' is not an address"), ("cursor=7", "cursor: '7' was never given out"),
        ("wait=-1", "wait: '-1' is no number"), ("colour=red", "colour: there is no such field"),
        ("pod=%zz", "query: a field is NAME=VALUE"), ("pod", "query: a field is NAME=VALUE"),
        ("text=" + String(repeating: "a", count: 257), "text: a value has at most 256 bytes"),
        (String(repeating: "port=1&", count: 65), "query: at most 64 fields"),
    ])
    func aFilterThatIsWrongIsRefusedByItsName(query: String, problem: String) async {
        let answer = await ask(page(), "/api/flows", query)
        #expect(answer.status == 400 && answer.body.contains(problem), "\(answer.body)")
    }

    @Test func fieldsOfOneNameWidenAndOthersNarrow() throws {
        let request = try FlowRequest("verdict=dropped&verdict=audit&pod=shop%2Fweb-*&text=A+b&namespace=&wait=3")
        #expect(request.filter.verdicts == [.dropped, .audit])
        #expect(request.filter.pods.map(\.description) == ["shop/web-*"])
        #expect(request.filter.namespaces.isEmpty)
        #expect(request.text == "a b" && request.wait == .seconds(3))
    }

    @Test func aPageBeginsWithTheLastFlowsAndGoesOnFromThere() async throws {
        let hub = FlowHub(capacity: 8)
        for number in UInt8(1)...5 { hub.append(flow(number, number == 2 ? .dropped : .forwarded)) }
        let page = page(hub) { $0.flows = 2 }
        let first = await page.page(try FlowRequest(""))
        #expect(first.flows.map(\.sequence) == [4, 5] && first.cursor == "7-6-5")
        #expect(await page.page(try FlowRequest("verdict=dropped")).flows.map(\.sequence) == [2])
        #expect(await page.page(try FlowRequest("text=10.0.0.3%3A")).flows.map(\.sequence) == [3])
        for number in UInt8(6)...8 { hub.append(flow(number)) }
        let second = await page.page(try FlowRequest("cursor=\(first.cursor)"))
        #expect(second.flows.map(\.sequence) == [6, 7] && second.cursor == "7-8-7" && !second.restarted)
        let third = await page.page(try FlowRequest("cursor=\(second.cursor)"))
        #expect(third.flows.map(\.sequence) == [8])
        #expect(await page.page(try FlowRequest("cursor=\(third.cursor)")).flows.isEmpty)
    }

    @Test func whatWasOverwrittenIsARecordOfLossWhateverTheFilter() async throws {
        let hub = FlowHub(capacity: 4)
        for number in UInt8(1)...10 { hub.append(flow(number)) }
        let found = await page(hub).page(try FlowRequest("cursor=7-2-1&verdict=dropped"))
        #expect(found.flows.map(\.loss?.count) == [5])
        #expect(found.cursor == "7-11-10")
    }

    @Test func aLossThatWasOverwrittenStandsForAllThatItCounted() async throws {
        let hub = FlowHub(capacity: 4)
        hub.append([flow(1), .lost(100, by: .kernelRing, time: 1, node: "node-a")])
        for number in UInt8(3)...10 { hub.append(flow(number)) }
        let found = await page(hub).page(try FlowRequest("cursor=7-2-1"))
        #expect(found.flows.map(\.loss?.count) == [104, nil, nil, nil, nil] && found.cursor == "7-11-109")
    }

    @Test func aCursorThatNobodyGaveOutHarmsNothing() async throws {
        let hub = FlowHub(capacity: 4)
        for number in UInt8(1)...10 { hub.append(flow(number)) }
        let found = await page(hub).page(try FlowRequest("cursor=7-2-\(UInt64.max)"))
        #expect(found.flows.count == 5)
    }

    @Test(arguments: ["6-3-2", "7-99-98"]) func aCursorFromBeforeARestartBeginsAnew(cursor: String) async throws {
        let hub = FlowHub(capacity: 4)
        hub.append(flow(1))
        let found = await page(hub).page(try FlowRequest("cursor=\(cursor)&wait=9"))
        #expect(found.restarted && found.flows.count == 1 && found.cursor == "7-2-1")
    }

    @Test func aRequestWaitsForAFlowThatMatches() async throws {
        let hub = FlowHub(capacity: 8)
        let page = page(hub) { $0.wait = .patience }
        let request = try FlowRequest("cursor=7-1-0&verdict=dropped&wait=600")
        async let found = page.page(request)
        hub.append([flow(1), flow(2, .dropped)])
        #expect(await found.flows.map(\.sequence) == [2])
    }

    @Test func oneViewerTooManyIsToldSoAndTheOthersAreServed() async throws {
        let hub = FlowHub(capacity: 8)
        let page = page(hub) {
            $0.viewers = 1
            $0.wait = .patience
        }
        async let waiting = askOnceThereIsRoom(page, "/api/flows", "cursor=7-1-0&wait=600")
        try await eventually("the place to be taken") { await ask(page, "/api/flows").status == 503 }
        #expect(await ask(page, "/api/flows").body.contains("1 requests of this kind are open already"))
        #expect(await ask(page, "/api/policies").status == 200)
        hub.append(flow(1))
        #expect(await waiting.status == 200)
        #expect(await ask(page, "/api/flows").status == 200)
    }

    @Test func whatCanNotBeToldIsAnErrorWithItsReason() async {
        let answer = await ask(page(), "/api/status")
        #expect(answer.status == 500 && answer.body == #"{"error":"no status today"}"#)
        #expect(await ask(page(), "/api/policies").body.contains("<b>"))
    }
}
