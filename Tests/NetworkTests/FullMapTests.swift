import Addressing
import AgentAPI
import Datapath
import TestSupport
import Testing

extension AgentLifeTests {
    /// What does not fit into the maps is closed and named, and nothing else suffers.
    @Suite(.serialized) struct FullMaps {
        private static let options = ["--map-size-policy", "64"]
        private static let file = "policy-ports.yaml"

        /// One policy of the database with more ports than the map of ports has entries.
        private static var policy: String {
            let ports = (0..<100).map { "{port: \(10_000 + 2 * $0)}" }.joined(separator: ", ")
            return """
                apiVersion: networking.k8s.io/v1
                kind: NetworkPolicy
                metadata: {name: many-ports, namespace: shop}
                spec:
                  podSelector: {matchLabels: {app: db}}
                  ingress: [{ports: [\(ports)]}]

                """
        }

        @Test func anEndpointInForceIsClosedAndNamedAndOpensAgainWithRoom() async throws {
            try await withShop(options: Self.options) { shop in
                let (web, db) = (shop.lab.pod("web-1"), shop.lab.pod("db-1"))
                let held = try await web.hold(db.ipv4, 5432)
                try shop.agent.manifests.write(Self.file, Self.policy)
                try await expectClosed(shop)
                try await held.reaches("stalled")

                try shop.agent.manifests.remove(Self.file)
                try await eventually("silence") { try await shop.agent.diagnostics().isEmpty }
                #expect(try await web.ask(db.ipv6, 5432, within: .seconds(60)).isAnswered)
                try await held.reaches("resumed")
                let list = try await shop.agent.apus("endpoint", "list").output
                #expect(!list.contains("closed"), "\(list)")
                #expect(try await shop.agent.apus("verify").succeeded)
            }
        }

        @Test func anEndpointThatIsNewIsNeverOpen() async throws {
            try await withLab(Shop.plan) { lab in
                let manifests = try ManifestDirectory.shop(lab)
                try manifests.write(Self.file, Self.policy)
                let agent = AgentProcess(lab, manifests: manifests, options: Self.options)
                let shop = Shop(lab: lab, agent: agent)
                try await shop.openShop()
                try agent.start()
                try await expectClosed(shop)
            }
        }

        /// One policy of the database with more rules than any may have.
        private static var long: String {
            let rules = (0...16_384).map { "{\"ports\":[{\"port\":\(10_000 + $0)}]}" }.joined(separator: ",")
            return "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\","
                + "\"metadata\":{\"name\":\"long\",\"namespace\":\"shop\"},\"spec\":{\"podSelector\":"
                + "{\"matchLabels\":{\"app\":\"db\"}},\"ingress\":[\(rules)]}}"
        }

        @Test func moreRulesThanCanBeProgrammedCloseThePodThatHasThemAndNobodyElse() async throws {
            try await withShop { shop in
                let (web, db) = (shop.lab.pod("web-1"), shop.lab.pod("db-1"))
                let held = try await web.hold(db.ipv4, 5432)
                try shop.agent.manifests.write("policy-long.json", Self.long)
                let problem = "spec.ingress: pod shop/db-1 has more than 16384 rules with this policy"
                try await expectOverlong(shop, problem)
                try await held.reaches("stalled")
                try await expectDatabaseClosed(shop)
                try await expectWebServed(shop)
                let explained = try await explanation(shop)
                #expect(explained.contains("NetworkPolicy shop/long can't be put in force as written"), "\(explained)")
                #expect(explained.contains(problem) && !explained.contains("the maps differ"), "\(explained)")

                try shop.agent.manifests.remove("policy-long.json")
                try await eventually("silence") { try await shop.agent.diagnostics().isEmpty }
                try await held.reaches("resumed")
                #expect(try await shop.agent.apus("verify").succeeded)
            }
        }

        /// The policy is named for its field, and the pod and its other policies for being closed.
        private func expectOverlong(_ shop: Shop, _ problem: String) async throws {
            let cause = "more than 16384 rules with NetworkPolicy shop/long"
            let wanted = [
                AgentDiagnostic(object: "NetworkPolicy/shop/long", message: problem),
                AgentDiagnostic(
                    object: "endpoint shop/db-1", message: "closed: its ingress is dropped, as it has \(cause)"),
                AgentDiagnostic(
                    object: "NetworkPolicy/shop/web-to-db",
                    message: "not in force for pods of this node, whose ingress is dropped: they have \(cause)"),
            ]
            try await eventually("the pod and its policies to be named") {
                let found = try await shop.agent.diagnostics()
                guard wanted.allSatisfy(found.contains) else { throw LabError("diagnostics", "\(found)") }
                return true
            }
            for (kind, reason, count) in [
                ("NetworkPolicy", "Invalid", 1.0), ("Pod", "Closed", 1), ("NetworkPolicy", "Closed", 2),
            ] {
                let labels = ["kind": kind, "reason": reason]
                #expect(try await shop.agent.metric("apus_unprogrammed_objects", labels) == count, "\(labels)")
            }
            let row = try await shop.agent.apus("endpoint", "list").output.split(separator: "\n").filter {
                $0.contains("closed")
            }
            #expect(row.map { $0.contains(" db-1 ") } == [true], "\(row)")
            let listed = try await shop.agent.apus("policy", "list").output
            let excess = "closed: more rules than can be programmed, with NetworkPolicy shop/long"
            #expect(listed.contains("ingress  \(excess)\n    judges shop/db-1\n"), "\(listed)")
            let got = try await shop.agent.apus("policy", "get", "shop/web-to-db").output
            #expect(got.contains("in force:     no\n    shop/db-1: ingress is \(excess)\n"), "\(got)")
        }

