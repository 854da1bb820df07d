import ArgumentParser
import BenchSupport
import Foundation

/// Measures the program behind an interface; a part of the bench that must run inside the node's namespace.
struct PacketCostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "packet-cost", shouldDisplay: false)

    @Option var bpffs: String
    @Option var interface: String
    @Option(help: "The packet in hexadecimal digits.") var packet: String

    func run() throws {
        let index = if_nametoindex(interface)
        guard index != 0 else { throw ValidationError("there is no interface \(interface)") }
        let cost = try PacketCost.measure(
            link: "\(bpffs)/links/pod-\(index)-from", interface: index, packet: try bytes())
        guard cost.verdict == PacketCost.delivered || cost.verdict == PacketCost.passed else {
            throw ValidationError("the packet was dropped: verdict \(cost.verdict)")
        }
        print(cost.nanoseconds)
    }

    private func bytes() throws -> [UInt8] {
        let digits = packet.compactMap(\.hexDigitValue)
        guard digits.count == packet.count, digits.count.isMultiple(of: 2) else {
            throw ValidationError("not hexadecimal: \(packet)")
        }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
