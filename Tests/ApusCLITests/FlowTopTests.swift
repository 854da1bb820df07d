import Addressing
import AgentAPI
import Flows
import Foundation
import Testing

@testable import ApusCLI

/// Flows of two pods and a resolver's name.
private enum Seen {
    static let second: UInt64 = 1_000_000_000
    static let front = pod("front", 1)
    static let cart = pod("cart", 2)
    static let world = Peer(address: IPAddress(v4: 0xc633_6407))

    static func pod(_ name: String, _ number: UInt32) -> Peer {
        Peer(address: IPAddress(v4: 0x0a01_0000 + number), kind: .pod, namespace: "shop", name: name)
    }

    static func flow(
        _ kind: Flow.Kind, _ source: Peer, _ destination: Peer, port: UInt16 = 40_000, at time: UInt64 = 0,
        _ edit: (inout Flow) -> Void = { _ in }
    ) -> Flow {
        let tuple = FlowTuple(
            source: SocketAddress(source.address, port), destination: SocketAddress(destination.address, 80),
            ipProtocol: .tcp)
        var flow = Flow(
            time: FakeDatapath.now + time * second, kind: kind, verdict: kind == .denied ? .dropped : .forwarded,
            direction: .egress, tuple: tuple, node: "node-a")
        (flow.source, flow.destination) = (source, destination)
        edit(&flow)
        return flow
    }

    /// A record of what a connection has moved so far.
    static func moved(
        _ kind: Flow.Kind, _ sent: UInt64, _ received: UInt64, port: UInt16 = 40_000, at time: UInt64 = 0
    ) -> Flow {
        flow(kind, front, cart, port: port, at: time) {
            $0.counters = FlowCounters(
                forward: .init(packets: 1, bytes: sent), reverse: .init(packets: 1, bytes: received))
            $0.service = FlowService(
                frontend: SocketAddress(IPAddress(v4: 0x0a60_0001), 80), namespace: "shop", name: "cart",
                portName: "http")
            $0.destinationNames = ["cart.example.com"]
        }
    }

    static let denied = flow(.denied, front, world) { ($0.count, $0.dropReason) = (3, "policy_isolated") }
    static let audited = flow(.audited, front, world) { $0.dropReason = "policy_denied" }
    static let all = [
        flow(.opened, front, cart), moved(.active, 100, 10), moved(.closed, 150, 30), denied, audited,
        .lost(7, by: .kernelRing, time: 1, node: "node-a"),
    ]
}

@Suite struct `A tally of flows` {
    /// `name connections denials audits sent received` of each row.
    private func rows(_ key: TallyKey, _ flows: [Flow], window: UInt64? = nil, now: UInt64? = nil) -> [String] {
        var tally = FlowTally(by: key, window: window.map { $0 * Seen.second })
        for flow in flows { tally.add(flow) }
        return tally.rows(now: now.map { FakeDatapath.now + $0 * Seen.second }).map { row in
            let sums = row.sums
            return "\(row.name) \(sums.connections) \(sums.denials) \(sums.audits) \(sums.sent) \(sums.received)"
        }
    }

    @Test(arguments: [
        (TallyKey.pod, ["shop/front 1 3 1 150 30", "shop/cart 1 0 0 30 150"]),
        (.service, ["shop/cart:http 0 0 0 150 30"]),
        (.name, ["cart.example.com 0 0 0 150 30"]),
        (.reason, ["policy_isolated 0 3 0 0 0", "policy_denied 0 0 1 0 0"]),
    ]) func `each flow counts at what it is of`(_ key: TallyKey, _ expected: [String]) {
        #expect(rows(key, Seen.all) == expected)
    }

    @Test func `bytes count once, however often a connection is reported`() {
        let flows = [Seen.moved(.active, 10, 1), Seen.moved(.active, 25, 2), Seen.moved(.closed, 30, 3)]
        #expect(rows(.service, flows) == ["shop/cart:http 0 0 0 30 3"])
        // Another one with the same addresses and ports begins anew.
        #expect(rows(.service, flows + [Seen.moved(.closed, 5, 5)]) == ["shop/cart:http 0 0 0 35 8"])
    }

    @Test func `what is older than the window does not count`() {
        let flows = [Seen.moved(.closed, 1, 0, at: 0), Seen.moved(.closed, 2, 0, at: 40)]
        #expect(rows(.service, flows, window: 60, now: 50) == ["shop/cart:http 0 0 0 3 0"])
        #expect(rows(.service, flows, window: 60, now: 70) == ["shop/cart:http 0 0 0 2 0"])
        #expect(rows(.service, flows, window: 60, now: 200) == [])
    }