        /// What is said of a connection to the database, which some rule would allow.
        private func explanation(_ shop: Shop) async throws -> String {
            let answer = try await shop.agent.apus(
                "policy", "explain", "--from", "shop/web-1", "--to", "shop/db-1", "--port", "5432")
            #expect(answer.status == 1, "\(answer.output)\(answer.errors)")
            return answer.output
        }

        /// More peers that the database must not serve than a map has room for.
        struct Crowd: Sendable, CustomTestStringConvertible {
            let option: String
            let map: String
            /// What the peers are that find no room.
            let prefix: String
            /// The kind of the policy that speaks of them, and how many of the kind the database has.
            let kind: String
            let policies: Double
            let manifest: String

            var testDescription: String { option }
        }

        private static let crowds = [
            Crowd(
                option: "--map-size-peers", map: "peer_classes", prefix: "peers 10.244.9.",
                kind: "ClusterNetworkPolicy", policies: 1, manifest: pods),
            Crowd(
                option: "--map-size-prefixes", map: "peer_prefixes", prefix: "peers 100.64.", kind: "NetworkPolicy",
                policies: 3, manifest: blocks),
        ]

        /// Pods that are denied: without their class they would be anyone.
        private static var pods: String {
            let pods = (1...100).map { number in
                """
                ---
                apiVersion: v1
                kind: Pod
                metadata: {name: crowd-\(number), namespace: shop, uid: crowd-\(number), labels: {app: crowd}}
                spec: {nodeName: node-z, containers: []}
                status: {phase: Running, podIP: 10.244.9.\(number), podIPs: [{ip: 10.244.9.\(number)}]}

                """
            }
            return """
                apiVersion: policy.networking.k8s.io/v1alpha2
                kind: ClusterNetworkPolicy
                metadata: {name: no-crowd}
                spec:
                  tier: Admin
                  priority: 1
                  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}
                  ingress:
                  - {action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: crowd}}}}]}

                """ + pods.joined()
        }

        /// Blocks that are excepted: without their class they would be a part of the block that is allowed.
        private static var blocks: String {
            let exceptions = (1...100).map { "100.64.\(2 * $0).0/24" }.joined(separator: ", ")
            return """
                apiVersion: networking.k8s.io/v1
                kind: NetworkPolicy
                metadata: {name: no-crowd, namespace: shop}
                spec:
                  podSelector: {matchLabels: {app: db}}
                  ingress: [{from: [{ipBlock: {cidr: 100.64.0.0/16, except: [\(exceptions)]}}]}]

                """
        }

        @Test(arguments: crowds)
        func aClassOfPeersWithoutRoomClosesWhoKnowsItUntilThereIsRoom(crowd: Crowd) async throws {
            try await withShop(options: [crowd.option, "64"]) { shop in
                let (web, db) = (shop.lab.pod("web-1"), shop.lab.pod("db-1"))
                let held = try await web.hold(db.ipv4, 5432)
                try shop.agent.manifests.write("crowd.yaml", crowd.manifest)
                try await expectNamed(shop)
                let guarding = ["kind": crowd.kind, "reason": "Closed"]
                #expect(try await shop.agent.metric("apus_unprogrammed_objects", guarding) == crowd.policies)
                let found = try await shop.agent.diagnostics()
                let full = "map \(crowd.map) is full (\(crowd.option))"
                let named = found.filter { $0.message == full }
                #expect(named.count == 1 && named[0].object.hasPrefix(crowd.prefix), "\(found)")
                try await held.reaches("stalled")
                try await expectOthersServed(shop)

                try shop.agent.manifests.remove("crowd.yaml")
                try await eventually("silence") { try await shop.agent.diagnostics().isEmpty }
                try await held.reaches("resumed")
                #expect(try await web.ask(db.ipv6, 5432, within: .seconds(60)).isAnswered)
                #expect(try await shop.agent.apus("verify").succeeded)
            }
        }

