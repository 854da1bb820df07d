import Foundation
import TestSupport

/// One run of a client against a server.
struct Measurement {
    let peer: Peer
    let metric: Metric
    let mode: Mode

    /// Debian's default, set on both ends: a machine may come with bbr, which without its packet scheduler adds timers
    /// to every measurement.
    static let congestionControl = "cubic"

    private struct Rate: Decodable {
        var perSecond: Double?
        var gigabits: Double?

        enum CodingKeys: String, CodingKey {
            case perSecond = "per_second"
            case gigabits = "gbit_per_second"
        }
    }

    /// Runs it and returns the rate.
    ///
    /// - Parameters:
    ///   - seconds: The counted time.
    ///   - warmup: The time before it, in seconds.
    func run(seconds: Double, warmup: Double) async throws -> Double {
        let address = peer.address(of: metric.destination)
        let command =
            [try BuiltProducts.path(of: "apus-traffic")] + mode(of: metric.workload)
            + [
                "--json", "--cpu", "\(self.mode.clientCPU)", "--seconds", "\(seconds)", "--warmup", "\(warmup)",
                "--congestion", Self.congestionControl, "\(address)", "\(metric.destination.port)",
            ]
        let bound = Duration.seconds(seconds + warmup + 15)
        let result = try await peer.client.run(command, within: bound, covered: peer.isCovered)
        guard let rate = try? JSONDecoder().decode(Rate.self, from: Data(result.output.utf8)),
            let value = rate.perSecond ?? rate.gigabits, result.succeeded, value > 0
        else { throw LabError("measure \(metric.title) of \(peer.kind.rawValue)", "\(result)") }
        return value
    }

    private func mode(of workload: Workload) -> [String] {
        switch workload {
        case .throughput: ["stream"]
        case .tcpRequests: ["rr"]
        case .udpRequests: ["rr", "--udp"]
        case .connections: ["crr"]
        }
    }
}