    @Test func `the time that is summed up begins with the first flow and is no longer than the window`() {
        func span(window: UInt64?, now: UInt64?) -> UInt64 {
            var tally = FlowTally(by: .pod, window: window.map { $0 * Seen.second })
            #expect(tally.span(now: now) == 0)
            for time: UInt64 in [0, 40] { tally.add(Seen.moved(.closed, 1, 0, at: time)) }
            return tally.span(now: now.map { FakeDatapath.now + $0 * Seen.second }) / Seen.second
        }
        #expect(span(window: nil, now: nil) == 40)
        #expect(span(window: 60, now: 50) == 50 && span(window: 60, now: 70) == 60)
    }

    @Test func `too many names are summed up together`() {
        let flows = (0..<10_003).map { Seen.flow(.opened, Seen.pod("p\($0)", UInt32($0)), Seen.world) }
        let found = rows(.pod, flows)
        #expect(found.count == 10_001 && found.first == "(others) 3 0 0 0 0")
    }
}

@Suite struct `Flow top` {
    static let table = """
        By pod, all stored flows, 7 records lost
        POD         CONNECTIONS  A SECOND   SENT  A SECOND  RECEIVED  A SECOND  DENIED  A SECOND  AUDITED
        shop/front            1       1.0  150 B     150 B      30 B      30 B       3       3.0        1
        shop/cart             1       1.0   30 B      30 B     150 B     150 B       0       0.0        0

        """

    @Test func `once, the stored flows are summed up`() async throws {
        let agent = FakeAgent()
        agent.hub.append(Seen.all)
        try await withAgent(agent) { socket in
            let outcome = await run("flow", "top", "--once", datapath: nil, socket: socket)
            #expect(outcome == Outcome(code: 0, output: Self.table, notes: ""))
            let one = await run(
                "flow", "top", "--once", "--by", "reason", "--rows", "1", datapath: nil, socket: socket)
            #expect(
                one.output == """
                    By reason, all stored flows, 1 of 2 shown, 7 records lost
                    REASON           DENIED  A SECOND  AUDITED
                    policy_isolated       3       3.0        0

                    """)
            let filtered = await run("flow", "top", "--once", "--port", "81", datapath: nil, socket: socket)
            #expect(filtered.output == "By pod, all stored flows, 7 records lost\nnothing to show\n")
        }
    }

    @Test func `as JSON`() async throws {
        let agent = FakeAgent()
        agent.hub.append(Seen.all)
        try await withAgent(agent) { socket in
            let outcome = await run(
                "flow", "top", "--once", "--by", "service", "-o", "json", datapath: nil, socket: socket)
            let answer = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
            #expect(answer?["by"] as? String == "service" && answer?["lost_records"] as? Int == 7)
            let row = (answer?["rows"] as? [[String: Any]])?.first
            #expect(row?["name"] as? String == "shop/cart:http" && row?["sent_bytes"] as? Int == 150)
        }
    }

    @Test func `without the agent, flows come from the ring`() async {
        let outcome = await run("flow", "top", "--once", "--by", "reason")
        #expect(outcome.output.contains("policy_isolated       2       2.0        0\n"), "\(outcome.output)")
        #expect(outcome.notes.hasSuffix("these flows are from the kernel's ring buffer\n"))
    }

    @Test(arguments: [true, false]) func `it is renewed until the flows end`(_ isTerminal: Bool) async throws {
        let agent = FakeAgent()
        try await withAgent(agent) { socket in
            let written = Text()
            let outcome = await run(
                arguments: ["flow", "top", "--by", "reason", "--interval", "0.1", "--window", "86400"],
                socket: socket, colour: isTerminal
            ) { text in
                written.append(text)
                if agent.hub.statistics.appended == 0 { agent.hub.append(Seen.denied) }
                if text.contains("policy_isolated") { agent.hub.finish() }
            }
            #expect(outcome.code == 0 && outcome.notes.isEmpty)
            let start = isTerminal ? "\u{1b}[H\u{1b}[2J" : "\n"
            #expect(outcome.output.hasPrefix(start + "By reason, the last 86400 s\nnothing to show\n"))
            #expect(
                outcome.output.hasSuffix(
                    "REASON           DENIED  A SECOND  AUDITED\npolicy_isolated       3       3.0        0\n"))
        }
    }

    @Test(arguments: [("--by", "colour", "colour"), ("--window", "0", "--window"), ("--rows", "0", "--rows")])
    func `a wrong option is a usage error`(_ option: String, _ value: String, _ reason: String) async {
        let outcome = await run("flow", "top", option, value)
        #expect(outcome.code == 64 && outcome.notes.contains(reason), "\(outcome.notes)")
    }
}
