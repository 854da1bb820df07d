import Addressing
import AgentAPI
import Datapath
import Flows
import Glibc
import JSONText
import TestSupport
import Testing

extension AgentLifeTests {
    /// What happened, with names.
    @Suite(.serialized) struct FlowRecords {
        private static let options = ["--active-interval", "1", "--denial-interval", "1"]

        @Test func openedAndClosedNameWhoAndWhy() async throws {
            try await withShop(options: Self.options) { shop in
                for (vip, covered) in Shop.webAddresses.flatMap({ [($0, true), ($0, false)] }) {
                    let before = try await shop.agent.flows().last?.sequence ?? 0
                    #expect(
                        try await shop.lab.pod("client").ask(vip, 80, within: .seconds(60), covered: covered).isAnswered
                    )
                    let opened = try await shop.agent.flow("the opening") {
                        $0.sequence > before && $0.kind == .opened && $0.service?.frontend == SocketAddress(vip, 80)
                    }
                    expectNames(opened)
                    let closed = try await shop.agent.flow("the end") {
                        $0.sequence > before && $0.kind == .closed && $0.tuple == opened.tuple
                    }
                    expectNames(closed)
                    let counters = try #require(closed.counters)
                    #expect(counters.forward.packets >= 4 && counters.reverse.packets >= 3, "\(counters)")
                    #expect(counters.forward.bytes > 200 && counters.reverse.bytes > 200, "\(counters)")
                    #expect(closed.duration ?? 0 > 0 && closed.ending == .fin, "\(closed)")
                }
                try await expectObserved(shop)
            }
        }

        @Test func theTopTellsWhoTalkedAndWhoWasDenied() async throws {
            try await withShop(options: Self.options) { shop in
                #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80, within: .seconds(60)).isAnswered)
                _ = try await shop.lab.pod("intruder").ask(
                    shop.lab.pod("web-1").ipv4, 8080, within: .milliseconds(400))
                for (key, name, sum) in [
                    ("pod", "visitors/client", "sent_bytes"), ("service", "shop/web:http", "received_bytes"),
                    ("reason", "policy_isolated", "denials"),
                ] {
                    try await eventually("\(name) among the top", every: .milliseconds(200)) {
                        let result = try await shop.agent.apus("flow", "top", "--once", "--by", key, "-o", "json")
                        let rows = try JSONText(result.output.utf8)["rows"]?.elements ?? []
                        guard rows.first(where: { $0["name"]?.string == name })?[sum]?.integer ?? 0 > 0 else {
                            throw LabError("apus flow top", "\(result.output)\(result.errors)")
                        }
                        return true
                    }
                }
            }
        }

