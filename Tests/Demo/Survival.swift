import Foundation
import TestSupport

/// The agent is killed under load, and comes back.
extension Stage {
    func killUnderLoad() async throws {
        transcript.step("The agent dies under load; the data path flies on")
        let loads = try [Shop.web.ipv4, Shop.web.ipv6].map { try startLoad($0) }
        let connection = try await holdConnection(Shop.web.ipv4)
        let held = try await heldConnection()
        try await eventually("load on the Service") { try await connectionCount() > 20 }
        let before = try await showHeld(held)

        try await kill()
        try await showMaps()
        try await expectDenied(Shop.intruder, "http://\(Shop.web.ipv4)/")
        let page = try await show(on: Shop.client, "curl -sS http://\(Shop.web.ipv4)/")
        try expect(page.succeeded, "Without an agent: Services, policies and new connections work", or: "no answer")

        try await restart()
        let after = try await showHeld(held)
        let output = await connection.stop().output
        try expect(
            after.openedAgo > before.openedAgo && !output.contains("stalled") && !output.contains("closed"),
            "The open connection is the same, counters included, and never waited for an answer",
            or: "the open connection was disturbed: \(output)")
        try await report(loads)
    }

    private func startLoad(_ address: String) throws -> ChildProcess {
        let command = "apus-traffic load --http --rate 200 \(address) 80"
        transcript.command(Shop.client, command + " &")
        return try lab.pod(Shop.client).traffic(command.split(separator: " ").dropFirst().map(String.init))
    }

    private func kill() async throws {
        transcript.command(Shop.node, "kill -9 \(agent.pid ?? 0)  # apusd")
        await agent.kill()
        let status = try await showOnNode("apus status | head -1")
        try expect(status.output.contains("not running"), or: "apusd should be gone")
    }

    /// What is in force can be read from the maps alone.
    private func showMaps() async throws {
        let endpoints = try await showOnNode("apus endpoint list")
        try expect(
            endpoints.output.contains("web-1"), "apus reads the pinned maps itself",
            or: "no endpoints without the agent")
    }

    private func restart() async throws {
        transcript.command(Shop.node, agent.shortCommand)
        try await agent.start()
        let verification = try await showOnNode("apus verify")
        try expect(
            verification.succeeded, "The agent is back and adopted what was pinned; nothing drifted",
            or: "apus verify found drift")
    }

    private func connectionCount() async throws -> Int { try await connections().count }

    private func connections() async throws -> [Connection] {
        let answer = try await agent.apus("apus connection list -o json")
        return try JSONDecoder().decode([Connection].self, from: Data(answer.output.utf8))
    }

    /// The one connection of client that lasts, once it has been used for a while.
    func heldConnection() async throws -> Connection.End {
        var oldest: Connection?
        try await eventually("the open connection in the list") {
            let established = try await connections().filter { $0.state == "established" }
            oldest = established.max { $0.counters.forwardPackets < $1.counters.forwardPackets }
            return (oldest?.counters.forwardPackets ?? 0) > 20
        }
        guard let oldest else { throw Unexpected("no open connection") }
        return oldest.source
    }

    private func showHeld(_ end: Connection.End) async throws -> Connection {
        try await showOnNode("apus connection list | grep -E 'SOURCE|\(end.pod ?? ""):\(end.port)'")
        let held = try await connections().first { $0.source == end }
        guard let held else { throw Unexpected("the connection from port \(end.port) is not in the list") }
        return held
    }

    private func report(_ loads: [ChildProcess]) async throws {
        var requests = 0
        for load in loads {
            let report = try LoadReport(parsing: await load.stop().output)
            let address = load.command.dropLast().last ?? ""
            try expect(
                report.failed == 0 && report.ok > 0,
                "\(address): \(report.ok) new connections, 0 failed, longest gap \(Int(report.maxGap)) ms",
                or: "\(address): \(report.failed) of \(report.ok + report.failed) requests failed: \(report.errors)")
            requests += report.ok
        }
        transcript.remember(
            "Survival", "\(requests) connections while apusd was killed and came back: 0 failed, no drift")
    }

    /// A row of `apus connection list -o json`.
    struct Connection: Decodable {
        struct End: Decodable, Equatable {
            var pod: String?
            var port: Int
        }
        struct Counters: Decodable {
            enum CodingKeys: String, CodingKey { case forwardPackets = "forward_packets" }

            var forwardPackets: Int
        }
        enum CodingKeys: String, CodingKey {
            case source, state, counters
            case openedAgo = "opened_ns_ago"
        }

        var source: End
        var state: String
        var counters: Counters
        var openedAgo: UInt64
    }
}
