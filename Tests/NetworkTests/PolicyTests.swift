import Addressing
import AgentAPI
import Datapath
import Flows
import TestSupport
import Testing

extension TrafficTests {
    /// NetworkPolicy with the shop's manifests.
    @Suite(.serialized) struct Policies {
        /// Who asks whom, and whether it is answered.
        private struct Case: Sendable {
            var from: String
            var to: String
            var port: Port
            var ipProtocol: IPProtocol = .tcp
            var isAllowed: Bool
        }

        private static let cases = [
            Case(from: "client", to: "web-1", port: 8080, isAllowed: true),
            Case(from: "client", to: "web-1", port: 8081, isAllowed: false),
            Case(from: "client", to: "web-1", port: 8080, ipProtocol: .udp, isAllowed: false),
            Case(from: "client", to: "db-1", port: 5432, isAllowed: false),
            Case(from: "client", to: "intruder", port: 9000, isAllowed: true),
            Case(from: "client", to: "intruder", port: 9000, ipProtocol: .udp, isAllowed: true),
            Case(from: "intruder", to: "web-1", port: 8080, isAllowed: false),
            Case(from: "web-2", to: "db-1", port: 5432, isAllowed: true),
            Case(from: "web-2", to: "web-1", port: 8080, isAllowed: false),
            Case(from: "web-2", to: "intruder", port: 9000, ipProtocol: .udp, isAllowed: true),
            Case(from: "db-1", to: "intruder", port: 9000, isAllowed: false),
            Case(from: "db-1", to: "intruder", port: 9000, ipProtocol: .udp, isAllowed: false),
            Case(from: "db-1", to: "outside", port: 9000, isAllowed: false),
            Case(from: "web-1", to: "outside", port: 9000, isAllowed: true),
            Case(from: "node-a", to: "web-1", port: 8080, isAllowed: true),
            Case(from: "node-a", to: "web-1", port: 8080, ipProtocol: .udp, isAllowed: true),
            Case(from: "node-a", to: "db-1", port: 5432, isAllowed: true),
            Case(from: "outside", to: "web-1", port: 8080, isAllowed: false),
            Case(from: "outside", to: "web-1", port: 8080, ipProtocol: .udp, isAllowed: false),
            Case(from: "outside", to: "intruder", port: 9000, isAllowed: true),
            Case(from: "outside", to: "intruder", port: 9000, ipProtocol: .udp, isAllowed: true),
        ]

        @Test(arguments: ["on", "off"])
        func theShopIsGuardedAsWritten(redirectPeer: String) async throws {
            try await withShop(options: ["--redirect-peer", redirectPeer]) { shop in
                try await openMore(shop)
                try await expectCases(shop)
                try await expectServices(shop)
                #expect(try await shop.agent.apus("verify").succeeded)
            }
        }

        @Test func anEditReachesLiveConnectionsAndNoOthers() async throws {
            try await withShop { shop in
                let client = shop.lab.pod("client")
                let affected = try await hold(Shop.webAddresses, from: client, 80)
                let bystanders = try await hold(shop.lab.pod("db-1").addresses, from: shop.lab.pod("web-1"), 5432)
                try shop.agent.manifests.edit("policy-web.yaml", "role: customer", to: "role: scraper")
                for held in affected { try await held.reaches("stalled") }
                let intruder = shop.lab.pod("intruder")
                for vip in Shop.webAddresses {
                    #expect(try await intruder.ask(vip, 80, within: .seconds(60)).isAnswered)
                }
                try shop.agent.manifests.edit("policy-web.yaml", "role: scraper", to: "role: customer")
                for held in affected { try await held.reaches("resumed") }
                for held in bystanders {
                    let result = await held.stop()
                    #expect(result.succeeded && held.states == ["connected", "exchanges"], "\(held.lines)")
                }
            }
        }

