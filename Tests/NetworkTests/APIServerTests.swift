import AgentAPI
import Foundation
import TestSupport
import Testing

extension AgentLifeTests {
    /// The agent follows an API server, which comes and goes.
    @Suite(.serialized) struct APIServers {
        /// A shop whose agent follows an API server.
        private struct Branch {
            let shop: Shop
            let server: LabAPIServer

            var agent: AgentProcess { shop.agent }
            var client: LabHost { shop.lab.pod("client") }
            var intruder: LabHost { shop.lab.pod("intruder") }
            var db: LabHost { shop.lab.pod("db-1") }
        }

        private func withBranch(_ body: (Branch) async throws -> Void) async throws {
            try await withLab(Shop.plan) { lab in
                let manifests = try ManifestDirectory.shop(lab)
                let server = try LabAPIServer(lab, manifests: manifests)
                try await server.start()
                let agent = AgentProcess(lab, manifests: manifests, apiServer: server)
                try agent.start()
                try await agent.ready()
                let shop = Shop(lab: lab, agent: agent)
                try await shop.openShop()
                try await body(Branch(shop: shop, server: server))
            }
        }

        /// The shop is guarded as its manifests say: customers reach it, intruders do not, by both families.
        private func expectShop(_ branch: Branch, while when: String) async throws {
            for vip in Shop.webAddresses {
                #expect(try await branch.client.ask(vip, 80, within: .seconds(60)).isAnswered, "\(when)")
                #expect(try await branch.intruder.ask(vip, 80, within: .milliseconds(400)) == .timedOut, "\(when)")
            }
        }

        private func origin(_ branch: Branch) async throws -> AgentStatus.Origin? {
            try await branch.agent.client.status().origin
        }

        @Test func whatChangesIsInForceAndTheServersLossChangesNothing() async throws {
            try await withBranch { branch in
                try await expectShop(branch, while: "the server is there")
                #expect(try await branch.agent.apus("verify").succeeded)
                let load = try branch.client.traffic(
                    [
                        "load", "--rate", "50", "--timeout-ms", "60000", "--seconds", "200", "\(Shop.webAddresses[0])",
                        "80",
                    ])

                await branch.server.kill()
                try await eventually("word of the server's loss") {
                    try await origin(branch)?.failingSince != nil
                }
                let text = try await branch.agent.apus("status").output
                #expect(text.contains("API server of \(branch.server.kubeconfig), failing since "), "\(text)")
                // Changes and deletions that nobody can tell the agent of.
                for name in ["policy-db.yaml", "policy-default-deny.yaml"] { try branch.server.manifests.remove(name) }
                try branch.server.manifests.edit("policy-web.yaml", "role: customer", to: "tier: none")
                try await expectShop(branch, while: "the server is away")
                #expect(try await branch.intruder.ask(branch.db.ipv4, 5432, within: .milliseconds(400)) == .timedOut)
                let report = try LoadReport(parsing: (await load.stop()).output)
                #expect(report.failed == 0 && report.ok > 20, "\(report)")

                try await branch.server.start()
                try await eventually("the deletions to be in force") {
                    try await branch.intruder.ask(branch.db.ipv4, 5432, within: .seconds(5)).isAnswered
                }
                try await eventually("the change to be in force") {
                    try await branch.client.ask(Shop.webAddresses[1], 80, within: .milliseconds(400)) == .timedOut
                }
                try await branch.agent.ready()
                #expect(try await origin(branch)?.failingSince == nil)
                #expect(try await branch.agent.apus("verify").succeeded)
            }
        }

        /// How the server is away.
        enum Absence: String, CaseIterable {
            /// Its machine says so.
            case killed
            /// Nobody says anything.
            case cutOff

            /// How long, in seconds: without a word, long enough that the agent finds out.
            var seconds: Int { Self.long ?? (self == .killed ? 3 : 20) }
            /// How long the load waits for an answer, in milliseconds.
            var patience: Int { Self.long == nil ? 60000 : 1000 }

            private static let long = ProcessInfo.processInfo.environment["APUS_ABSENCE_SECONDS"].flatMap(Int.init)

            func begin(_ server: LabAPIServer) async throws {
                switch self {
                case .killed: await server.kill()
                case .cutOff: try await server.cutOff(true)
                }
            }

            func end(_ server: LabAPIServer) async throws {
                switch self {
                case .killed: try await server.start()
                case .cutOff: try await server.cutOff(false)
                }
            }
        }

        @Test(arguments: Absence.allCases)
        func whatChangesWhileTheServerIsAwayIsInForceWhenItIsBack(absence: Absence) async throws {
            try await withBranch { branch in
                try await expectShop(branch, while: "the server is there")
                let load = try branch.client.traffic(
                    [
                        "load", "--rate", "50", "--timeout-ms", "\(absence.patience)", "--seconds", "3600",
                        "\(Shop.webAddresses[0])", "80",
                    ])
                let clock = ContinuousClock()
                let begin = clock.now
                try await absence.begin(branch.server)
                try await eventually("word of the server's loss") {
                    try await origin(branch)?.failingSince != nil
                }
                let noticed = clock.now - begin
                try await clock.sleep(until: begin + .seconds(absence.seconds))
                for name in ["policy-db.yaml", "policy-default-deny.yaml"] { try branch.server.manifests.remove(name) }
                #expect(try await branch.intruder.ask(branch.db.ipv4, 5432, within: .milliseconds(400)) == .timedOut)
                try await absence.end(branch.server)
                let end = clock.now
                try await eventually("the deletions to be in force", every: .zero) {
                    try await branch.intruder.ask(branch.db.ipv4, 5432, within: .milliseconds(100)).isAnswered
                }
                let took = clock.now - end
                let report = try LoadReport(parsing: (await load.stop()).output)
                print("\(absence): noticed after \(noticed), in force \(took) after the end; \(report)")
                #expect(report.failed == 0 && report.ok > 20, "\(report)")
                // Far more than it takes, and far less than the time after which watches end by themselves.
                #expect(took < .seconds(60))
                try await eventually("every kind to be followed again") {
                    try await origin(branch)?.failingSince == nil
                }
                try await branch.agent.ready()
                #expect(try await branch.agent.apus("verify").succeeded)
            }
        }

