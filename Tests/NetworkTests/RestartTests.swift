import Addressing
import AgentAPI
import BPF
import Datapath
import Foundation
import Glibc
import LinuxKernel
import TestSupport
import Testing

extension AgentLifeTests {
    /// The agent ends and starts again, and packets don't notice.
    @Suite(.serialized) struct Restarts {
        @Test func afterSIGTERMTheDataPathGoesOnAndTheNextStartAdoptsIt() async throws {
            try await withShop { shop in
                let client = shop.lab.pod("client")
                let held = try await holdEverything(client)
                let before = try shop.agent.endpoints()
                let result = await shop.agent.terminate()
                #expect(result?.ending == .exited(0), "\(shop.agent.logged.suffix(2000))")
                try await expectService(shop, while: "the agent is away")

                try shop.agent.start()
                try await shop.agent.ready()
                let after = try shop.agent.endpoints()
                #expect(after.map(\.identity) == before.map(\.identity))
                #expect(after.map(\.slot) == before.map(\.slot))
                let verify = try await shop.agent.apus("verify")
                #expect(verify.succeeded, "\(verify.output)")
                try await expectService(shop, while: "adopted")
                try await expectUnbroken(held)
            }
        }

        @Test func whatChangesWhileTheAgentIsAwayIsInForceAfterItsStart() async throws {
            try await withShop { shop in
                await shop.agent.terminate()
                try shop.agent.manifests.edit("policy-web.yaml", "role: customer", to: "role: scraper")
                try shop.agent.start()
                try await shop.agent.ready()
                let (client, intruder) = (shop.lab.pod("client"), shop.lab.pod("intruder"))
                for vip in Shop.webAddresses {
                    #expect(try await intruder.ask(vip, 80, within: .seconds(60)).isAnswered)
                    #expect(try await client.ask(vip, 80, within: .milliseconds(500)) == .timedOut)
                }
                #expect(try await shop.agent.apus("verify").succeeded)
            }
        }

        @Test func killedFiftyTimesUnderLoadItLosesNoConnection() async throws {
            try await withShop { shop in
                let client = shop.lab.pod("client")
                let (v4, v6) = (Shop.webAddresses[0], Shop.webAddresses[1])
                let loads = try [
                    load(client, v4, ["--hold"], covered: true), load(client, v6, ["--hold"], covered: false),
                    load(client, v6, [], covered: true), load(client, v4, [], covered: false),
                ]
                for round in 0..<50 {
                    // At ever other points of its start, and after it.
                    try await Task.sleep(for: .milliseconds(20 + round * 97 % 1500))
                    await shop.agent.kill()
                    try shop.agent.start()
                }
                try await shop.agent.ready()
                for load in loads {
                    let report = try LoadReport(parsing: (await load.stop()).output)
                    #expect(report.failed == 0 && report.ok > 100, "\(load.command.suffix(8)): \(report)")
                }
                let verify = try await shop.agent.apus("verify")
                #expect(verify.succeeded, "\(verify.output)")
                try await expectService(shop, while: "after the last start")
            }
        }

        @Test func mapsOfOtherSizesTakeOverWithoutALostConnection() async throws {
            try await withShop { shop in
                let client = shop.lab.pod("client")
                let held = try await holdEverything(client)
                let loads = try [
                    load(client, Shop.webAddresses[0], [], covered: true),
                    load(client, Shop.webAddresses[1], ["--hold"], covered: false),
                ]
                let before = try shop.agent.endpoints()
                for options in [
                    ["--map-size-connections", "8192", "--map-size-half-open", "1024"],
                    ["--map-size-services", "128", "--map-size-slots", "1024", "--map-size-events", "65536"],
                ] {
                    try await shop.agent.restart(options: options)
                    #expect(try shop.agent.endpoints().map(\.identity) == before.map(\.identity))
                    let verify = try await shop.agent.apus("verify")
                    #expect(verify.succeeded, "\(options): \(verify.output)")
                    try await expectService(shop, while: "\(options)")
                }
                let sizes = try DatapathReader(bpffs: shop.agent.bpffs).maps()
                #expect(sizes.first { $0.name == "services" }?.capacity == 128)
                for load in loads {
                    let report = try LoadReport(parsing: (await load.stop()).output)
                    #expect(report.failed == 0 && report.ok > 20, "\(load.command.suffix(8)): \(report)")
                }
                try await expectUnbroken(held)
            }
        }

