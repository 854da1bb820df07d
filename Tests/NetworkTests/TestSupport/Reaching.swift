import Addressing
import TestSupport

extension LabHost {
    /// Waits until twenty connections, or datagrams of a port each, are answered by all of these servers and no other.
    func expect(
        _ servers: Set<String>, at address: IPAddress, _ port: Port, over ipProtocol: IPProtocol, covered: Bool = true
    ) async throws {
        let place = covered ? "" : ", per packet"
        try await eventually("\(name) to reach \(servers) at \(address):\(port) by \(ipProtocol)\(place)") {
            let report = try await load(
                address, port, over: ipProtocol, options: ["--count", "20", "--timeout-ms", "5000"], covered: covered)
            guard report.failed == 0, Set(report.ids.keys) == servers else { throw LabError(name, "\(report)") }
            return true
        }
    }
}