        @Test func theServerIsToldOfTheNodesNetworkAndOfWhatIsNotInForce() async throws {
            try await withBranch { branch in
                try await eventually("the Node's condition") {
                    let nodes = try await branch.server.get("/api/v1/nodes", from: branch.agent.node)
                    return nodes.contains("\"reason\":\"ApusIsInForce\"")
                        && nodes.contains("\"type\":\"NetworkUnavailable\"")
                }
                let path = "/api/v1/events"
                #expect(try await branch.server.get(path, from: branch.agent.node).contains("\"items\":[]"))
                try branch.server.manifests.edit("policy-db.yaml", "port: 5432", to: "port: 99999")
                try await eventually("an Event about the policy", every: .milliseconds(200)) {
                    let events = try await branch.server.get(path, from: branch.agent.node)
                    return events.contains("\"reason\":\"Invalid\"") && events.contains("\"kind\":\"NetworkPolicy\"")
                        && events.contains("\"type\":\"Warning\"")
                }
                try branch.server.manifests.edit("policy-db.yaml", "port: 99999", to: "port: 5432")
                try await eventually("an Event about its end", every: .milliseconds(200)) {
                    try await branch.server.get(path, from: branch.agent.node).contains("\"reason\":\"Mended\"")
                }
                #expect(try await branch.agent.metric("apus_api_writes_total", ["what": "event"]) ?? 0 >= 2)
                #expect(try await branch.agent.metric("apus_api_writes_total", ["what": "node_status"]) == 1)
                #expect(try await branch.agent.metric("apus_api_write_failures_total") == 0)
            }
        }

        @Test func whatAPolicyOfALaterVersionSaysIsNeverMoreThanWhatIsKnownOfIt() async throws {
            try await withBranch { branch in
                try await expectShop(branch, while: "all is known")
                // A field in the place of the peers: without it, everybody would be let in.
                try branch.server.manifests.edit("policy-web.yaml", "- from:", to: "- form:")
                let closed = "spec.ingress[0].form: is not known to this version of Apus: the rule admits nothing"
                try await eventually("the field to be named") {
                    try await branch.agent.diagnostics().contains {
                        $0.object == "NetworkPolicy shop/customers-to-web" && $0.message == closed
                    }
                }
                for host in [branch.client, branch.intruder] {
                    #expect(try await host.ask(Shop.webAddresses[0], 80, within: .milliseconds(400)) == .timedOut)
                }
                let labels = ["kind": "NetworkPolicy", "reason": "UnknownField"]
                #expect(try await branch.agent.metric("apus_unprogrammed_objects", labels) == 1)
                let shown = try await branch.agent.apus("policy", "get", "shop/customers-to-web").output
                #expect(shown.contains("not as it is written") && shown.contains(closed), "\(shown)")
                let explained = try await branch.agent.apus(
                    "policy", "explain", "--from", "visitors/client", "--to", "shop/web-1", "--port", "8080"
                ).output
                #expect(explained.contains(closed) && !explained.contains("the maps differ"), "\(explained)")
                try await eventually("an Event about the policy", every: .milliseconds(200)) {
                    let events = try await branch.server.get("/api/v1/events", from: branch.agent.node)
                    return events.contains("\"reason\":\"UnknownField\"") && events.contains(closed)
                }
                // It says nothing of which pods it selects any more: the last good version stays in force.
                try branch.server.manifests.edit("policy-web.yaml", "- form:", to: "- from:")
                try await expectShop(branch, while: "all is known again")
                let selector = "podSelector:\n    matchLabels"
                try branch.server.manifests.edit(
                    "policy-web.yaml", selector, to: "podSelector:\n    hue: 1\n    matchLabels")
                try await eventually("the selector to be named") {
                    try await branch.agent.diagnostics().contains {
                        $0.message.contains("spec.podSelector.hue") && $0.message.contains("last good version stays")
                    }
                }
                try await expectShop(branch, while: "the last good version is in force")
            }
        }

        @Test func startedWithoutTheServerTheAgentKeepsWhatIsPinnedAndSaysSo() async throws {
            try await withBranch { branch in
                await branch.server.kill()
                await branch.agent.terminate()
                try branch.server.manifests.remove("policy-default-deny.yaml")
                try branch.server.manifests.remove("policy-db.yaml")
                try branch.agent.start()
                try await eventually("the agent to answer") {
                    try await origin(branch)?.failingSince != nil
                }
                #expect(try await origin(branch)?.synced == false)
                let text = try await branch.agent.apus("status").output
                #expect(text.contains("what an earlier start left in force stays"), "\(text)")
                try await expectShop(branch, while: "no server has been seen")
                #expect(try await branch.intruder.ask(branch.db.ipv4, 5432, within: .milliseconds(400)) == .timedOut)

                try await branch.server.start()
                try await branch.agent.ready()
                try await expectShop(branch, while: "the server is there")
                try await eventually("the deletions to be in force") {
                    try await branch.intruder.ask(branch.db.ipv4, 5432, within: .seconds(5)).isAnswered
                }
                #expect(try await branch.agent.apus("verify").succeeded)
            }
        }
    }
}
