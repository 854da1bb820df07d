import ArgumentParser
import BenchSupport
import Foundation
import TestSupport

/// Services alone: what they cost by their number, next to kube-proxy's rules in both of its modes.
struct ServicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services",
        abstract: "Compares Services of Apus with kube-proxy's iptables and nftables rules, by their number.",
        discussion: """
            Connections a second and the p99 of their latency through ClusterIP and NodePort, datagrams forwarded by \
            one core, the time to make a Maglev table, and the cost of one change among 100,000 endpoints; \
            docs/performance.md says how to read the result.
            """)

    @Option(help: "Also write the report to this file as JSON.")
    var json: String?

    @Flag(help: "Measure so shortly that the numbers mean nothing: to see that everything works.")
    var quick = false

    @Flag(help: "Exit with 1 when a budget is missed.")
    var judge = false

    @Option(help: "How many rounds count.")
    var rounds: Int?

    @Option(help: Choice<ServiceSubject>.help("What is compared"))
    var subjects = Choice<ServiceSubject>.all

    @Option(help: .hidden)
    var commit = "unknown"

    func validate() throws { try Bench.validate(rounds: rounds) }

    func run() async throws {
        var settings = quick ? Settings.quick : Settings.services
        settings.rounds = rounds ?? settings.rounds
        let report = try await measure(settings)
        try Bench.publish(ServiceReportText(report: report).text, report, json: json)
        if judge, report.budgets.contains(where: { !$0.isMet }) { throw ExitCode.failure }
    }

    private func measure(_ settings: Settings) async throws -> Report {
        let machine = Machine.current(commit: commit)
        // Many Services take a debug build long to read.
        let sizes = quick ? ServicePeerKind.sizes.filter { $0 <= ServiceCount.few } : ServicePeerKind.sizes
        let kinds = ServicePeers.kinds(subjects.values, sizes: sizes)
        var rounds = ServiceRounds(settings: settings, progress: Bench.say)
        var figures: [Report.Figure] = []
        for number in 0..<settings.rounds {
            try await withPeers(kinds) { peers in
                try await rounds.run(number, peers)
                if number + 1 == settings.rounds { figures = try programming(peers) }
            }
        }
        Bench.say("a large cluster")
        if subjects.values.contains(.apus) { figures += try await ScaleFigures(settings: settings).all() }
        return Report(
            machine: machine, settings: settings, samples: Samples(),
            figures: Report.Figure.joined(rounds.figures + figures), repeated: rounds.repeated)
    }

    /// What the agent does for Services, without a packet.
    private func programming(_ peers: [ServicePeer]) throws -> [Report.Figure] {
        guard let agent = peers.compactMap(\.agent).first else { return [] }
        return try Figures.maglevTables + Figures.programming(bpffs: agent.bpffs + "-cost")
    }

    /// Makes all peers, and takes them away again whatever happens.
    private func withPeers(
        _ kinds: [ServicePeerKind], _ body: ([ServicePeer]) async throws -> Void
    ) async throws {
        var setup = ServicePeers()
        do {
            for kind in kinds {
                Bench.say("setting up \(kind.name)")
                try await setup.add(kind)
            }
            try await body(setup.peers)
            await setup.tearDown()
        } catch {
            await setup.tearDown()
            throw error
        }
    }
}
