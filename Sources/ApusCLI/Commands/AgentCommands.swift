internal import AgentAPI
internal import ArgumentParser
internal import Flows

/// `apus status`.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "How the agent and the data path are doing.",
        discussion: """
            The agent's part needs apusd, the data path's part only the pinned maps. Fails when there is neither.

            Examples:
              apus status
              apus status -o json | jq .datapath.drops
            """)

    @OptionGroup var options: GlobalOptions

    func run() async throws {
        let agent = await askAgent()
        let datapath: Result<DatapathStatus, any Error> = Result { try options.datapath().status() }
        let answer = StatusAnswer(agent: agent, datapath: try? datapath.get())
        let text = StatusText(console: options.console)
        try options.console.answer(answer, as: options.output, table: text.text)
        if case .failure(let error) = datapath {
            options.console.note("apus: \(error)")
            if agent.status == nil { throw ExitCode.unanswered }
        }
    }

    private func askAgent() async -> StatusAnswer.Agent {
        do throws(AgentError) {
            let status = try await options.agent.status()
            return StatusAnswer.Agent(running: true, uptime: Self.uptime(status), status: status)
        } catch {
            return StatusAnswer.Agent(running: error.code != .notRunning, error: error.message)
        }
    }

    private static func uptime(_ status: AgentStatus) -> UInt64? {
        let now = CommandContext.current.now()
        return Timestamp.parse(status.started).map { now > $0 ? (now - $0) / 1_000_000_000 : 0 }
    }
}

/// `apus verify`.
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Compares what should be in the kernel with what is there.",
        discussion: """
            The agent compares what it wants in the maps, and the programs and pins, with what is there, and names what \
            it could not write for longer than a second, as where a map is full; it changes nothing. What the objects \
            ask for is not compiled anew. Exit code 1: something is not as it should be.

            Examples:
              apus verify
              apus verify -o json | jq '.drift[] | select(.table == "services")'
            """)

    @OptionGroup var options: GlobalOptions

    func run() async throws {
        let report = try await options.agent.verify()
        try options.console.answer(VerifyAnswer(report), as: options.output) { $0.text(options.console) }
        if !report.isClean { throw ExitCode.checkFailed }
    }
}

/// What `apus verify` tells.
private struct VerifyAnswer: Codable {
    var clean: Bool
    var checked: Int
    var tables: [VerifyReport.Table]
    var drift: [DriftItem]

    init(_ report: VerifyReport) {
        clean = report.isClean
        checked = report.checked
        tables = report.tables
        drift = report.drift
    }

    func text(_ console: Console) -> String {
        if clean {
            let tables = Quantity.count(self.tables.count, "table")
            return console.paint("no drift", .green) + ": \(Quantity.count(checked, "item")) in \(tables) compared\n"
        }
        let items = drift.map { item in
            "\(item.table) \(item.key): \(Self.words(item.kind))\n" + Self.line("desired", item.desired)
                + Self.line("actual", item.actual) + Self.line("reason", item.reason)
        }
        return console.paint(head, .red) + "\n" + items.joined()
    }

    private var head: String {
        let unwritten = drift.count { $0.kind == .notWritten }
        let drifted = drift.count - unwritten
        let first = drifted == 0 ? "no drift" : "\(Quantity.count(drifted, "item")) of \(checked) drifted"
        return first + (unwritten == 0 ? "" : ", but \(Quantity.count(unwritten, "item")) not written")
    }

    private static func words(_ kind: DriftItem.Kind) -> String {
        switch kind {
        case .missing, .unexpected, .different: kind.rawValue
        case .notWritten: "not written"
        }
    }

    private static func line(_ name: String, _ value: String?) -> String {
        value.map { "    \(name): \($0)\n" } ?? ""
    }
}

/// `apus version`.
struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "The versions of apus and of the agent that runs.",
        discussion: """
            Examples:
              apus version
              apus version -o json
            """)

    @OptionGroup var options: GlobalOptions

    func run() async throws {
        let hello = try? await options.agent.hello()
        let answer = VersionAnswer(
            apus: Release.version, apusd: hello?.version, agentProtocol: AgentProtocol.version)
        try options.console.answer(answer, as: options.output) { answer in
            Table.pairs([("apus", answer.apus), ("apusd", answer.apusd ?? "not running")])
        }
    }
}

/// What `apus version` tells.
private struct VersionAnswer: Codable {
    enum CodingKeys: String, CodingKey {
        case apus, apusd
        case agentProtocol = "agent_protocol"
    }

    var apus: String
    /// Nil when no agent runs.
    var apusd: String?
    var agentProtocol: Int
}
