import Addressing
import TestSupport

/// What became of connections that were opened at once: a packet of theirs that is lost comes again a second later, which
/// their clients have the patience for. The kernel counts those. Where the machine stands still for so long the same
/// count goes up, so a client of each host asks a pod itself all the while, by no Service, and tells of standstills.
struct LossWitness {
    private let clients: [LabHost]
    private let before: [[String: Int]]
    private let direct: [ChildProcess]

    /// - Parameters:
    ///   - clients: Whose packets are counted.
    ///   - address: Of a pod that serves TCP.
    init(_ clients: [LabHost], asking address: IPAddress, _ port: Port) async throws {
        self.clients = clients
        before = try await Self.counters(clients)
        direct = try clients.map { client in
            try client.traffic([
                "load", "--tcp", "--rate", "20", "--timeout-ms", "20000", "--ports", "58000-60000", "--next-port",
                "\(address)", "\(port)",
            ])
        }
    }

    private static func counters(_ clients: [LabHost]) async throws -> [[String: Int]] {
        var counters: [[String: Int]] = []
        for client in clients { counters.append(try await client.streamCounters()) }
        return counters
    }

    func end() async throws -> Losses {
        var losses = Losses()
        for process in direct {
            let report = try LoadReport(parsing: await process.stop().output)
            losses.standstill = max(losses.standstill, report.maxGap)
        }
        for (old, new) in zip(before, try await Self.counters(clients)) {
            func growth(_ name: String) throws -> Int {
                guard let first = old[name], let last = new[name] else { throw LabError("count", "no \(name)") }
                return last - first
            }
            losses.openings += try growth("TCPSynRetrans")
            losses.segments += try growth("RetransSegs")
        }
        return losses
    }

    struct Losses: CustomStringConvertible {
        /// Packets that open connections and were sent again, after a second.
        var openings = 0
        /// All that were sent again: for others a fifth of a second of a busy machine is enough.
        var segments = 0
        /// The longest time that a client had no answer of the pod that it asked itself, in milliseconds.
        var standstill = 0.0

        var isExplained: Bool { openings == 0 || standstill > 500 }

        var description: String {
            "\(openings) openings of connections sent again, \(segments) segments in all, "
                + "at most \(Int(standstill)) ms without an answer of a pod that is asked itself"
        }
    }
}
