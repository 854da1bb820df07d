import Foundation
import TestSupport

/// Where and of what the numbers are: without it they cannot be compared.
struct Machine: Sendable, Codable {
    var kernel: String
    var cpu: String
    var cpus: Int
    var commit: String
    var date: String
    /// Processes that wanted a CPU in the minute before the run: a quiet machine has far fewer than CPUs.
    var load: Double

    /// This machine.
    ///
    /// - Parameter commit: What was built.
    static func current(commit: String) -> Machine {
        Machine(
            kernel: read("/proc/sys/kernel/osrelease"), cpu: cpuModel(), cpus: ProcessInfo.processInfo.processorCount,
            commit: commit, date: Date.now.formatted(.iso8601),
            load: read("/proc/loadavg").split(separator: " ").first.flatMap { Double($0) } ?? 0)
    }

    private static func read(_ path: String) -> String {
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func cpuModel() -> String {
        for line in read("/proc/cpuinfo").split(separator: "\n") where line.hasPrefix("model name") {
            if let colon = line.firstIndex(of: ":") {
                return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            }
        }
        return "unknown"
    }
}
