import Addressing
import TestSupport

/// A packet that a pod sends, to be measured at the pod's interface.
struct PacketProbe {
    var title: String
    private var sender: LabHost
    private var packet: Packet

    /// - Parameter flags: Those of a TCP segment.
    init(
        _ title: String, _ ipProtocol: IPProtocol, flags: TCPFlags, from source: LabHost, _ sourcePort: Port,
        to destination: LabHost, _ port: Port
    ) {
        self.title = title
        sender = source
        let packet = Packet.ethernet(from: source.macAddress, to: mac("ee:ee:ee:ee:ee:ee"))
            .ip(from: source.ipv4, to: destination.ipv4)
        let segment =
            ipProtocol == .tcp
            ? packet.tcp(from: sourcePort, to: port, flags: flags) : packet.udp(from: sourcePort, to: port)
        self.packet = segment.payload([UInt8](repeating: 0x78, count: 64))
    }

    /// Nanoseconds of the packet's program, or of the openings of so many connections, from the packet's port on.
    func cost(_ agent: ApusAgent, openings: Int? = nil) async throws -> Double {
        var command = [
            try BuiltProducts.path(of: "apus-bench"), "packet-cost", "--bpffs", agent.bpffs, "--interface",
            sender.hostInterface ?? "", "--packet", packet.hexadecimal,
        ]
        if let openings { command += ["--openings", "\(openings)"] }
        // Runs this program again inside the node: the kernel looks for the packet's interface there.
        let result = try await agent.node.run(command, within: .seconds(60))
        guard result.succeeded, let cost = Double(result.output.dropLast()) else {
            throw LabError("measure \(title)", result.errors)
        }
        return cost
    }
}
