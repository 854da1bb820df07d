import Addressing
import Foundation
import JSONText
import TestSupport
import Testing

extension AgentLifeTests {
    /// The page for browsers, on a node with traffic.
    @Suite(.serialized) struct WebPages {
        private func withPage(_ body: (Shop, Browser) async throws -> Void) async throws {
            try await withShop(options: ["--web-address", "127.0.0.1:9991"]) { shop in
                let browser = try await Browser(shop.lab)
                try await body(shop, browser)
                await browser.close()
            }
        }

        @Test func aBrowserShowsWhoTalksToWhomTheFlowsAndThePolicies() async throws {
            try await withPage { shop, browser in
                try await makeFlows(shop)
                try await browser.open("http://localhost:9991/#view=map&namespace=visitors&paused")
                try await browser.says("paused")
                try await eventually("the policies") { try await !browser.texts("#policies h2").isEmpty }
                let document = try await browser.evaluate("return document.body.outerHTML").string ?? ""
                let edges = document.matches(of: #/<g class="edge[^>]*>/#).map { String($0.0) }
                for (from, to, verdict) in [
                    ("visitors/client", "shop/web", "allowed"), ("visitors/intruder", "shop/web-1", "denied"),
                ] {
                    let ends = "data-from=\"\(from)\" data-to=\"\(to)\" data-verdict=\"\(verdict)\""
                    #expect(edges.contains { $0.contains(ends) }, "\(ends): \(edges)")
                }
                #expect(document.contains("<g class=\"node service\""), "no Service")
                let rows = try await browser.rows()
                #expect(rows.contains { $0.contains("visitors/intruder") && $0.contains("policy_isolated") }, "\(rows)")
                #expect(!rows.contains { $0.contains("shop/db-1") }, "the address' filter was not kept to: \(rows)")
                let policies = try await browser.texts("#policies h2")
                for name in ["customers-to-web", "web-to-db", "default-deny"] {
                    #expect(policies.contains("NetworkPolicy shop/\(name)"), "\(name): \(policies)")
                }
                try await expectPictures(of: browser)
                #expect(try await browser.complaints().isEmpty)
            }
        }

        @Test func aPageThatIsOpenFollowsTheFlowsItsFiltersAndItsButtons() async throws {
            try await withPage { shop, browser in
                try await browser.open("http://localhost:9991/#view=flows")
                try await browser.says("live")
                #expect(try await !browser.rows().contains { $0.contains("visitors/") })
                try await makeFlows(shop)
                try await eventually("flows that were made since", every: .milliseconds(50)) {
                    let rows = try await browser.rows()
                    guard rows.contains(where: { $0.contains("visitors/client") && $0.contains("allowed") }),
                        rows.contains(where: { $0.contains("visitors/intruder") && $0.contains("denied") })
                    else { throw LabError("look at the rows", "\(rows)") }
                    return true
                }
                try await expectRates(shop, browser)
                try await expectFilters(browser)
                try await expectPause(shop, browser)
                #expect(try await browser.complaints().isEmpty)
                try await browser.type("http", into: "[name=port]")
                try await eventually("a word about the filter", every: .milliseconds(50)) {
                    try await browser.texts("#mistake") == ["port: 'http' is not a port from 0 to 65535"]
                }
            }
        }

        /// Sums of flows that nobody could make in a lab: as the page itself makes them.
        @Test func aRateIsWhatCameInTheLastMinuteHoweverBusyALineIs() async throws {
            try await withPage { _, browser in
                try await browser.open("http://localhost:9991/#paused")
                let sums = try await browser.evaluate(
                    """
                    const ends = { source: { namespace: "a", name: "b", kind: "pod", address: "10.0.0.1", port: 1 },
                      destination: { namespace: "c", name: "d", kind: "pod", address: "10.0.0.2", port: 80 } };
                    const at = (second, more) => ({ ...ends, ...more, verdict: "forwarded", protocol: "TCP",
                      time: new Date(second * 1000).toISOString() });
                    const closed = { kind: "closed", counters: { forward: { bytes: 4 }, reverse: { bytes: 3 } } };
                    const flows = [];
                    for (let second = 1000; second < 1120; second += 1 / 64) {
                      flows.push(at(second, { kind: "opened" }), at(second, closed));
                    }
                    return (async () => {
                      const { ServiceMap } = await import("/map.js");
                      const map = new ServiceMap();
                      return [[flows, 1119], [[], 1149], [[], 1178], [[], 1179]].map(([more, now]) => {
                        map.add(more, now);
                        return map.current().map((edge) => `${edge.flows} ${edge.bytes}`).join();
                      });
                    })();
                    """)
                #expect(
                    sums.elements.compactMap(\.string) == [60, 30, 1, 0].map { "\($0 * 64) \($0 * 64 * 7)" }, "\(sums)")
            }
        }

