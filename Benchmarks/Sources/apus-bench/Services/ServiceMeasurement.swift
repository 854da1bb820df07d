import Addressing
import Foundation
import TestSupport

extension ServicePeer {
    /// What a run of connections found.
    struct Connections: Decodable {
        /// Connections a second.
        var rate: Double
        /// What 99 of 100 take at most, in microseconds.
        var slowest: Double

        enum CodingKeys: String, CodingKey {
            case rate = "per_second"
            case slowest = "p99_us"
        }
    }

    /// Few enough that a short run goes through all of them, and none of a node port or of Apus.
    private static let localPorts = "33000-36999"
    /// The client's port of the flow of datagrams.
    private static let flowPort = "40001-40001"

    /// Opens connections, one after the other.
    ///
    /// - Parameter warmup: The time before the counted one, in seconds.
    func connect(_ path: ServicePath, seconds: Double, warmup: Double) async throws -> Connections {
        let options = ["--congestion", Measurement.congestionControl, "--ports", Self.localPorts]
        let output = try await run(path, "crr", options, seconds: seconds, warmup: warmup)
        guard let connections = try? JSONDecoder().decode(Connections.self, from: Data(output.utf8)),
            connections.rate > 0
        else { throw LabError("measure connections of \(kind.name), \(path.title)", output) }
        return connections
    }

    /// Has datagrams there and back, and the receiver stop reading: what arrives later is counted and thrown away at
    /// its socket, where it costs the least, and nothing is answered.
    func openFlow() async throws {
        _ = try await run(.nodePortElsewhere, "rr", ["--udp", "--count", "3", "--ports", Self.flowPort], seconds: 1)
        sink.signal(SIGSTOP)
    }

    /// Sends datagrams of the flow and returns how many arrive in a second. One CPU sends them, forwards them and
    /// receives them: a veth hands a packet over on the CPU that sends it.
    func forward(seconds: Double) async throws -> Double {
        struct Sent: Decodable {
            var datagrams: Double
            var seconds: Double
        }
        let before = try await arrived()
        let output = try await run(
            .nodePortElsewhere, "flood", ["--size", "64", "--ports", Self.flowPort], seconds: seconds)
        let count = try await arrived() - before
        guard let sent = try? JSONDecoder().decode(Sent.self, from: Data(output.utf8)), count > 0,
            count <= sent.datagrams
        else { throw LabError("forward datagrams of \(kind.name)", "\(count) arrived of \(output)") }
        return count / sent.seconds
    }

    /// Datagrams that the receiver's full socket has thrown away so far (`RcvbufErrors` of Udp in /proc/net/snmp).
    private func arrived() async throws -> Double {
        let rows = try await elsewhere.output(["cat", "/proc/net/snmp"]).split(separator: "\n").filter {
            $0.hasPrefix("Udp:")
        }.map { $0.split(separator: " ") }
        guard rows.count == 2, let place = rows[0].firstIndex(of: "RcvbufErrors"), rows[1].indices.contains(place),
            let count = Double(rows[1][place])
        else { throw LabError("count datagrams", "\(rows)") }
        return count
    }

    private func run(
        _ path: ServicePath, _ mode: String, _ options: [String], seconds: Double, warmup: Double = 0
    ) async throws -> String {
        let (address, port) = destination(of: path)
        let command =
            [try BuiltProducts.path(of: "apus-traffic"), mode, "--json", "--cpu", "\(Mode.pinned.clientCPU)"]
            + ["--seconds", "\(seconds)", "--warmup", "\(warmup)"] + options + ["\(address)", "\(port)"]
        let result = try await client(of: path).run(command, within: .seconds(seconds + warmup + 15))
        guard result.succeeded else { throw LabError("measure \(kind.name), \(path.title)", "\(result)") }
        return result.output
    }
}
