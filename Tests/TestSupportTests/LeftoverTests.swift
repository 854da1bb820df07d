import Foundation
import TestSupport
import Testing

/// `scripts/lib/leftovers.sh`, which ends every run of the tests.
@Suite struct Leftovers {
    private static let script = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../scripts/lib/leftovers.sh").standardizedFileURL.path

    /// A proc file system with processes: the paths of their cgroups and the names of their programs by their ids.
    private func found(_ processes: [Int: (cgroup: String, program: String)]) async throws -> [String] {
        let proc = FileManager.default.temporaryDirectory.appending(path: "apus-leftovers-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: proc) }
        for (id, process) in processes {
            let folder = proc.appending(path: "\(id)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try "0::\(process.cgroup)\n".write(to: folder.appending(path: "cgroup"), atomically: true, encoding: .utf8)
            try "\(process.program)\n".write(to: folder.appending(path: "comm"), atomically: true, encoding: .utf8)
        }
        let result = try await run(["bash", "-euc", ". '\(Self.script)'; processes_of_labs '\(proc.path)'"])
        #expect(result.succeeded, "\(result.errors)")
        return result.output.split(separator: "\n").map(String.init).sorted()
    }

    @Test func whateverRunsInACgroupOfADeadLabIsFound() async throws {
        let left = try await found([
            10: ("/apus-77-1/node/covered", "nginx"), 11: ("/apus-77-2", "dnsmasq"),
            12: ("/unified/apus-77-3/pod-web (deleted)", "sleep"),
        ])
        #expect(left == ["10 nginx of apus-77-1", "11 dnsmasq of apus-77-2", "12 sleep of apus-77-3"])
    }

    @Test func whatBelongsToALabInUseOrToNoneIsNot() async throws {
        let left = try await found([
            77: ("/user.slice", "apus-demo"), 10: ("/apus-77-1/node", "nginx"), 11: ("/system.slice", "nginx"),
            12: ("/apus-agent", "apusd"), 13: ("/", "init"),
        ])
        #expect(left == [])
    }

    @Test func thisMachinesProcessesAreReadToo() async throws {
        let result = try await run(["bash", "-euc", ". '\(Self.script)'; processes_of_labs"])
        #expect(result.succeeded && result.errors.isEmpty, "\(result.errors)")
    }
}
