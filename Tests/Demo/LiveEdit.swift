import Foundation
import TestSupport

/// The policy's file is edited while a connection that it admitted is in use.
extension Stage {
    func editUnderLiveConnection() async throws {
        transcript.step("An edit of the policy's file reaches a connection that is open")
        let connection = try await holdConnection(Shop.web.ipv4)
        transcript.say("One connection stays open; on it, client asks for the page every 20 ms.")
        _ = try await heldConnection()

        let edited = try await edit("role: customer", to: "role: scraper")
        try await wait(for: connection, toSay: "stalled")
        let denial = try await firstDenial(since: edited)
        transcript.checked("The kernel dropped the connection's next packet \(denial.milliseconds) after the edit")
        transcript.remember("", "an edit reached an open connection after \(denial.milliseconds)")
        let page = try await show(on: Shop.intruder, "curl -sS http://\(Shop.web.ipv4)/")
        try expect(page.succeeded, "intruder is admitted instead", or: "intruder should be admitted after the edit")

        let reverted = try await edit("role: scraper", to: "role: customer")
        try await wait(for: connection, toSay: "resumed")
        let pause = Duration.seconds(Date.now.timeIntervalSince(reverted))
        await connection.stop()
        try expect(
            !connection.output.contains("closed"),
            "The same connection goes on: answered again \(pause.milliseconds) after the edit was undone, "
                + "when TCP tried again", or: "the connection ended: \(connection.output)")
        try await expectDenied(Shop.intruder, "http://\(Shop.web.ipv4)/")
        transcript.checked("intruder is denied again")
    }

    /// Opens a connection to the web Service and keeps asking for the page on it.
    func holdConnection(_ address: String) async throws -> ChildProcess {
        let command = "apus-traffic hold --http --interval-ms 20 --timeout-ms 500 \(address) 80"
        transcript.command(Shop.client, command + " &")
        let connection = try lab.pod(Shop.client).traffic(command.split(separator: " ").dropFirst().map(String.init))
        try await wait(for: connection, toSay: "connected")
        return connection
    }

    /// Replaces a word in the copy of policy-web.yaml and returns when the file changed.
    private func edit(_ old: String, to new: String) async throws -> Date {
        let line = "sed -i 's/\(old)/\(new)/' manifests/policy-web.yaml"
        transcript.command(Shop.node, line)
        let result = try await agent.apus(line)
        try expect(result.succeeded, or: "the edit failed: \(result.errors)")
        let path = agent.manifests + "/policy-web.yaml"
        let moment = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
        guard let moment else { throw Unexpected("\(path) has no date") }
        return moment
    }

    private func wait(for connection: ChildProcess, toSay word: String) async throws {
        try await eventually("the connection to be \(word)") {
            if let result = connection.result { throw LabError("hold a connection", result.output + result.errors) }
            return connection.lines.contains { $0.hasPrefix(word) }
        }
    }

    /// When the first of client's packets was denied after a moment, by the flow's own time.
    private func firstDenial(since moment: Date) async throws -> Duration {
        let line = "apus flow observe --last 1000 --verdict denied --pod visitors/\(Shop.client) --port 8080 -o json"
        let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        var first: Date?
        try await eventually("the flow of the denied packet") {
            let flows = try await agent.apus(line).output.split(separator: "\n")
            let times = try flows.map { try JSONDecoder().decode(FlowTime.self, from: Data($0.utf8)).time }
            first = try times.map { try format.parse($0) }.filter { $0 >= moment }.min()
            return first != nil
        }
        return .seconds(first?.timeIntervalSince(moment) ?? 0)
    }

    /// The time of `apus flow observe -o json`.
    private struct FlowTime: Decodable {
        var time: String
    }
}
