import ArgumentParser
import BenchSupport

/// Measures what the agent does with records of flows; a part of the bench that has a process, and a thread, of its own.
struct FlowCostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "flow-cost", shouldDisplay: false)

    @Option(help: "A directory on a bpf file system; what is made below it is removed.") var bpffs: String
    @Option var records = 200_000

    func run() throws {
        let cost = try FlowCost.measure(bpffs: bpffs, records: records)
        for value in [cost.decoding, cost.naming, cost.counting, cost.storing, cost.memory] { print(value) }
    }
}
