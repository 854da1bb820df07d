import AgentAPI
import TestSupport
import Testing

extension AgentLifeTests {
    /// Mistakes in manifests are told, and hurt nothing else.
    @Suite(.serialized) struct ManifestErrors {
        @Test func aMistakeIsNamedUntilItIsMendedAndTheRestStaysInForce() async throws {
            try await withShop { shop in
                let good = try shop.agent.manifests.read("services.yaml")
                let (web, db) = (Shop.webAddresses, [shop.lab.pod("db-1")])
                #expect(try await shop.agent.diagnostics().isEmpty)

                // A bad field in the second document.
                try shop.agent.manifests.write(
                    "services.yaml", good.replacing("port: 5432", with: "port: fivefourthreetwo"))
                let field = try await diagnostic(shop.agent) { $0.location == "services.yaml, document 2" }
                #expect(field.object == "Service shop/db" && field.message.contains("spec.ports[0].port"), "\(field)")
                let status = try await shop.agent.apus("status").output
                #expect(status.contains("services.yaml, document 2") && status.contains("Service shop/db"), "\(status)")
                #expect(try await shop.lab.pod("client").ask(web[0], 80, within: .seconds(60)).isAnswered)
                let store = try await shop.lab.pod("web-1").ask(db[0].ipv4, 5432, within: .seconds(60))
                #expect(store.isAnswered)

                // No YAML at all; and a file of its own that never was good.
                try shop.agent.manifests.write("services.yaml", good + "---\n{ unfinished: [\n")
                let syntax = try await diagnostic(shop.agent) { $0.location == "services.yaml, document 3" }
                #expect(!syntax.message.isEmpty)
                try shop.agent.manifests.write("zz.yaml", "kind: Pod\nmetadata:\n  name: [1]\n")
                _ = try await diagnostic(shop.agent) { $0.location?.hasPrefix("zz.yaml") ?? false }
                #expect(try await shop.lab.pod("client").ask(web[1], 80, within: .seconds(60)).isAnswered)

                try shop.agent.manifests.write("services.yaml", good)
                try shop.agent.manifests.remove("zz.yaml")
                try await eventually("silence") { try await shop.agent.diagnostics().isEmpty }
                #expect(try await shop.agent.apus("verify").succeeded)
            }
        }

        @Test func aMisspeltFieldOfAPolicyIsAnErrorAndTheLastGoodVersionStaysInForce() async throws {
            try await withShop { shop in
                let (client, intruder, web) = (shop.lab.pod("client"), shop.lab.pod("intruder"), shop.lab.pod("web-1"))
                // Overlooked, it would let everybody in.
                try shop.agent.manifests.edit("policy-web.yaml", "- from:", to: "- form:")
                let found = try await diagnostic(shop.agent) { $0.message.contains("is not known") }
                #expect(found.location == "policy-web.yaml, document 1", "\(found)")
                #expect(found.object == "NetworkPolicy shop/customers-to-web", "\(found)")
                let kept = "the last good version stays in force"
                #expect(found.message == "spec.ingress[0].form: is not known (\(kept))", "\(found)")
                let shown = try await shop.agent.apus("policy", "get", "shop/customers-to-web").output
                #expect(
                    shown.contains("no, the last good version, which is shown: the newest one is wrong"), "\(shown)")
                #expect(try await !intruder.ask(web.ipv4, 8080, within: .seconds(1)).isAnswered)
                #expect(try await client.ask(web.ipv4, 8080, within: .seconds(60)).isAnswered)
                try shop.agent.manifests.edit("policy-web.yaml", "- form:", to: "- from:")
                try await eventually("silence") { try await shop.agent.diagnostics().isEmpty }
            }
        }

        private func diagnostic(
            _ agent: AgentProcess, where matches: (AgentDiagnostic) -> Bool
        ) async throws -> AgentDiagnostic {
            var found: AgentDiagnostic?
            try await eventually("the diagnostic") {
                let all = try await agent.diagnostics()
                found = all.first(where: matches)
                guard found != nil else { throw LabError("diagnostics", "\(all)") }
                return true
            }
            return try #require(found)
        }
    }
}
