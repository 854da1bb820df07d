import Addressing
import Datapath
import Flows
import Foundation
import TestSupport
import Testing

extension TrafficTests {
    /// Live connections with checked bytes, while the agent puts one change of a policy after the other in force.
    @Suite(.serialized) struct PolicyFlips {
        /// How long policies change; `APUS_SOAK_SECONDS` sets another time.
        private static let seconds = ProcessInfo.processInfo.environment["APUS_SOAK_SECONDS"].flatMap(Int.init) ?? 10
        private static let file = "policy-flip.yaml"
        /// Admits the intruder beside the customers.
        private static let policy = """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: flip, namespace: shop}
            spec:
              podSelector: {matchLabels: {app: web}}
              ingress:
              - from: [{namespaceSelector: {}, podSelector: {matchLabels: {role: scraper}}}]
                ports: [{port: http}]
            """

        @Test func liveConnectionsFollowAPolicyThatFlipsAHundredTimesASecond() async throws {
            try await withShop(options: ["--denial-interval", "1"]) { shop in
                try shop.agent.manifests.write(Self.file, Self.policy)
                let (client, intruder, web) = (shop.lab.pod("client"), shop.lab.pod("intruder"), shop.lab.pod("web-1"))
                for address in web.addresses {
                    try await eventually("an open door") { try await intruder.ask(address, 8080).isAnswered }
                }
                let allowed = try await herds(of: client, to: web)
                let flipped = try await herds(of: intruder, to: web)
                let before = try generation(of: web, shop)
                try await flip(shop)

                // Denied in the end: what comes from then on is dropped, every packet of it.
                try shop.agent.manifests.remove(Self.file)
                try await eventually("a closed door") {
                    try await intruder.ask(web.ipv4, 8080, within: .milliseconds(400)) == .timedOut
                }
                let changes = try generation(of: web, shop) - before
                let (passed, dropped) = (try packets(of: intruder, shop), try shop.agent.drops(.policyIsolated))
                try await eventually("packets of all denied connections") {
                    try shop.agent.drops(.policyIsolated) > dropped + UInt64(2 * Self.connections)
                }
                #expect(try packets(of: intruder, shop) == passed)

                // Allowed again: none was lost by it, and no byte of any.
                try shop.agent.manifests.write(Self.file, Self.policy)
                try await eventually("live connections again") {
                    try packets(of: intruder, shop) > passed + UInt64(20 * Self.connections)
                }
                let results = [try await report(allowed), try await report(flipped)]
                print("\(changes) generations in \(Self.seconds) s; allowed: \(results[0]); flipped: \(results[1])")
                let clients = Set(client.addresses)
                let denied = try await shop.agent.flows().filter { flow in
                    flow.verdict == .dropped
                        && !clients.isDisjoint(with: [flow.tuple.source.address, flow.tuple.destination.address])
                }
                #expect(denied.isEmpty, "\(denied.first.map { "\($0)" } ?? "")")
                #expect(changes > 10, "policies that don't change prove nothing")
            }
        }

        /// Connections of each of the two clients to each of the server's addresses.
        private static let connections = 125

        private func herds(of client: LabHost, to server: LabHost) async throws -> [ChildProcess] {
            var herds: [ChildProcess] = []
            for address in server.addresses {
                let herd = try client.traffic(
                    ["herd", "--count", "\(Self.connections)", "--interval-ms", "50", "\(address)", "8080"])
                try await eventually("a herd") {
                    if let result = herd.result { throw LabError("herd", "\(result.output) \(result.errors)") }
                    return herd.lines.contains("connected")
                }
                herds.append(herd)
            }
            return herds
        }

        /// Ends herds, of which no connection may have closed and no byte been wrong, and returns what they say.
        private func report(_ herds: [ChildProcess]) async throws -> String {
            var reports: [String] = []
            for herd in herds {
                let result = await herd.stop()
                #expect(result.succeeded, "\(result.output)")
                #expect(herd.lines.contains("wrong 0") && herd.lines.contains("closed 0"), "\(herd.lines)")
                #expect(!herd.lines.contains("exchanges 0"))
                reports.append(herd.lines.dropFirst().joined(separator: ", "))
            }
            return reports.joined(separator: "; ")
        }

        /// Writes and removes the file in turn, a hundred times a second.
        private func flip(_ shop: Shop) async throws {
            let clock = ContinuousClock()
            let start = clock.now
            for number in 1...Self.seconds * 100 {
                if number.isMultiple(of: 2) {
                    try shop.agent.manifests.write(Self.file, Self.policy)
                } else {
                    try shop.agent.manifests.remove(Self.file)
                }
                try await clock.sleep(until: start + .milliseconds(10) * number)
            }
        }

        /// Packets, either way, of the connections that a pod has opened.
        private func packets(of pod: LabHost, _ shop: Shop) throws -> UInt64 {
            try DatapathReader(bpffs: shop.agent.bpffs).connections()
                .filter { pod.addresses.contains($0.tuple.source.address) }
                .reduce(0) { $0 + $1.source.sent.packets + $1.destination.sent.packets }
        }

        /// The generation under which live connections of a pod are judged: each change that reaches them adds one.
        private func generation(of pod: LabHost, _ shop: Shop) throws -> UInt32 {
            let endpoint = try shop.agent.endpoints().first { !pod.addresses.filter($0.addresses.contains).isEmpty }
            return try #require(endpoint).generation
        }
    }
}
