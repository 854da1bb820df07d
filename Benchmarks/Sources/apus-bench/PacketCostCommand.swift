import ArgumentParser
import BenchSupport
import Foundation

/// Measures the program behind an interface; a part of the bench that must run inside the node's namespace.
struct PacketCostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "packet-cost", shouldDisplay: false)

    @Option var bpffs: String
    @Option var interface: String
    @Option(help: "The packet in hexadecimal digits.") var packet: String
    @Option(help: "Open a connection from each of so many source ports, from the packet's own on.") var openings: Int?

    func run() throws {
        let index = if_nametoindex(interface)
        guard index != 0 else { throw ValidationError("there is no interface \(interface)") }
        let link = "\(bpffs)/links/pod-\(index)-from"
        let packet = try bytes()
        let cost =
            if let openings {
                try PacketCost.measure(
                    link: link, interface: index, openings: (0..<openings).map { Self.packet(packet, number: $0) })
            } else {
                try PacketCost.measure(link: link, interface: index, packet: packet)
            }
        guard cost.verdict == PacketCost.delivered || cost.verdict == PacketCost.passed else {
            throw ValidationError("the packet was dropped: verdict \(cost.verdict)")
        }
        print(cost.nanoseconds)
    }

    /// The packet from a later source port. It is IPv4 without options over Ethernet; nobody looks at its checksums.
    private static func packet(_ packet: [UInt8], number: Int) -> [UInt8] {
        var packet = packet
        let port = UInt16(packet[34]) << 8 + UInt16(packet[35]) + UInt16(number)
        packet[34] = UInt8(port >> 8)
        packet[35] = UInt8(port & 0xff)
        return packet
    }

    private func bytes() throws -> [UInt8] {
        let digits = packet.compactMap(\.hexDigitValue)
        guard digits.count == packet.count, digits.count.isMultiple(of: 2) else {
            throw ValidationError("not hexadecimal: \(packet)")
        }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