        @Test func openConnectionsAreKeptUntilTheyCloseIfThatIsSet() async throws {
            try await withShop(options: ["--live-connections", "keep"]) { shop in
                let client = shop.lab.pod("client")
                let held = try await hold(Shop.webAddresses, from: client, 80)
                try shop.agent.manifests.edit("policy-web.yaml", "role: customer", to: "role: scraper")
                for vip in Shop.webAddresses {
                    try await eventually("a closed door") {
                        try await client.ask(vip, 80, within: .milliseconds(400)) == .timedOut
                    }
                    #expect(try await shop.lab.pod("intruder").ask(vip, 80, within: .seconds(60)).isAnswered)
                }
                for connection in held { #expect(connection.states == ["connected"], "\(connection.lines)") }
                // The other behaviour reaches what was kept so far …
                try await shop.agent.restart(options: ["--live-connections", "revalidate"])
                for connection in held { try await connection.reaches("stalled") }
                // … and what it cut off does not come back.
                try await shop.agent.restart(options: ["--live-connections", "keep"])
                let drops = try shop.agent.drops(.policyIsolated)
                try await eventually("more attempts") { try shop.agent.drops(.policyIsolated) > drops + 4 }
                for connection in held {
                    #expect(connection.states == ["connected", "stalled"], "\(connection.lines)")
                }
            }
        }

        @Test func anAuditedPolicyReportsWhatItWouldDeny() async throws {
            try await withShop(options: ["--denial-interval", "1"]) { shop in
                let (intruder, web) = (shop.lab.pod("intruder"), shop.lab.pod("web-1"))
                #expect(try await intruder.ask(web.ipv4, 8080, within: .milliseconds(400)) == .timedOut)
                try audit(shop, "policy-web.yaml", "customers-to-web")
                // The namespace's default-deny still isolates: an audited policy beside it opens nothing.
                try await eventually("an audited policy") {
                    let list = try await shop.agent.apus("policy", "list").output
                    return !list.contains("by NetworkPolicy shop/customers-to-web")
                }
                #expect(try await intruder.ask(web.ipv4, 8080, within: .milliseconds(400)) == .timedOut)
                try audit(shop, "policy-default-deny.yaml", "default-deny")
                for address in web.addresses {
                    try await eventually("an open door") {
                        try await intruder.ask(address, 8080, within: .seconds(5)).isAnswered
                    }
                }
                let flow = try await shop.agent.flow("an audited opening") {
                    $0.verdict == .audit && $0.source.name == "intruder" && $0.destination.name == "web-1"
                }
                #expect(flow.kind == .audited && flow.dropReason == "policy_isolated")
                #expect(flow.ingressRule?.description.contains("isolates ingress") == true, "\(flow)")
                #expect(try await shop.agent.apus("policy", "list").output.contains("audits the rest"))
                let explained = try await shop.agent.apus(
                    "policy", "explain", "--from", "visitors/intruder", "--to", "shop/web-1", "--port", "8080")
                #expect(explained.output.contains("would be denied by NetworkPolicy shop/"), "\(explained)")
                #expect(!explained.output.contains("differ"), "\(explained.output)")
                #expect(try await shop.agent.apus("verify").succeeded)

                // A wrong value is an error, and what was in force stays.
                try shop.agent.manifests.edit("policy-web.yaml", #"audit: "true""#, to: #"audit: "yes""#)
                try await eventually("a complaint") {
                    try await shop.agent.diagnostics().contains { $0.message.contains("policy-audit") }
                }
                #expect(try await intruder.ask(web.ipv4, 8080, within: .seconds(60)).isAnswered)
                try shop.agent.manifests.edit("policy-default-deny.yaml", #"audit: "true""#, to: #"audit: "false""#)
                try await eventually("a closed door") {
                    try await intruder.ask(web.ipv4, 8080, within: .milliseconds(400)) == .timedOut
                }
            }
        }

        @Test func aDeletedPolicyIsolatesNoMore() async throws {
            try await withShop { shop in
                let (intruder, db) = (shop.lab.pod("intruder"), shop.lab.pod("db-1"))
                #expect(try await intruder.ask(db.ipv4, 5432, within: .milliseconds(400)) == .timedOut)
                for name in ["policy-db.yaml", "policy-default-deny.yaml"] { try shop.agent.manifests.remove(name) }
                try await eventually("an open door") {
                    try await intruder.ask(db.ipv4, 5432, within: .seconds(5)).isAnswered
                }
                #expect(try await intruder.ask(db.ipv6, 5432, within: .seconds(60)).isAnswered)
            }
        }

        /// Puts the policy of a file into audit mode.
        private func audit(_ shop: Shop, _ file: String, _ name: String) throws {
            try shop.agent.manifests.edit(
                file, "  name: \(name)\n", to: "  name: \(name)\n  annotations: {apus.dev/policy-audit: \"true\"}\n")
        }

        private func openMore(_ shop: Shop) async throws {
            try await shop.lab.pod("web-1").serve(port: 8081)
            try await shop.lab.pod("web-1").serve(port: 8080, over: .udp)
            for host in ["intruder", "outside"] {
                for ipProtocol in [IPProtocol.tcp, .udp] {
                    try await shop.lab.host(host).serve(port: 9000, over: ipProtocol)
                }
            }
        }

        private func expectCases(_ shop: Shop) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for example in Self.cases {
                    group.addTask {
                        let (from, to) = (shop.lab.host(example.from), shop.lab.host(example.to))
                        for address in to.addresses {
                            let outcome = try await from.ask(
                                address, example.port, over: example.ipProtocol,
                                within: example.isAllowed ? .seconds(60) : .milliseconds(500))
                            #expect(
                                outcome == (example.isAllowed ? .answered(example.to) : .timedOut),
                                "\(example) at \(address)")
                        }
                    }
                }
                try await group.waitForAll()
            }
        }

        private func expectServices(_ shop: Shop) async throws {
            for vip in Shop.webAddresses {
                for covered in [true, false] {
                    let report = try await shop.lab.pod("client").load(
                        vip, 80, options: ["--count", "60"], covered: covered)
                    #expect(report.ok == 60 && Set(report.ids.keys) == Set(Shop.webPods), "\(vip) \(covered) \(report)")
                    let denied = try await shop.lab.pod("intruder").ask(
                        vip, 80, within: .milliseconds(400), covered: covered)
                    #expect(denied == .timedOut, "\(vip) \(covered)")
                }
            }
        }

        private func hold(_ addresses: [IPAddress], from host: LabHost, _ port: Port) async throws -> [ChildProcess] {
            var held: [ChildProcess] = []
            for address in addresses {
                for covered in [true, false] {
                    held.append(try await host.hold(address, port, covered: covered))
                }
            }
            return held
        }
    }
}
