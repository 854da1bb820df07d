import Addressing
import BenchSupport
import TestSupport

/// What policies with names cost: at the delivery of an answer, and the agent that compiles them.
struct NameFigures {
    let settings: Settings

    /// Patterns of a node.
    static let counts = [1, 100, 5000]
    /// Answers that the kernel repeats in a row, in so many turns.
    private static let (repetitions, turns) = (200_000, 5)

    static let plain = "to_pod, plain datagram of an answer's length"
    static let answer = "to_pod, DNS answer"
    static func unnamed(_ what: String) -> String { "\(what), no names" }

    func all() async throws -> [Report.Figure] {
        let network = try await NameNetwork(hasAgent: true)
        do {
            let figures = try await answers(network)
            await network.lab.tearDown()
            return try figures + automata()
        } catch {
            await network.lab.tearDown()
            throw error
        }
    }

    /// Without any policy that has names first, as there is none yet.
    private func answers(_ network: NameNetwork) async throws -> [Report.Figure] {
        var costs: [String: [Double]] = [:]
        for _ in 0..<Self.turns {
            for (title, port) in [(Self.plain, NameManifests.plainPort), (Self.answer, 53)] {
                costs[title, default: []].append(
                    try await cost(network, ["--port", "\(port)", "--repeated", "--runs", "\(Self.repetitions)"]))
            }
        }
        var figures = [Self.plain, Self.answer].map {
            Report.Figure(Self.unnamed($0), costs[$0]?.min() ?? 0, "ns")
        }
        figures.append(
            try await single(network, "\(Self.plain), no names, single runs", NameManifests.plainPort, 0..<1))
        figures.append(try await single(network, "\(Self.answer), no names, single runs", 53, 0..<1))
        guard let bpffs = network.agent?.bpffs else { return figures }
        for (turn, count) in Self.counts.enumerated() {
            try await network.program(names: count)
            let before = try NamesInForce.learned(bpffs: bpffs)
            let title = "\(Self.answer) that teaches, \(Self.names(count))"
            figures.append(try await single(network, "\(title), one name again and again, single runs", 53, 0..<1))
            // Each answer about a name that was never asked for before.
            let fresh = (turn + 1) * settings.answers..<(turn + 2) * settings.answers
            figures.append(try await single(network, "\(title), fresh names, single runs", 53, fresh))
            guard try NamesInForce.learned(bpffs: bpffs) == before + 2 * UInt64(settings.answers) else {
                throw LabError("measure an answer that teaches", "not every one has taught")
            }
        }
        return figures
    }

    private static func names(_ count: Int) -> String { "\(count) \(count == 1 ? "pattern" : "patterns")" }

    private func single(
        _ network: NameNetwork, _ title: String, _ port: Addressing.Port, _ names: Range<Int>
    ) async throws -> Report.Figure {
        let options = [
            "--port", "\(port)", "--first", "\(names.lowerBound)", "--names", "\(names.count)", "--runs",
            "\(settings.answers)",
        ]
        return Report.Figure(title, try await cost(network, options), "ns")
    }

    /// Runs this program again inside the node: the kernel looks for the packet's interface there.
    private func cost(_ network: NameNetwork, _ options: [String]) async throws -> Double {
        guard let agent = network.agent else { throw LabError("measure an answer", "there is no agent") }
        let client = network.lab.pod("client")
        let command = [
            try BuiltProducts.path(of: "apus-bench"), "answer-cost", "--bpffs", agent.bpffs, "--interface",
            client.hostInterface ?? "", "--client", "\(client.ipv4)", "--hardware", "\(client.macAddress)",
            "--resolver", "\(agent.node.ipv4)",
        ]
        let result = try await agent.node.run(command + options, within: .seconds(120))
        guard result.succeeded, let cost = Double(result.output.dropLast()) else {
            throw LabError("measure an answer", result.errors)
        }
        return cost
    }

    private func automata() throws -> [Report.Figure] {
        try Self.counts.flatMap { count in
            let cost = try AutomatonCost.measure(NamePatterns(count: count))
            let title = "automaton of \(Self.names(count))"
            return [
                Report.Figure("\(title), compiled", cost.build / .milliseconds(1), "ms"),
                Report.Figure("\(title), states", Double(cost.states), ""),
                Report.Figure("\(title), in the kernel", Double(cost.bytes) / 1024, "KiB"),
            ]
        }
    }
}