        @Test func aStartWithABrokenPolicyFileKeepsThePoliciesInForce() async throws {
            try await withShop { shop in
                let web = shop.lab.pod("web-1")
                let good = try shop.agent.manifests.read("policy-web.yaml")
                // Nothing but the policy that will be broken isolates the pods.
                try shop.agent.manifests.remove("policy-default-deny.yaml")
                try await eventually("one policy less") {
                    try await !shop.agent.apus("policy list").output.contains("default-deny")
                }
                await shop.agent.terminate()
                try shop.agent.manifests.write("policy-web.yaml", "{ unfinished: [\n")
                try shop.agent.start()
                try await shop.agent.ready()
                #expect(try await shop.agent.diagnostics().contains { $0.object == "Node node-a" })
                for address in web.addresses {
                    let denied = try await shop.lab.pod("intruder").ask(address, 8080, within: .milliseconds(500))
                    #expect(denied == .timedOut)
                    let admitted = try await shop.lab.pod("client").ask(address, 8080, within: .seconds(60))
                    #expect(admitted == .answered("web-1"))
                }
                #expect(try await shop.agent.apus("verify").succeeded)
                let database = shop.lab.pod("db-1").ipv4
                #expect(try await web.ask(database, 5432, within: .seconds(60)) == .answered("db-1"))
                #expect(try await shop.lab.pod("client").ask(database, 5432, within: .milliseconds(500)) == .timedOut)

                try shop.agent.manifests.write("policy-web.yaml", good)
                try await eventually("a full view") { try await shop.agent.diagnostics().isEmpty }
                let denied = try await shop.lab.pod("intruder").ask(web.ipv4, 8080, within: .milliseconds(500))
                #expect(denied == .timedOut)
                #expect(try await shop.agent.apus("verify").succeeded)
            }
        }

        @Test func anUpgradeToOtherMapsWaitsForTheViewToBeFull() async throws {
            try await withShop { shop in
                let web = shop.lab.pod("web-1")
                let good = try shop.agent.manifests.read("policy-web.yaml")
                // Nothing but the policy that will be broken isolates the pods.
                try shop.agent.manifests.remove("policy-default-deny.yaml")
                try await eventually("one policy less") {
                    try await !shop.agent.apus("policy list").output.contains("default-deny")
                }
                await shop.agent.terminate()
                // The version is the first number of the only element; that one had other policies.
                let info = try BPFMap.open(pinned: "\(shop.agent.bpffs)/maps/datapath_info")
                var value: [UInt8] = []
                try info.forEachEntry { _, bytes in value = bytes.withUnsafeBytes { Array($0) } }
                value[0] = 9
                let key: [UInt8] = [0, 0, 0, 0]
                try info.update(key.span.bytes, value.span.bytes)
                try shop.agent.manifests.write("policy-web.yaml", "{ unfinished: [\n")
                try shop.agent.start()
                try await eventually("word that it waits") {
                    try await shop.agent.diagnostics().contains { $0.message.contains("of another version of Apus") }
                }
                for address in web.addresses {
                    let denied = try await shop.lab.pod("intruder").ask(address, 8080, within: .milliseconds(500))
                    #expect(denied == .timedOut)
                    let admitted = try await shop.lab.pod("client").ask(address, 8080, within: .seconds(60))
                    #expect(admitted == .answered("web-1"))
                }

                try shop.agent.manifests.write("policy-web.yaml", good)
                try await shop.agent.ready()
                try await eventually("a full view") { try await shop.agent.diagnostics().isEmpty }
                let denied = try await shop.lab.pod("intruder").ask(web.ipv4, 8080, within: .milliseconds(500))
                #expect(denied == .timedOut)
                #expect(try await shop.agent.apus("verify").succeeded)
            }
        }

        @Test func aSecondAgentOnTheSamePinsIsRefusedAndTouchesNothing() async throws {
            try await withShop { shop in
                // Of another size, so that it would make maps beside those in use.
                let second = try await shop.agent.runSecond(options: ["--map-size-services", "128"])
                #expect(!second.succeeded && second.errors.contains("an agent works with"), "\(second.errors)")
                #expect(!FileManager.default.fileExists(atPath: "\(shop.agent.bpffs)/maps-next"))
                #expect(try await shop.agent.apus("verify").succeeded)
                try await expectService(shop, while: "the first one goes on")
            }
        }

