import Addressing
import ArgumentParser
import BenchSupport
import Foundation

/// Measures the delivery of DNS answers at an interface; a part of the bench that must run inside the node's namespace.
struct AnswerCostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "answer-cost", shouldDisplay: false)

    @Option var bpffs: String
    @Option var interface: String
    @Option(help: "The pod that asks.") var client: String
    @Option(help: "Its hardware address.") var hardware: String
    @Option(help: "Whom it asks.") var resolver: String
    @Option(help: "At which port.") var port: UInt16
    @Option(help: "Names that are asked for in turn.") var names = 1
    @Option(help: "The number of the first one.") var first = 0
    @Option(help: "Answers that are run one by one.") var runs = 1000
    @Flag(help: "The kernel repeats one answer, to which nobody asked again.") var repeated = false

    func run() throws {
        let index = if_nametoindex(interface)
        guard index != 0 else { throw ValidationError("there is no interface \(interface)") }
        guard let client = IPAddress(client), let resolver = IPAddress(resolver), let hardware = MACAddress(hardware)
        else { throw ValidationError("not an address: \(client), \(resolver) or \(hardware)") }
        let ends = AnswerCost.Ends(client: client, hardware: hardware, resolver: resolver, port: Port(port))
        let cost = try AnswerCost(links: "\(bpffs)/links", interface: index, ends)
        print(repeated ? try cost.repeated(runs: runs) : try cost.single(names: first..<first + names, runs: runs))
    }
}
