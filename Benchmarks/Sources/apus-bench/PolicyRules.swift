import Addressing
import Foundation
import TestSupport

/// What the number of a pod's policy rules costs: a new connection, judged at both of its ends, and a packet of one that
/// was judged before.
struct PolicyRules {
    let peer: Peer
    let agent: ApusAgent

    /// 0: no policy selects the pods.
    static let counts = [0, 10, 1000]
    /// The numbers take turns, as rates do, and the least of each counts: a machine may slow down for seconds.
    private static let turns = 2
    /// Of an established packet, in one turn of one number.
    private static let repetitions = 5
    /// Of one turn of one number.
    private static let openings = 1600

    static func title(_ what: String, rules: Int) -> String { "from_pod, \(what), \(rules) rules at each end" }

    func figures() async throws -> [Report.Figure] {
        var openings: [Int: [Double]] = [:]
        var packets: [Int: [Double]] = [:]
        for turn in 0..<Self.turns {
            for (number, rules) in Self.counts.enumerated() {
                let place = turn * Self.counts.count + number
                // What is in force can be told from nothing only.
                if place > 0, number != 1 { try await program(rules: 0) }
                if place == 0 || rules > 0 { try await program(rules: rules) }
                let opening = probe("new TCP connection", .syn, from: openingPort(place))
                openings[rules, default: []].append(try await opening.cost(agent, openings: Self.openings))
                packets[rules, default: []].append(try await established(rules, from: 40_002 + UInt16(place)))
            }
        }
        try await program(rules: 0)
        let crowded = try await openingsByRing()
        try await program(rules: 1)
        return crowded
            + Self.counts.flatMap { rules in
                [("new TCP connection", openings), ("established TCP packet", packets)].compactMap { what, costs in
                    Summary(costs[rules] ?? []).map { .init(Self.title(what, rules: rules), $0.minimum, "ns") }
                }
            }
    }

    /// What a new connection costs without rules while nobody reads the ring of flow events, and it is full …
    static let fullRing = "from_pod, new TCP connection, 0 rules at each end, the ring of flow events full"
    /// … and while it is read, with as many connections in the maps.
    static let readRing = "from_pod, new TCP connection, 0 rules at each end, the ring of flow events read"

    /// Client's ports whose openings fill the ring, and then some.
    private static let filling: [Range<Addressing.Port>] = [20_000..<39_000, 41_000..<51_000]
    /// Those of the openings that are measured, a turn each.
    private static let measuring: Addressing.Port = 51_000

    private func openingsByRing() async throws -> [Report.Figure] {
        agent.process.signal(SIGSTOP)
        defer { agent.process.signal(SIGCONT) }
        for ports in Self.filling {
            let opening = probe("new TCP connection", .syn, from: ports.lowerBound)
            _ = try await opening.cost(agent, openings: ports.count)
        }
        let full = try await opening(turns: 0..<Self.turns)
        agent.process.signal(SIGCONT)
        // The agent takes some hundred thousand records a second, and the ring holds a tenth of that.
        try await Task.sleep(for: .seconds(2))
        let read = try await opening(turns: Self.turns..<2 * Self.turns)
        return [.init(Self.fullRing, full, "ns"), .init(Self.readRing, read, "ns")]
    }

    private func opening(turns: Range<Int>) async throws -> Double {
        var costs: [Double] = []
        for turn in turns {
            let port = Self.measuring + UInt16(turn * Self.openings)
            costs.append(try await probe("new TCP connection", .syn, from: port).cost(agent, openings: Self.openings))
        }
        return costs.min() ?? 0
    }

    /// Every number of rules, in every turn, opens connections that were not open before.
    private func openingPort(_ place: Int) -> Addressing.Port { 10_000 + UInt16(place * Self.openings) }

    private func established(_ rules: Int, from port: Addressing.Port) async throws -> Double {
        let ends = ["--ports", "\(port)-\(port)", "\(peer.server.host.ipv4)", "\(Destination.pod.port)"]
        let process = try peer.client.traffic(["hold", "--interval-ms", "60000"] + ends)
        defer { process.signal(SIGTERM) }
        try await eventually("an established connection with \(rules) rules") {
            process.lines.contains { $0.hasPrefix("connected") }
        }
        var costs: [Double] = []
        for _ in 0..<Self.repetitions {
            costs.append(try await probe("established TCP packet", .ack, from: port).cost(agent))
        }
        return costs.min() ?? 0
    }

    private func probe(_ title: String, _ flags: TCPFlags, from port: Addressing.Port) -> PacketProbe {
        PacketProbe(title, .tcp, flags: flags, from: peer.client, port, to: peer.server.host, Destination.pod.port)
    }

    /// Edits the file of the policies and waits until a port that they leave out answers, or doesn't.
    private func program(rules: Int) async throws {
        if rules > 0 {
            try agent.write(Manifests.policyFile, Manifests.policies(rules: rules))
        } else {
            try FileManager.default.removeItem(atPath: "\(agent.manifests)/\(Manifests.policyFile)")
        }
        let server = peer.server.host
        let listener = try await server.serve(port: ApusAgent.forbiddenPort)
        try await eventually("\(rules) policy rules in force", within: .seconds(30)) {
            let outcome = try await peer.client.ask(server.ipv4, ApusAgent.forbiddenPort, within: .milliseconds(300))
            return outcome == (rules > 0 ? .timedOut : .answered(server.name))
        }
        await listener.stop()
    }
}