        @Test func cleanupRemovesAllOfOursAndNothingElse() async throws {
            try await withShop { shop in
                let other = "\(shop.lab.bpffs)/other"
                let map = try #require(try DatapathReader(bpffs: shop.agent.bpffs).maps().first?.name)
                // Somebody else's pin beside ours.
                try BPFMap.open(pinned: "\(shop.agent.bpffs)/maps/\(map)").pin(at: other)
                #expect(try attachedPrograms(shop.agent.node) > 0)
                let early = try await shop.agent.cleanUp()
                #expect(!early.succeeded && early.errors.contains("stop it first"), "\(early.errors)")
                // A slip in the pins' place takes nothing of the agent that listens.
                let slip = try await shop.agent.cleanUp(bpffs: "\(shop.lab.bpffs)/nowhere")
                #expect(!slip.succeeded && slip.errors.contains("stop it first"), "\(slip.errors)")
                #expect(try await shop.agent.apus("verify").succeeded)
                // Killed, it leaves its socket behind.
                await shop.agent.kill()
                #expect(FileManager.default.fileExists(atPath: shop.agent.socket))
                let inside = "\(shop.agent.bpffs)/maps/other"
                try BPFMap.open(pinned: other).pin(at: inside)
                let first = try await shop.agent.cleanUp()
                #expect(first.succeeded && !first.output.contains("nothing"), "\(first.errors)")
                #expect(first.output.contains("removed the socket \(shop.agent.socket)"), "\(first.output)")
                #expect(!FileManager.default.fileExists(atPath: shop.agent.socket))
                #expect(FileManager.default.fileExists(atPath: inside))
                try FileManager.default.removeItem(atPath: inside)
                let result = try await shop.agent.cleanUp()
                #expect(result.succeeded, "\(result.errors)")
                #expect(!FileManager.default.fileExists(atPath: shop.agent.bpffs))
                #expect(FileManager.default.fileExists(atPath: other))
                #expect(try attachedPrograms(shop.agent.node) == 0)
                // Nobody judges any more: what was denied is answered now.
                let outcome = try await shop.lab.pod("intruder").ask(
                    shop.lab.pod("web-1").ipv4, 8080, within: .seconds(60))
                #expect(outcome == .answered("web-1"))
                let again = try await shop.agent.cleanUp()
                #expect(again.succeeded && again.output.contains("nothing"), "\(again.output)\(again.errors)")
            }
        }

        /// How many programs are attached to the interfaces of a host, on either side.
        private func attachedPrograms(_ host: LabHost) throws -> Int {
            try NetworkNamespace.run(at: "/run/netns/\(host.namespace)") { () throws(KernelError) in
                var netlink = try Netlink()
                var count = 0
                for interface in try netlink.interfaces() {
                    for side in TrafficSide.allCases {
                        do throws(BPFError) {
                            count += try BPFProgram.attached(toInterface: interface.index, side).count
                        } catch {
                            throw KernelError(operation: error.operation, errno: error.errno, detail: error.detail)
                        }
                    }
                }
                return count
            }
        }

        private func load(
            _ host: LabHost, _ address: IPAddress, _ options: [String], covered: Bool
        ) throws -> ChildProcess {
            try host.traffic(
                ["load", "--rate", "50", "--timeout-ms", "60000", "--seconds", "200"] + options + ["\(address)", "80"],
                covered: covered)
        }

        private func holdEverything(_ client: LabHost) async throws -> [ChildProcess] {
            var held: [ChildProcess] = []
            for vip in Shop.webAddresses {
                for covered in [true, false] { held.append(try await client.hold(vip, 80, covered: covered)) }
            }
            return held
        }

        private func expectUnbroken(_ held: [ChildProcess]) async throws {
            for connection in held {
                let result = await connection.stop()
                #expect(result.succeeded && connection.states == ["connected", "exchanges"], "\(connection.lines)")
            }
        }

        /// New connections are translated, spread and judged as ever.
        private func expectService(_ shop: Shop, while when: String) async throws {
            for vip in Shop.webAddresses {
                for covered in [true, false] {
                    let report = try await shop.lab.pod("client").load(
                        vip, 80, options: ["--count", "20"], covered: covered)
                    #expect(report.ok == 20, "\(when): \(report)")
                }
                let denied = try await shop.lab.pod("intruder").ask(vip, 80, within: .milliseconds(400))
                #expect(denied == .timedOut, "\(when)")
            }
        }
    }
}