        @Test func aPodWithoutRoomAmongTheEndpointsIsClosedAndNamed() async throws {
            // Slot 0 is nobody's: room for five of six pods.
            let options = ["--map-size-endpoints", "6"]
            try await withLab(Shop.plan) { lab in
                let agent = AgentProcess(lab, manifests: try .shop(lab), options: options)
                let shop = Shop(lab: lab, agent: agent)
                try await shop.openShop()
                for name in ["client", "intruder"] { try await lab.pod(name).serve(port: 9000) }
                try agent.start()
                let closed = try await podWithoutRoom(agent)
                let labels = ["kind": "Pod", "reason": "MapFull"]
                #expect(try await agent.metric("apus_unprogrammed_objects", labels) == 1)
                let port: Port = closed.hasPrefix("web") ? 8080 : closed.hasPrefix("db") ? 5432 : 9000
                let node = lab.host("node-a")
                for address in lab.pod(closed).addresses {
                    #expect(try await node.ask(address, port, within: .milliseconds(500)) == .timedOut)
                    #expect(
                        try await lab.pod(closed).ask(node.addresses[0], port, within: .milliseconds(500)) == .timedOut)
                }
                #expect(try agent.drops(.unknownEndpoint) > 0)
                for name in Shop.webPods + ["db-1", "client", "intruder"] where name != closed {
                    let port: Port = name.hasPrefix("web") ? 8080 : name.hasPrefix("db") ? 5432 : 9000
                    for address in lab.pod(name).addresses {
                        #expect(try await node.ask(address, port, within: .seconds(60)).isAnswered, "\(name)")
                    }
                }
            }
        }

        /// The pod that is told to find no room, which is the only one.
        private func podWithoutRoom(_ agent: AgentProcess) async throws -> String {
            var closed: [String] = []
            try await eventually("a pod to be named") {
                let found = try await agent.diagnostics()
                closed = found.filter { $0.message == "map endpoints is full (--map-size-endpoints)" }.map(\.object)
                guard !closed.isEmpty else { throw LabError("diagnostics", "\(found)\n\(agent.logged.suffix(2000))") }
                return true
            }
            try #require(closed.count == 1 && closed[0].split(separator: "/").count == 2, "\(closed)")
            return String(closed[0].split(separator: "/")[1])
        }

        private func expectClosed(_ shop: Shop) async throws {
            try await expectNamed(shop)
            let found = try await shop.agent.diagnostics()
            // One for each map, for the pod's direction and for each of its policies.
            #expect(Set(found).count == found.count && found.count <= 7, "\(found)")
            #expect(found.contains { $0.object.hasPrefix("policy NetworkPolicy/shop/") && $0.message.contains("full") })
            try await expectOthersServed(shop)
            let labels = ["kind": "NetworkPolicy", "reason": "Closed"]
            #expect(try await shop.agent.metric("apus_unprogrammed_objects", labels) ?? 0 > 0)
            let explained = try await explanation(shop)
            #expect(explained.contains("the maps differ: denied, its policy is not in the maps"), "\(explained)")
            #expect(explained.contains("not in force: closed: its ingress is dropped"), "\(explained)")
            #expect(explained.contains("is full (--map-size-policy)"), "\(explained)")
        }

        /// The database, and nobody else, is told to be closed.
        private func expectNamed(_ shop: Shop) async throws {
            try await eventually("the pod to be named") {
                let found = try await shop.agent.diagnostics()
                guard found.contains(where: { $0.object == "endpoint shop/db-1" && $0.message.hasPrefix("closed") })
                else { throw LabError("diagnostics", "\(found)\n\(shop.agent.logged.suffix(2000))") }
                return true
            }
            let status = try await shop.agent.apus("status").output
            #expect(status.contains("endpoint shop/db-1: closed: its ingress is dropped"), "\(status)")
            try await eventually("verify to tell it") {
                let verify = try await shop.agent.apus("verify")
                return verify.status == 1 && verify.output.contains("endpoint shop/db-1: not written")
            }
            let rows = try await shop.agent.apus("endpoint", "list").output.split(separator: "\n")
            #expect(rows.filter { $0.contains("closed") }.map { $0.contains(" db-1 ") } == [true], "\(rows)")
        }

        /// The database answers nobody, the web those that it should.
        private func expectOthersServed(_ shop: Shop) async throws {
            try await expectDatabaseClosed(shop)
            #expect(try shop.agent.drops(.policyMissing) > 0)
            try await expectWebServed(shop)
        }

        private func expectDatabaseClosed(_ shop: Shop) async throws {
            for address in shop.lab.pod("db-1").addresses {
                for host in ["web-1", "intruder"] {
                    let outcome = try await shop.lab.pod(host).ask(address, 5432, within: .milliseconds(500))
                    #expect(outcome == .timedOut, "\(host) \(address)")
                }
            }
        }

        private func expectWebServed(_ shop: Shop) async throws {
            let (client, intruder) = (shop.lab.pod("client"), shop.lab.pod("intruder"))
            for vip in Shop.webAddresses {
                #expect(try await client.ask(vip, 80, within: .seconds(60)).isAnswered)
                #expect(try await intruder.ask(vip, 80, within: .milliseconds(500)) == .timedOut)
            }
        }
    }
}
