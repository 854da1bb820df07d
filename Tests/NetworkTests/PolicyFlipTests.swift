import Addressing
import Datapath
import Flows
import TestSupport
import Testing

extension TrafficTests {
    /// Live connections with checked bytes, while the agent puts one change of a policy after the other in force.
    @Suite(.serialized) struct PolicyFlips {
        private static let schedule = FlipSchedule(seconds: 3)
        private static let file = "policy-flip.yaml"

        /// Admits somebody beside the customers: the intruder, or nobody that there is.
        private static func policy(_ role: String) -> String {
            """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: flip, namespace: shop}
            spec:
              podSelector: {matchLabels: {app: web}}
              ingress:
              - from: [{namespaceSelector: {}, podSelector: {matchLabels: {role: \(role)}}}]
                ports: [{port: http}]
            """
        }

        private static let admitting = policy("scraper")
        private static let denying = policy("nobody")

        @Test func liveConnectionsFollowAPolicyThatFlipsAHundredTimesASecond() async throws {
            try await withShop(options: ["--denial-interval", "1"]) { shop in
                try shop.agent.manifests.write(Self.file, Self.admitting)
                let (client, intruder, web) = (shop.lab.pod("client"), shop.lab.pod("intruder"), shop.lab.pod("web-1"))
                for address in web.addresses {
                    try await eventually("an open door") {
                        try await intruder.ask(address, 8080, within: .seconds(5)).isAnswered
                    }
                }
                let allowed = try await herds(of: client, to: web)
                let flipped = try await herds(of: intruder, to: web)
                #expect(try live(client, web, shop) == 2 * Self.connections)
                #expect(try live(intruder, web, shop) == 2 * Self.connections)
                let before = try endpoint(of: web, shop).generation
                let report = try await flip(shop, intruder, web)
                #expect(report.flips.isOnTime && report.passedWhileDenied == 0, "\(report)")
                #expect(report.droppedWhileDenied > 0, "nothing was put to the test: \(report)")
                let generations = try endpoint(of: web, shop).generation - before
                #expect(generations >= report.flips.made, "each change judges live connections anew")

                // Denied in the end: what comes from then on is dropped, every packet of it.
                try await put(Self.denying, in: shop, for: web)
                let (denied, dropped) = (try counts(of: intruder, shop), try shop.agent.drops(.policyIsolated))
                try await eventually("packets of all denied connections") {
                    try shop.agent.drops(.policyIsolated) > dropped + UInt64(2 * Self.connections)
                }
                #expect(try passed(of: intruder, since: denied, shop) == 0)

                // Allowed again: none was lost by it, and no byte of any.
                try await put(Self.admitting, in: shop, for: web)
                try await eventually("live connections again") {
                    try passed(of: intruder, since: denied, shop) > UInt64(20 * Self.connections)
                }
                #expect(try live(client, web, shop) + live(intruder, web, shop) == 4 * Self.connections)
                let results = [try await self.report(allowed), try await self.report(flipped)]
                print("\(report), \(generations) generations; allowed: \(results[0]); flipped: \(results[1])")
                let clients = Set(client.addresses)
                let losses = try await shop.agent.flows().filter { flow in
                    flow.verdict == .dropped
                        && !clients.isDisjoint(with: [flow.tuple.source.address, flow.tuple.destination.address])
                }
                #expect(losses.isEmpty, "\(losses.first.map { "\($0)" } ?? "")")
            }
        }

        /// What became of the flips.
        private struct FlipReport: CustomStringConvertible {
            var flips: FlipCount
            /// Packets of denied connections while the change that denies them was in force.
            var passedWhileDenied: UInt64
            var droppedWhileDenied: UInt64

            var description: String {
                "\(flips); \(passedWhileDenied) packets passed and \(droppedWhileDenied) were dropped while denied"
            }
        }

        /// Changes the policy a hundred times a second, and looks what passes while it denies. Reading all connections
        /// takes as long as a change, so that the long form looks in every fourth such state.
        private func flip(_ shop: Shop, _ intruder: LabHost, _ web: LabHost) async throws -> FlipReport {
            var (passed, dropped): (UInt64, UInt64) = (0, 0)
            var denied: (packets: [FlowTuple: UInt64], dropped: UInt64)?
            let flips = try await Self.schedule.run { number in
                if let denied {
                    passed += try self.passed(of: intruder, since: denied.packets, shop)
                    dropped += try shop.agent.drops(.policyIsolated) - denied.dropped
                }
                let isDenying = !number.isMultiple(of: 2)
                try await put(isDenying ? Self.denying : Self.admitting, in: shop, for: web)
                let isLooking = number % (Self.schedule.isTimed ? 8 : 2) == 1
                denied = isLooking ? (try counts(of: intruder, shop), try shop.agent.drops(.policyIsolated)) : nil
            }
            return FlipReport(flips: flips, passedWhileDenied: passed, droppedWhileDenied: dropped)
        }

        /// Writes a policy, and returns when it judges the pod.
        private func put(_ policy: String, in shop: Shop, for pod: LabHost) async throws {
            let before = try endpoint(of: pod, shop)
            try shop.agent.manifests.write(Self.file, policy)
            try await eventually("the change to be in force", every: .milliseconds(1)) {
                let now = try endpoint(of: pod, shop)
                return now.ingress != before.ingress && now.generation != before.generation
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

        /// Packets, either way, of each connection that a pod has opened.
        private func counts(of pod: LabHost, _ shop: Shop) throws -> [FlowTuple: UInt64] {
            let own = try DatapathReader(bpffs: shop.agent.bpffs).connections()
                .filter { pod.addresses.contains($0.tuple.source.address) }
            return Dictionary(own.map { ($0.tuple, $0.source.sent.packets + $0.destination.sent.packets) }) {
                max($0, $1)
            }
        }

        /// The packets since a look at the connections; one that has ended since has no say.
        private func passed(
            of pod: LabHost, since before: [FlowTuple: UInt64], _ shop: Shop
        ) throws -> UInt64 {
            try counts(of: pod, shop).reduce(0) { sum, now in
                guard let old = before[now.key], now.value > old else { return sum }
                return sum + now.value - old
            }
        }

        /// The live connections from one pod to another.
        private func live(_ client: LabHost, _ server: LabHost, _ shop: Shop) throws -> Int {
            try DatapathReader(bpffs: shop.agent.bpffs).connections().count {
                client.addresses.contains($0.tuple.source.address)
                    && server.addresses.contains($0.tuple.destination.address) && $0.tuple.destination.port == 8080
                    && $0.state == .established
            }
        }

        /// The pod as the maps have it; each change that reaches its live connections adds one to its generation.
        private func endpoint(of pod: LabHost, _ shop: Shop) throws -> EndpointReading {
            let endpoint = try shop.agent.endpoints().first { !pod.addresses.filter($0.addresses.contains).isEmpty }
            return try #require(endpoint)
        }
    }
}
