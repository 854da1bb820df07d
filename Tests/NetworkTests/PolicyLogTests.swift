import Flows
import Foundation
import JSONText
import TestSupport
import Testing

extension AgentLifeTests {
    /// The policy log of real traffic.
    @Suite(.serialized) struct PolicyLog {
        private static func logging(_ cluster: String) -> String {
            """
            apiVersion: networking.gke.io/v1alpha1
            kind: NetworkLogging
            metadata:
              name: default
            spec:
              cluster: \(cluster)

            """
        }

        @Test func allowedAndDeniedConnectionsAreLoggedOnceTheObjectSaysSo() async throws {
            try await withShop { shop in
                let (agent, log) = (shop.agent, "\(shop.lab.directory)/logs/policy.log")
                try await agent.restart(options: ["--policy-log", log])
                let (client, intruder) = (shop.lab.pod("client"), shop.lab.pod("intruder"))
                #expect(try await client.ask(Shop.webAddresses[0], 80, within: .seconds(60)).isAnswered)
                try await eventually("the flow of the unlogged connection") {
                    try await agent.metric("pod_flow_egress_flows_count", ["source_pod": "client"]) ?? 0 > 0
                }
                #expect(!FileManager.default.fileExists(atPath: log))

                try agent.manifests.write("logging.yaml", Self.logging("{allow: {log: true}, deny: {log: true}}"))
                try await eventually("the object to be read") {
                    try await agent.metric("policy_logging_enabled", ["disposition": "deny"]) == 1
                }
                #expect(try await client.ask(Shop.webAddresses[0], 80, within: .seconds(60)).isAnswered)
                _ = try await intruder.ask(shop.lab.pod("web-1").ipv4, 8080, within: .milliseconds(400))
                let allowed = try await Self.record(in: log, "allow", from: "client")
                #expect(allowed["connection"]?["direction"]?.string == "ingress")
                #expect(allowed["connection"]?["dest_port"]?.integer == 8080)
                #expect(allowed["policies"]?.elements.first?["name"]?.string == "customers-to-web")
                #expect(allowed["dest"]?["pod_name"]?.string?.hasPrefix("web-") == true)
                #expect(allowed["count"]?.integer == 1 && allowed["node_name"]?.string == "node-a")
                let denied = try await Self.record(in: log, "deny", from: "intruder")
                #expect(denied["policies"]?.elements.first?["kind"]?.string == "NetworkPolicy")
                #expect(denied["dest"]?["pod_namespace"]?.string == "shop" && denied["count"]?.integer ?? 0 >= 1)
                #expect(try await agent.metric("policy_logging_records_total") ?? 0 >= 2)
                #expect(try await agent.metric("policy_logging_dropped_events_total", ["reason": "rate"]) == 0)
            }
        }

        /// What waits to be told is written when the agent is stopped, and a disk that is missing harms nothing.
        @Test func aMissingDiskIsCountedAndWhatWaitsIsWrittenAtTheEnd() async throws {
            try await withShop { shop in
                let (agent, place) = (shop.agent, "\(shop.lab.directory)/disk")
                try "no directory".write(toFile: place, atomically: true, encoding: .utf8)
                try agent.manifests.write("logging.yaml", Self.logging("{allow: {log: true}, deny: {log: true}}"))
                try await agent.restart(options: ["--policy-log", "\(place)/policy.log"])
                #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80, within: .seconds(60)).isAnswered)
                try await eventually("the failure to be counted") {
                    try await agent.metric("policy_logging_failures_total", ["operation": "open"]) ?? 0 >= 1
                }
                #expect(agent.logged.components(separatedBy: "Flows are not exported for now").count == 2)
                try FileManager.default.removeItem(atPath: place)
                _ = try await Self.record(in: "\(place)/policy.log", "allow", from: "client")
                _ = try await shop.lab.pod("intruder").ask(
                    shop.lab.pod("web-1").ipv4, 8080, within: .milliseconds(400))
                _ = try await agent.flow("the denied connection") {
                    $0.kind == .denied && $0.source.name == "intruder"
                }
                await agent.terminate()
                _ = try await Self.record(in: "\(place)/policy.log", "deny", from: "intruder")
            }
        }

        /// Waits for a record and returns it.
        private static func record(in path: String, _ disposition: String, from pod: String) async throws -> JSONText {
            var found: JSONText?
            try await eventually("a record of \(pod)", every: .milliseconds(100)) {
                let text = try String(contentsOfFile: path, encoding: .utf8)
                let records = try text.split(separator: "\n").map { try JSONText($0.utf8) }
                found = records.last {
                    $0["disposition"]?.string == disposition && $0["src"]?["pod_name"]?.string == pod
                }
                guard found != nil else { throw LabError("look for a record", text) }
                return true
            }
            guard let found else { throw LabError("look for a record", pod) }
            return found
        }
    }
}
