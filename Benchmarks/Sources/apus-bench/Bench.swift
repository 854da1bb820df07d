import ArgumentParser
import Foundation
import TestSupport

@main
struct Main: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus-bench", abstract: "Measures Apus next to what it replaces.",
        subcommands: [
            Bench.self, PacketCostCommand.self, AnswerCostCommand.self, FlowCostCommand.self, ScaleCommand.self,
            ScaleServerCommand.self, ServicesCommand.self,
        ],
        defaultSubcommand: Bench.self)
}

/// The whole comparison.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compares Apus with plain kernel routing, a bare veth and kube-proxy's iptables rules.",
        discussion: """
            Everything happens inside network namespaces that are made for it and removed afterwards. Run it on a \
            machine that does nothing else; docs/performance.md says how to read the result.
            """)

    @Option(help: "Also write the report to this file as JSON.")
    var json: String?

    @Flag(help: "Measure so shortly that the numbers mean nothing: to see that everything works.")
    var quick = false

    @Flag(help: "Exit with 1 when a budget is missed.")
    var judge = false

    @Option(help: "How many rounds count.")
    var rounds: Int?

    @Option(help: Choice<PeerKind>.help("The peers"))
    var peers = Choice<PeerKind>.all

    @Option(help: Choice<Mode>.help("The modes"))
    var modes = Choice<Mode>.all

    @Option(help: Choice<Workload>.help("The workloads"))
    var workloads = Choice<Workload>.all

    @Option(help: .hidden)
    var commit = "unknown"

    func validate() throws { try Self.validate(rounds: rounds) }

    /// What every comparison needs.
    static func validate(rounds: Int?) throws {
        guard getuid() == 0 else { throw ValidationError("network namespaces need root: run it with sudo") }
        guard rounds ?? 1 > 0 else { throw ValidationError("--rounds takes a number above 0") }
        guard ProcessInfo.processInfo.activeProcessorCount > 1 else { throw ValidationError("it takes two CPUs") }
    }

    func run() async throws {
        let report = try await measure()
        try Self.publish(ReportText(report: report).text, report, json: json)
        if judge, report.budgets.contains(where: { !$0.isMet }) { throw ExitCode.failure }
    }

    private func measure() async throws -> Report {
        var settings = quick ? Settings.quick : Settings.full
        settings.rounds = rounds ?? settings.rounds
        let machine = Machine.current(commit: commit)
        var rounds = Rounds(
            settings: settings, modes: modes.values, workloads: workloads.values, progress: Self.say)
        var figures: [Report.Figure] = []
        for number in 0..<settings.rounds {
            try await withPeers { peers in
                try await rounds.run(number, peers)
                let own = Figures(peers: peers, settings: settings)
                if number + 1 == settings.rounds { figures = try await own.ofTheRun() + figures }
                figures += try await own.ofTheRound()
            }
        }
        return Report(
            machine: machine, settings: settings, samples: rounds.samples, figures: Report.Figure.joined(figures),
            repeated: rounds.repeated)
    }

    /// Makes all peers, and takes them away again whatever happens.
    private func withPeers(_ body: ([Peer]) async throws -> Void) async throws {
        var setup = PeerSetup()
        do {
            for kind in peersInOrder {
                Self.say("setting up \(kind.rawValue)")
                try await setup.add(kind)
            }
            try await body(setup.peers)
            await setup.tearDown()
        } catch {
            await setup.tearDown()
            throw error
        }
    }

    /// A peer comes after the one whose network it uses, which is measured too.
    private var peersInOrder: [PeerKind] {
        let wanted = Set(peers.values + peers.values.map(\.owner))
        return PeerKind.allCases.filter(wanted.contains)
    }

    /// Prints the text, and writes the report to a file where one is named.
    static func publish(_ text: String, _ report: Report, json: String?) throws {
        print(text, terminator: "")
        guard let json else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(report).write(to: URL(fileURLWithPath: json))
    }

    static func say(_ text: String) {
        FileHandle.standardError.write(Data("bench: \(text)\n".utf8))
    }
}
