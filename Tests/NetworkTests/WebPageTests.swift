import Addressing
import Foundation
import TestSupport
import Testing

extension AgentLifeTests {
    /// The page for browsers, on a node with traffic.
    @Suite(.serialized) struct WebPages {
        @Test func aBrowserShowsWhoTalksToWhomTheFlowsAndThePolicies() async throws {
            try await withShop(options: ["--web-address", "127.0.0.1:9991"]) { shop in
                try await makeFlows(shop)
                let browser = try Browser(shop.lab)
                let sight = try await browser.look(at: "http://localhost:9991/#view=map&namespace=visitors&paused")
                let edges = sight.document.matches(of: #/<g class="edge[^>]*>/#).map { String($0.0) }
                for (from, to, verdict) in [
                    ("visitors/client", "shop/web", "allowed"), ("visitors/intruder", "shop/web-1", "denied"),
                ] {
                    let ends = "data-from=\"\(from)\" data-to=\"\(to)\" data-verdict=\"\(verdict)\""
                    #expect(edges.contains { $0.contains(ends) }, "\(ends): \(edges)")
                }
                #expect(sight.document.contains("<g class=\"node service\""), "no Service")
                let rows = sight.document.firstMatch(of: #/<tbody id="rows">.*?<.tbody>/#.dotMatchesNewlines())?.0 ?? ""
                #expect(rows.contains("visitors/intruder") && rows.contains("policy_isolated"), "\(rows)")
                #expect(!rows.contains("shop/db-1"), "the filter in the address was not kept to: \(rows)")
                for name in ["customers-to-web", "web-to-db", "default-deny"] {
                    #expect(sight.document.contains("<h2>NetworkPolicy shop/\(name)</h2>"), "\(name)")
                }
                // A PNG of the window's size, with something on it.
                #expect(sight.picture.prefix(4) == Data([0x89, 0x50, 0x4E, 0x47]))
                #expect([UInt8](sight.picture[16..<24]) == [0, 0, 5, 0, 0, 0, 3, 132])
                #expect(sight.picture.count > 20_000)
                #expect(sight.complaints.isEmpty, "\(sight.complaints)")
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
