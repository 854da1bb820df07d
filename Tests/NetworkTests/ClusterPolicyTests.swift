import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// ClusterNetworkPolicy before and after the shop's NetworkPolicies.
    @Suite(.serialized) struct ClusterPolicies {
        private static let file = "cluster.yaml"

        private static func policy(_ name: String, _ specification: String) -> String {
            """
            apiVersion: policy.networking.k8s.io/v1alpha2
            kind: ClusterNetworkPolicy
            metadata: {name: \(name)}
            spec: \(specification)

            """
        }

        private static func namespace(_ name: String) -> String {
            "namespaces: {matchLabels: {kubernetes.io/metadata.name: \(name)}}"
        }

        @Test func theAdminTierDecidesBeforeNetworkPolicyUntilItPasses() async throws {
            try await withShop { shop in
                try await expect(shop, client: true, intruder: false)
                try shop.agent.manifests.write(
                    Self.file,
                    Self.policy(
                        "no-visitors",
                        """
                        {tier: Admin, priority: 5, subject: {\(Self.namespace("shop"))},
                          ingress: [{action: Deny, from: [{\(Self.namespace("visitors"))}],
                            protocols: [{destinationNamedPort: http}]}]}
                        """))
                try await expect(shop, client: false, intruder: false)
                try shop.agent.manifests.edit(Self.file, "action: Deny", to: "action: Pass")
                try await expect(shop, client: true, intruder: false)
                try shop.agent.manifests.edit(Self.file, "action: Pass", to: "action: Accept")
                try await expect(shop, client: true, intruder: true)
                let rules = try await shop.agent.apus("policy", "list").output
                #expect(rules.contains("ClusterNetworkPolicy no-visitors ingress[0]"), "\(rules)")
                try shop.agent.manifests.remove(Self.file)
                try await expect(shop, client: true, intruder: false)
                #expect(try await shop.agent.apus("verify").succeeded)
            }
        }

        @Test func theBaselineTierDecidesWhereNoNetworkPolicyIsolates() async throws {
            try await withShop { shop in
                let (intruder, web) = (shop.lab.pod("intruder"), shop.lab.pod("web-1"))
                try await intruder.serve(port: 9000)
                try shop.agent.manifests.write(
                    Self.file,
                    Self.policy(
                        "default",
                        """
                        {tier: Baseline, priority: 0, subject: {\(Self.namespace("visitors"))},
                          ingress: [{action: Deny, from: [{namespaces: {}}]}]}
                        """))
                try await expect(web, asking: intruder, 9000, answered: false)
                try shop.agent.manifests.write(
                    "open.yaml",
                    Manifest.policy("open", "{podSelector: {}, ingress: [{}]}")
                        .replacing("namespace: default", with: "namespace: visitors"))
                try await expect(web, asking: intruder, 9000, answered: true)
            }
        }

        @Test func nodesAreTheAddressesOfTheNodeObjectsThatMatch() async throws {
            try await withShop { shop in
                let (intruder, node) = (shop.lab.pod("intruder"), shop.lab.host("node-a"))
                try await node.serve(port: 9000)
                try await expect(intruder, asking: node, 9000, answered: true)
                try shop.agent.manifests.write(
                    Self.file,
                    Self.policy(
                        "no-nodes",
                        """
                        {tier: Admin, priority: 5, subject: {\(Self.namespace("visitors"))},
                          egress: [{action: Deny, to: [{nodes: {matchLabels: {kubernetes.io/hostname: node-a}}}]}]}
                        """))
                try await expect(intruder, asking: node, 9000, answered: false)
                try shop.agent.manifests.edit(
                    "node.yaml", "kubernetes.io/hostname: node-a", to: "kubernetes.io/hostname: node-b")
                try await expect(intruder, asking: node, 9000, answered: true)
            }
        }

        @Test func aNameThatCannotBeReadAdmitsNothingAndIsTold() async throws {
            try await withShop { shop in
                try shop.agent.manifests.write(
                    Self.file,
                    Self.policy(
                        "by-name",
                        """
                        {tier: Admin, priority: 5, subject: {\(Self.namespace("visitors"))},
                          egress: [{action: Accept, to: [{domainNames: [example]}]},
                            {action: Deny, to: [{namespaces: {}}]}]}
                        """))
                let (client, web, db) = (shop.lab.pod("client"), shop.lab.pod("web-1"), shop.lab.pod("db-1"))
                try await expect(client, asking: web, 8080, answered: false)
                try await expect(web, asking: db, 5432, answered: true)
                let status = try await shop.agent.apus("status").output
                #expect(status.contains("ClusterNetworkPolicy") && status.contains("by-name"), "\(status)")
                #expect(status.contains("spec.egress[0].to[0].domainNames[0]"), "\(status)")
            }
        }

        private func expect(_ shop: Shop, client: Bool, intruder: Bool) async throws {
            let web = shop.lab.pod("web-1")
            try await expect(shop.lab.pod("client"), asking: web, 8080, answered: client)
            try await expect(shop.lab.pod("intruder"), asking: web, 8080, answered: intruder)
        }

        /// Waits until the host is answered, or is not any more, by IPv4 and IPv6.
        private func expect(
            _ host: LabHost, asking target: LabHost, _ port: Port, answered: Bool
        ) async throws {
            for address in target.addresses {
                try await eventually("\(host.name) asking \(address): answered \(answered)") {
                    try await host.ask(address, port, within: answered ? .seconds(5) : .milliseconds(400)).isAnswered
                        == answered
                }
            }
        }
    }
}