        @Test func aWrongFilterAndAForeignNameAreRefusedAndTheAgentGoesOn() async throws {
            try await withShop(options: ["--web-address", "127.0.0.1:9991"]) { shop in
                let wrong = try await shop.agent.http("127.0.0.1:9991/api/flows?port=http")
                #expect(wrong.status == 400 && wrong.body.contains("port: 'http'"), "\(wrong.body)")
                let foreign = try await shop.agent.node.run(
                    ["curl", "-sS", "-H", "Host: example.com", "http://127.0.0.1:9991/api/policies"], covered: false)
                #expect(foreign.output.contains("served as localhost only"), "\(foreign)")
                #expect(try await shop.agent.http("127.0.0.1:9991/api/status").status == 200)
            }
        }

        private func makeFlows(_ shop: Shop) async throws {
            #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80).isAnswered)
            _ = try await shop.lab.pod("intruder").ask(
                shop.lab.pod("web-1").ipv4, 8080, within: .milliseconds(400))
            let database = shop.lab.pod("db-1").ipv4
            #expect(try await shop.lab.pod("web-1").ask(database, 5432).isAnswered)
            for query in ["pod=visitors%2Fclient", "pod=shop%2Fdb-1", "pod=visitors%2Fintruder&verdict=dropped"] {
                try await eventually("flows of \(query)", every: .milliseconds(50)) {
                    try await shop.agent.http("127.0.0.1:9991/api/flows?\(query)").body.contains("sequence")
                }
            }
        }
    }
}

extension AgentLifeTests.WebPages {
    /// Each view is drawn: a PNG as wide as the window, with something on it that is on no other.
    private func expectPictures(of browser: Browser) async throws {
        var pictures: Set<Data> = []
        for view in ["map", "flows", "policies"] {
            try await browser.press("[data-view=\(view)]")
            let picture = try await browser.picture()
            #expect(picture.prefix(4) == Data([0x89, 0x50, 0x4E, 0x47]), "\(view)")
            #expect([UInt8](picture[16..<20]) == [0, 0, 5, 0], "\(view): not 1280 wide")
            #expect(picture.count > 20_000, "\(view): \(picture.count) bytes")
            pictures.insert(picture)
        }
        #expect(pictures.count == 3)
    }

    /// A line of the map has its rate. Rates end with their minute, so each look has a connection of its own.
    private func expectRates(_ shop: Shop, _ browser: Browser) async throws {
        try await browser.press("[data-view=map]")
        let line = "[data-from='visitors/client'][data-to='shop/web'][data-verdict=allowed] > text"
        try await eventually("the rate of a line") {
            _ = try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80)
            let words = try await browser.texts(line)
            guard words.contains(where: { $0.wholeMatch(of: /[1-9][0-9]*\/min/) != nil }),
                words.contains(where: { $0.wholeMatch(of: /[0-9.]+ (B|KiB)\/min/) != nil })
            else { throw LabError("look at the map", "\(words)") }
            return true
        }
        try await browser.press("[data-view=flows]")
    }

    /// A filter that is chosen and one that is typed narrow the rows and stand in the address, until they are cleared.
    private func expectFilters(_ browser: Browser) async throws {
        func rows(_ what: String, _ condition: ([String]) -> Bool) async throws {
            try await eventually("rows: \(what)", every: .milliseconds(50)) {
                let rows = try await browser.rows()
                guard condition(rows) else { throw LabError("look at the rows", "\(rows)") }
                return true
            }
        }
        try await browser.type("denied", into: "[name=verdict]")
        try await rows("denied alone") { rows in
            rows.contains { $0.contains("visitors/intruder") } && rows.allSatisfy { $0.contains("denied") }
        }
        try await browser.type("visitors/client", into: "[name=pod]")
        try await rows("none") { $0.isEmpty }
        try await eventually("a word that there are none", every: .milliseconds(50)) {
            try await browser.texts("#no-flows") == ["No flow matches yet."]
        }
        let address = try await browser.evaluate("return location.hash").string
        #expect(address == "#pod=visitors%2Fclient&verdict=dropped&view=flows")
        try await browser.press("[type=reset]")
        try await rows("all again") { rows in
            ["visitors/intruder", "visitors/client", "shop/db-1"].allSatisfy { name in
                rows.contains { $0.contains(name) }
            }
        }
    }

    /// What comes while the page stands still is not shown, and is when it goes on.
    private func expectPause(_ shop: Shop, _ browser: Browser) async throws {
        try await browser.press("#pause")
        try await browser.says("paused")
        let before = try await browser.rows()
        // More than once, so that a page that asks for flows would have had the first ones.
        for _ in 0..<3 {
            let flows = try await shop.agent.flows().count
            #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80).isAnswered)
            try await eventually("the agent to have a flow", every: .milliseconds(200)) {
                try await shop.agent.flows().count > flows
            }
        }
        #expect(try await browser.rows() == before)
        try await browser.press("#pause")
        try await browser.says("live")
        try await eventually("rows of what came meanwhile", every: .milliseconds(50)) {
            try await browser.rows().count >= before.count + 3
        }
    }
}

extension Browser {
    /// The rows of the table of flows, the newest first.
    fileprivate func rows() async throws -> [String] { try await texts("#rows > tr") }

    /// Waits for what the page says of itself.
    fileprivate func says(_ state: String) async throws {
        try await eventually("the page to be \(state)", every: .milliseconds(50)) {
            let words = try await texts("#state")
            guard words == [state] else { throw LabError("look at the page", "\(words)") }
            return true
        }
    }
}