        @Test func aDeniedFlowIsToldOnceAnIntervalWithItsCount() async throws {
            try await withShop(options: Self.options) { shop in
                let (intruder, web) = (shop.lab.pod("intruder"), shop.lab.pod("web-1"))
                let load = try intruder.traffic(
                    ["load", "--udp", "--rate", "50", "--timeout-ms", "1", "--seconds", "3.5", "\(web.ipv4)", "8080"])
                _ = await load.exit()
                let flow = try await shop.agent.flow("several denials") { $0.kind == .denied && $0.count > 5 }
                #expect(flow.source.name == "intruder" && flow.destination.name == "web-1", "\(flow)")
                #expect(flow.dropReason == "policy_isolated" && flow.verdict == .dropped)
                // Two policies isolate it; either may be named.
                let rule = try #require(flow.ingressRule?.parts)
                #expect(rule.kind == "NetworkPolicy" && rule.namespace == "shop" && rule.index == nil, "\(rule)")
                #expect(["default-deny", "customers-to-web"].contains(rule.name), "\(rule)")
                let records = try await shop.agent.flows().filter { $0.kind == .denied && $0.tuple.ipProtocol == .udp }
                let times = records.map(\.time).sorted()
                // A second each; the one that tells of the rest may come while a packet makes the data path tell.
                let seconds = Int((try #require(times.last) - times[0]) / 1_000_000_000)
                #expect((2...seconds + 2).contains(records.count), "\(records.map(\.count)) in \(seconds) s")
            }
        }

        @Test func everyDeniedPacketIsToldWithoutWaitingForAnother() async throws {
            try await withShop(options: Self.options) { shop in
                let (intruder, web) = (shop.lab.pod("intruder"), shop.lab.pod("web-1"))
                // All within the interval of the first one's report.
                let load = try intruder.traffic(
                    ["load", "--udp", "--rate", "50", "--timeout-ms", "1", "--count", "25", "\(web.ipv4)", "8080"])
                _ = await load.exit()
                let dropped = try shop.agent.drops(.policyIsolated)
                #expect(dropped > 2)
                try await eventually("the flows to tell of \(dropped) packets", every: .milliseconds(100)) {
                    let denied = try await shop.agent.flows().filter { $0.dropReason == "policy_isolated" }
                    guard denied.reduce(0, { $0 + $1.count }) == dropped else {
                        throw LabError("flows", "\(denied.map(\.count))")
                    }
                    return true
                }
                let last = try await shop.agent.flow("the rest") { $0.kind == .denied && $0.count > 1 }
                #expect(last.source.name == "intruder" && last.destination.name == "web-1", "\(last)")
                let rule = try #require(last.ingressRule?.parts)
                #expect(["default-deny", "customers-to-web"].contains(rule.name) && rule.index == nil, "\(rule)")
                #expect(try shop.agent.drops(.policyIsolated) == dropped, "no further packet made it tell")
            }
        }

        @Test func aLongConnectionIsReportedAgainAndAgain() async throws {
            try await withShop(options: Self.options) { shop in
                let held = try await shop.lab.pod("client").hold(Shop.webAddresses[0], 80)
                try await eventually("three reports", every: .milliseconds(100)) {
                    try await shop.agent.flows().count { $0.kind == .active } >= 3
                }
                await held.stop()
                let active = try await shop.agent.flows().filter { $0.kind == .active }
                let packets = active.compactMap(\.counters?.forward.packets)
                #expect(packets == packets.sorted() && Set(packets).count == packets.count, "\(packets)")
                for flow in active { expectNames(flow) }
            }
        }

        @Test func lostRecordsAreRecords() async throws {
            try await withShop(options: ["--map-size-events", "4096"]) { shop in
                let client = shop.lab.pod("client")
                // The agent sleeps, the ring fills up, and when it wakes it says what is missing.
                shop.agent.process?.signal(SIGSTOP)
                let report = try await client.load(Shop.webAddresses[0], 80, options: ["--count", "200"])
                shop.agent.process?.signal(SIGCONT)
                #expect(report.ok == 200, "a full ring costs no packet: \(report)")
                let lost = try await shop.agent.flow("a loss") { $0.kind == .lost }
                #expect(lost.loss?.source == .kernelRing && lost.count > 50, "\(lost)")
                let counters = try DatapathReader(bpffs: shop.agent.bpffs).eventCounters()
                #expect(try await shop.agent.client.status().evidence.lostInKernel == counters.lost)

                // What is lost while no agent runs is told by the next one, and only that.
                await shop.agent.kill()
                let alone = try await client.load(Shop.webAddresses[0], 80, options: ["--count", "200"])
                #expect(alone.ok == 200, "\(alone)")
                let total = try DatapathReader(bpffs: shop.agent.bpffs).eventCounters().lost
                try shop.agent.start()
                try await shop.agent.ready()
                let later = try await shop.agent.flow("a loss from before the start") { $0.kind == .lost }
                #expect(later.count > 50 && later.count <= total - counters.lost, "\(later), \(total), \(counters)")
            }
        }

        /// Packets of TCP with these flags, and no others of these, that come to a host.
        private struct Dropped {
            var flags: String
            var address: IPAddress

            var rule: [String] { ["INPUT", "-p", "tcp", "--tcp-flags", flags, flags, "-j", "DROP"] }

            func begin(on host: LabHost) async throws { _ = try await host.output([tool, "-A"] + rule) }

            func end(on host: LabHost) async throws { _ = try await host.output([tool, "-D"] + rule) }

            private var tool: String { address.isIPv4 ? "iptables" : "ip6tables" }
        }

        /// Waits until both ends of a connection have sent something again, as far as that is wanted.
        private func expectAgain(_ shop: Shop, _ ends: [String]) async throws {
            try await eventually("what is sent again", every: .milliseconds(100)) {
                let list = try await shop.agent.apus("connection", "list", "-o", "json")
                return try JSONText(list.output.utf8).elements.contains { row in
                    ends.allSatisfy { row["retransmissions"]?[$0]?.integer ?? 0 > 0 }
                }
            }
        }

        @Test(arguments: [(0, true), (0, false), (1, true)])
        func dataThatIsSentAgainIsCounted(family: Int, covered: Bool) async throws {
            try await withShop(options: Self.options) { shop in
                // Servers get no data, only handshakes, until the client has sent it again.
                let data = Dropped(flags: "PSH", address: Shop.webAddresses[family])
                for pod in Shop.webPods { try await data.begin(on: shop.lab.pod(pod)) }
                let asking = try shop.lab.pod("client").traffic(
                    ["ask", "--tcp", "--timeout-ms", "60000", "\(data.address)", "80"], covered: covered)
                try await expectAgain(shop, ["forward"])
                for pod in Shop.webPods { try await data.end(on: shop.lab.pod(pod)) }
                #expect(await asking.exit().succeeded)
                let closed = try await shop.agent.flow("the end") { $0.kind == .closed && $0.service?.name == "web" }
                #expect(closed.retransmissions?.forward ?? 0 > 0 && closed.retransmissions?.reverse == 0, "\(closed)")
                let (handshake, duration) = (closed.handshake ?? 0, closed.duration ?? 0)
                #expect(handshake > 0 && handshake < duration, "\(closed)")
            }
        }

        @Test func aHandshakeThatIsSentAgainIsCountedAndHasNoTime() async throws {
            try await withShop(options: Self.options) { shop in
                let client = shop.lab.pod("client")
                let answer = Dropped(flags: "SYN,ACK", address: Shop.webAddresses[0])
                try await answer.begin(on: client)
                let asking = try client.traffic(["ask", "--tcp", "--timeout-ms", "60000", "\(answer.address)", "80"])
                try await expectAgain(shop, ["forward", "reverse"])
                try await answer.end(on: client)
                #expect(await asking.exit().succeeded)
                let closed = try await shop.agent.flow("the end") { $0.kind == .closed && $0.service?.name == "web" }
                let again = try #require(closed.retransmissions)
                #expect(again.forward > 0 && again.reverse > 0 && closed.handshake == nil, "\(closed)")
            }
        }

        @Test func whatTheNodeSendsAgainIsCounted() async throws {
            try await withShop(options: Self.options) { shop in
                let (node, web) = (shop.lab.node("node-a"), shop.lab.pod("web-1"))
                let data = Dropped(flags: "PSH", address: web.ipv4)
                try await data.begin(on: web)
                let asking = try node.traffic(["ask", "--tcp", "--timeout-ms", "60000", "\(web.ipv4)", "8080"])
                try await expectAgain(shop, ["forward"])
                try await data.end(on: web)
                #expect(await asking.exit().succeeded)
            }
        }

        @Test func withDetailOfPacketsEachOneIsTold() async throws {
            try await withShop(options: Self.options + ["--flow-detail", "packets"]) { shop in
                #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80, within: .seconds(60)).isAnswered)
                let closed = try await shop.agent.flow("the end") { $0.kind == .closed && $0.service?.name == "web" }
                let counters = try #require(closed.counters)
                let flows = try await shop.agent.flows().filter { $0.tuple == closed.tuple && $0.time <= closed.time }
                let packets = flows.filter { $0.kind == .packet }
                // The opening tells of the first one.
                #expect(flows.count { $0.kind == .opened } == 1)
                let out = packets.reduce(1) { $0 + ($1.counters?.forward.packets ?? 0) }
                let back = packets.reduce(0) { $0 + ($1.counters?.reverse.packets ?? 0) }
                #expect(out == counters.forward.packets && back == counters.reverse.packets, "\(packets)")
                for packet in packets { expectNames(packet) }
                let shown = try await shop.agent.apus("flow", "observe", "--kind", "packet", "--last", "20")
                #expect(shown.output.contains("packet back SYN ACK"), "\(shown.output)\(shown.errors)")
            }
        }

        @Test func withoutDetailNothingIsToldAndPolicyHolds() async throws {
            try await withShop(options: Self.options + ["--flow-detail", "none"]) { shop in
                #expect(try await shop.lab.pod("client").ask(Shop.webAddresses[0], 80, within: .seconds(60)).isAnswered)
                let intruder = try await shop.lab.pod("intruder").ask(
                    shop.lab.pod("web-1").ipv4, 8080, within: .milliseconds(400))
                #expect(intruder == .timedOut)
                // Long enough for what looks at connections and denied packets to find them.
                let held = try await shop.lab.pod("client").hold(Shop.webAddresses[0], 80)
                try await eventually("a connection that is older than some looks", every: .milliseconds(100)) {
                    let list = try await shop.agent.apus("connection", "list", "-o", "json")
                    return try JSONText(list.output.utf8).elements.contains {
                        $0["state"]?.string == "established" && $0["opened_ns_ago"]?.integer ?? 0 > 4_000_000_000
                    }
                }
                await held.stop()
                #expect(try await shop.agent.flows().isEmpty)
                #expect(try await shop.agent.metric("hubble_flows_processed_total", [:]) ?? 0 == 0)
                let shown = try await shop.agent.apus("flow", "observe")
                #expect(shown.errors.contains("--flow-detail"), "\(shown.output)\(shown.errors)")
                #expect(try shop.agent.drops(.policyIsolated) > 0)
            }
        }

        private func expectNames(_ flow: Flow) {
            #expect(flow.source.namespace == "visitors" && flow.source.name == "client", "\(flow)")
            #expect(flow.destination.namespace == "shop" && Shop.webPods.contains(flow.destination.name ?? ""))
            #expect(flow.service?.namespace == "shop" && flow.service?.name == "web", "\(flow)")
            #expect(flow.ingressRule?.text == "NetworkPolicy/shop/customers-to-web/ingress/0", "\(flow)")
            #expect(flow.egressRule == nil)
        }

        /// The CLI shows the same, with the agent and from the pinned maps without it.
        private func expectObserved(_ shop: Shop) async throws {
            let live = try await shop.agent.apus("flow", "observe", "--last", "50")
            #expect(live.succeeded && live.output.contains("customers-to-web"), "\(live.output)\(live.errors)")
            await shop.agent.terminate()
            let late = try await shop.agent.apus("flow", "observe", "--last", "50")
            #expect(late.succeeded && late.output.contains("customers-to-web"), "\(late.output)\(late.errors)")
        }
    }
}
