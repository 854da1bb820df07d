import AgentAPI
import Addressing
import BPF
import Datapath
import TestSupport
import Testing

extension AgentLifeTests {
    /// Somebody changes the maps behind the agent's back.
    @Suite(.serialized) struct Drift {
        @Test func verifyNamesWhatIsDifferentAndTheAgentRepairsIt() async throws {
            try await withShop(options: ["--drift-interval", "0"]) { shop in
                let maps = ["services", "policy_peers", "peer_classes", "endpoint_addresses", "interfaces", "names"]
                // What waits for its end is nobody's loss, and what the agent writes once more is none: then it is
                // another one's turn.
                var drift = VerifyReport().drift
                try await eventually("every map to differ") {
                    drift = try await shop.agent.client.verify().drift
                    let tables = Set(drift.map(\.table))
                    for name in maps where !tables.contains(name) { try deleteOne(of: name, shop.agent) }
                    if !tables.contains("policy_pages") { try flipOne(of: "policy_pages", shop.agent) }
                    return tables.count == maps.count + 1
                }
                let verify = try await shop.agent.apus("verify", "-o", "json")
                #expect(verify.status == 1)
                for name in maps {
                    #expect(drift.contains { $0.table == name && $0.kind == .missing && $0.actual == nil }, "\(name)")
                    #expect(verify.output.contains(name))
                }
                #expect(drift.contains { $0.table == "policy_pages" && $0.kind == .different })
                #expect(drift.count == maps.count + 1, "\(drift)")

                try await shop.agent.restart(options: ["--drift-interval", "0.5"])
                for name in maps { try deleteOne(of: name, shop.agent) }
                try flipOne(of: "policy_pages", shop.agent)
                try await eventually("the repair") {
                    let left = try await shop.agent.client.verify().drift
                    guard left.isEmpty else { throw LabError("drift", "\(left)\n\(shop.agent.logged.suffix(2000))") }
                    return true
                }
                try await eventually("word of it") {
                    shop.agent.logged.contains("The kernel differed from what is wanted")
                }
                for vip in Shop.webAddresses {
                    #expect(try await shop.lab.pod("client").ask(vip, 80, within: .seconds(60)).isAnswered)
                    #expect(try await shop.lab.pod("intruder").ask(vip, 80, within: .milliseconds(400)) == .timedOut)
                }
            }
        }

        @Test func aRestartRepairsWhatWasChangedMeanwhile() async throws {
            try await withShop { shop in
                await shop.agent.terminate()
                for name in ["services", "policy_peers", "interfaces"] { try deleteOne(of: name, shop.agent) }
                try shop.agent.start()
                try await shop.agent.ready()
                #expect(try await shop.agent.client.verify().isClean)
                for vip in Shop.webAddresses {
                    #expect(try await shop.lab.pod("client").ask(vip, 80, within: .seconds(60)).isAnswered)
                }
            }
        }

        @Test func aProgramThatSomebodyTookOffIsNamedAndPutBack() async throws {
            try await withShop(options: ["--drift-interval", "0"]) { shop in
                let web = shop.lab.pod("web-1")
                let endpoint = try #require(try shop.agent.endpoints().first { $0.addresses.contains(web.ipv4) })
                let links = ["pod-\(endpoint.interface)-from", "pod-\(endpoint.interface)-to", "socket-connect4"]
                for link in links { #expect(try unpin("\(shop.agent.bpffs)/links/\(link)")) }
                let drift = try await shop.agent.client.verify().drift
                #expect(drift.map(\.key) == links.sorted() && drift.allSatisfy { $0.table == "links" }, "\(drift)")
                #expect(try await shop.agent.apus("verify").status == 1)

                try await shop.agent.restart(options: ["--drift-interval", "0.5"])
                #expect(try await shop.agent.client.verify().isClean, "a start attaches what is missing")
                for link in links { #expect(try unpin("\(shop.agent.bpffs)/links/\(link)")) }
                try await eventually("the repair") {
                    try await shop.agent.client.verify().isClean
                }
                let outcome = try await shop.lab.pod("intruder").ask(web.ipv4, 8080, within: .milliseconds(500))
                #expect(outcome == .timedOut)
            }
        }

        @Test func mapsWhosePinsAreGoneAreNamedAndPinnedAgain() async throws {
            try await withShop(options: ["--drift-interval", "0"]) { shop in
                for name in ["services", "denials"] { #expect(try unpin("\(shop.agent.bpffs)/maps/\(name)")) }
                // In its place one that nobody uses.
                let shape = try open("endpoint_addresses", shop.agent).shape
                #expect(try unpin("\(shop.agent.bpffs)/maps/endpoint_addresses"))
                let other = try BPFMap.create(shape, name: "other")
                try other.pin(at: "\(shop.agent.bpffs)/maps/endpoint_addresses")
                let drift = try await shop.agent.client.verify().drift
                #expect(drift.map(\.table) == ["pins", "pins", "pins"], "\(drift)")
                #expect(drift.map(\.key) == ["denials", "endpoint_addresses", "services"])
                #expect(drift.map(\.kind) == [.missing, .different, .missing])
                let verify = try await shop.agent.apus("verify")
                #expect(verify.status == 1 && verify.output.contains("pins services: missing"), "\(verify.output)")

                try await shop.agent.restart(options: ["--drift-interval", "0.5"])
                #expect(try await shop.agent.client.verify().isClean, "a start makes what is missing")
                let maps = try DatapathReader(bpffs: shop.agent.bpffs).maps().map(\.name)
                for name in maps { #expect(try unpin("\(shop.agent.bpffs)/maps/\(name)")) }
                try await eventually("the repair") {
                    try await shop.agent.client.verify().isClean
                }
                #expect(try !DatapathReader(bpffs: shop.agent.bpffs).services().isEmpty)
                let outcome = try await shop.lab.pod("intruder").ask(
                    Shop.webAddresses[0], 80, within: .milliseconds(500))
                #expect(outcome == .timedOut)
            }
        }

        private func open(_ name: String, _ agent: AgentProcess) throws -> BPFMap {
            try BPFMap.open(pinned: "\(agent.bpffs)/maps/\(name)")
        }

        private func firstEntry(of map: borrowing BPFMap) throws -> (key: [UInt8], value: [UInt8]) {
            var first: (key: [UInt8], value: [UInt8])?
            try map.forEachEntry { key, value in
                if first == nil { first = (key.withUnsafeBytes { Array($0) }, value.withUnsafeBytes { Array($0) }) }
            }
            return try #require(first)
        }

        private func deleteOne(of name: String, _ agent: AgentProcess) throws {
            let map = try open(name, agent)
            let key = try firstEntry(of: map).key
            try map.delete(key.span.bytes)
        }

        private func flipOne(of name: String, _ agent: AgentProcess) throws {
            let map = try open(name, agent)
            let (key, old) = try firstEntry(of: map)
            let value = [old[0] ^ 1] + old.dropFirst()
            try map.update(key.span.bytes, value.span.bytes)
        }
    }
}
