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
                let map = try await browser.look(at: "http://localhost:9991/#view=map&paused")
                for (from, to, verdict) in [
                    ("visitors/client", "shop/web", "forwarded"), ("visitors/intruder", "shop/web", "dropped"),
                ] {
                    let edges = map.document.matches(of: #/<g class="edge[^>]*>/#).map { String($0.0) }
                    #expect(
                        edges.contains {
                            $0.contains("data-from=\"\(from)") && $0.contains("data-to=\"\(to)")
                                && $0.contains("data-verdict=\"\(verdict)\"")
                        }, "\(from) to \(to): \(edges)")
                }
                #expect(map.document.contains("<g class=\"node service\""), "no Service")
                // A PNG of the window's size, with something on it.
                #expect(map.picture.prefix(4) == Data([0x89, 0x50, 0x4E, 0x47]))
                #expect([UInt8](map.picture[16..<24]) == [0, 0, 5, 0, 0, 0, 3, 132] && map.picture.count > 20_000)
                #expect(map.complaints.isEmpty, "\(map.complaints)")
                let flows = try await browser.look(at: "http://127.0.0.1:9991/#view=flows&verdict=dropped&paused")
                let rows = flows.document.components(separatedBy: "<tbody id=\"rows\">").last ?? ""
                #expect(rows.contains("visitors/intruder") && rows.contains("policy_isolated"), "\(rows)")
                #expect(!rows.contains("visitors/client"), "a filter was not kept to: \(rows)")
                for name in ["customers-to-web", "web-to-db", "default-deny"] {
                    #expect(flows.document.contains("<h2>NetworkPolicy shop/\(name)</h2>"), "\(name)")
                }
                #expect(flows.complaints.isEmpty, "\(flows.complaints)")
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
            for query in ["pod=visitors%2Fclient", "pod=visitors%2Fintruder&verdict=dropped"] {
                try await eventually("flows of \(query)", every: .milliseconds(50)) {
                    try await shop.agent.http("127.0.0.1:9991/api/flows?\(query)").body.contains("sequence")
                }
            }
        }
    }
}
