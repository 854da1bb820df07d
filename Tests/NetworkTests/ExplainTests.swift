import AgentAPI
import Addressing
import BPF
import Datapath
import TestSupport
import Testing

extension AgentLifeTests {
    /// `apus policy explain` beside the traffic that it speaks of.
    @Suite(.serialized) struct Explanations {
        /// Asks and expects an exit code and some words.
        private func expect(
            _ shop: Shop, from source: String, to destination: String, _ port: String = "80", status: Int32,
            _ words: String...
        ) async throws {
            let answer = try await shop.agent.apus(
                "policy", "explain", "--from", source, "--to", destination, "--port", port)
            #expect(answer.status == status, "\(answer.output)\(answer.errors)")
            for word in words { #expect(answer.output.contains(word), "\(word): \(answer.output)") }
            #expect(!answer.output.contains("the maps differ"), "\(answer.output)")
        }

        @Test func explanationsAreWhatPacketsMeetWithAndWithoutTheAgent() async throws {
            try await withShop { shop in
                try shop.agent.manifests.write("guard.yaml", Self.guarded)
                let denied = "ClusterNetworkPolicy guard ingress[0] \"keep out\""
                let (client, intruder) = (shop.lab.pod("client"), shop.lab.pod("intruder"))
                for vip in Shop.webAddresses {
                    try await eventually("the client") {
                        try await client.ask(vip, 80, within: .seconds(5)).isAnswered
                    }
                    #expect(try await intruder.ask(vip, 80, within: .milliseconds(400)) == .timedOut)
                    try await expect(
                        shop, from: "visitors/client", to: "\(vip)", status: 0, "customers-to-web ingress[0]")
                    try await eventually("the denial") {
                        let answer = try await shop.agent.apus(
                            "policy", "explain", "--from", "visitors/intruder", "--to", "\(vip)", "--port", "80")
                        return answer.status == 1 && answer.output.contains("denied, by \(denied)")
                    }
                }
                _ = try await intruder.ask(Shop.webAddresses[0], 80, within: .milliseconds(400))
                try await eventually("the flow") {
                    try await shop.agent.apus("flow", "observe", "--verdict", "denied").output.contains(denied)
                }
                let policy = try await shop.agent.apus("policy", "get", "shop/customers-to-web")
                for word in ["selects:", "in force:     yes", "role=customer", "shop/web-1"] {
                    #expect(policy.output.contains(word), "\(word): \(policy.output)\(policy.errors)")
                }
                let id = try #require(try shop.agent.endpoints().first { $0.name?.name == "web-1" }?.ingress)
                let compiled = try await shop.agent.apus("policy", "get", "\(id)")
                #expect(compiled.output.contains("role=customer"), "\(compiled.output)\(compiled.errors)")
                await shop.agent.terminate()
                let late = try await shop.agent.apus("policy", "get", "guard")
                #expect(
                    late.succeeded && late.output.contains("ingress[0] \"keep out\""), "\(late.output)\(late.errors)")
                try await expect(shop, from: "visitors/client", to: "shop/web", "http", status: 0, "visitors/client")
                try await expect(shop, from: "visitors/intruder", to: "shop/web", "http", status: 1, denied)
                try await expect(
                    shop, from: "visitors/client", to: "shop/db-1", "5432", status: 1, "NetworkPolicy shop/default-deny"
                )
            }
        }

        @Test func mapsThatSomebodyChangedAreToldApartFromTheAgentsState() async throws {
            try await withShop(options: ["--drift-interval", "0"]) { shop in
                try await expect(shop, from: "visitors/client", to: "shop/web", status: 0)
                let peers = try BPFMap.open(pinned: "\(shop.agent.bpffs)/maps/policy_peers")
                var keys: [[UInt8]] = []
                try peers.forEachEntry { key, _ in keys.append(key.withUnsafeBytes { Array($0) }) }
                for key in keys { _ = try peers.delete(key.span.bytes) }
                let answer = try await shop.agent.apus(
                    "policy", "explain", "--from", "visitors/client", "--to", "shop/web", "--port", "80")
                #expect(answer.status == 1, "\(answer.output)")
                #expect(answer.output.contains("allowed, by NetworkPolicy shop/customers-to-web ingress[0]"))
                #expect(answer.output.contains("the maps differ: denied, no rule matches"), "\(answer.output)")
            }
        }

        private static let guarded = """
            apiVersion: policy.networking.k8s.io/v1alpha2
            kind: ClusterNetworkPolicy
            metadata: {name: guard}
            spec:
              tier: Admin
              priority: 1
              subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}
              ingress:
              - name: keep out
                action: Deny
                from: [{pods: {podSelector: {matchLabels: {role: scraper}}}}]
              - action: Pass
                from: [{namespaces: {}}]

            """
    }
}
