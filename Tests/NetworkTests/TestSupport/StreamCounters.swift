import TestSupport

extension LabHost {
    /// What the host's kernel has counted of TCP, by the names that it has in `/proc/net/snmp` and `/proc/net/netstat`.
    func streamCounters() async throws -> [String: Int] {
        let text = try await output(["cat", "/proc/net/snmp", "/proc/net/netstat"])
        let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
        var counters: [String: Int] = [:]
        // Each line of names is followed by one of values.
        for (names, values) in zip(lines, lines.dropFirst())
        where names.first == values.first && (names.first == "Tcp:" || names.first == "TcpExt:") {
            for (name, value) in zip(names, values).dropFirst() { counters[String(name)] = Int(value) }
        }
        return counters
    }
}
