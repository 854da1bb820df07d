import Foundation
import Synchronization
import TestSupport

/// The agent of the lab's node, and `apus` next to it.
final class NodeAgent: Sendable {
    let lab: Lab
    /// The manifests that it reads and follows.
    let manifests: String
    private let running = Mutex<ChildProcess?>(nil)

    init(lab: Lab, manifests: String) {
        self.lab = lab
        self.manifests = manifests
    }

    /// Where its maps and links are pinned.
    var bpffs: String { lab.bpffs + "/apus" }
    /// The socket that `apus` asks it at.
    var socket: String { lab.directory + "/apus.sock" }
    /// What it logs.
    var log: String { lab.directory + "/apusd.log" }
    /// The process id; nil before the first start.
    var pid: Int32? { running.withLock { $0?.pid } }

    /// What makes `apus` and `apusd` find this agent and its directories instead of the machine's own.
    var environment: [String: String] {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        return [
            "APUS_BPFFS": bpffs, "APUS_SOCKET": socket, "APUS_CNI_CONF_DIR": "\(lab.directory)/net.d",
            "APUS_CNI_BIN_DIR": "\(lab.directory)/cni-bin", "PATH": "\(Self.binaries):\(path)",
        ]
    }

    /// The directory of `apusd` and `apus`.
    static var binaries: String {
        let path = (try? BuiltProducts.path(of: "apus")) ?? ""
        return URL(fileURLWithPath: path).deletingLastPathComponent().path
    }

    /// The command line without what only a lab needs.
    var shortCommand: String { "apusd --node \(Shop.node) --manifests manifests &" }

    /// The whole command line, for a shell in the lab's directory that has the environment.
    var restartCommand: String {
        "apusd --node \(Shop.node) --manifests manifests --cgroup \(lab.node(Shop.node).cgroup) "
            + "--uplink \(lab.node(Shop.node).interface) >>apusd.log 2>&1"
    }

    /// Starts it and waits until the kernel holds what the manifests say.
    func start() async throws {
        let node = lab.node(Shop.node)
        let process = try node.spawn(
            [
                try BuiltProducts.path(of: "apusd"), "--node", node.name, "--manifests", manifests, "--bpffs", bpffs,
                "--cgroup", node.cgroup, "--uplink", node.interface, "--socket", socket,
            ], log: log)
        running.withLock { $0 = process }
        try await eventually("apusd", every: .milliseconds(20)) {
            if let result = process.result { throw LabError("run apusd", "\(result.ending)") }
            return try await isReady()
        }
    }

    /// Ends it without giving it a chance to say goodbye.
    func kill() async {
        let process = running.withLock { $0 }
        process?.signal(SIGKILL)
        _ = await process?.exit()
    }

    /// Asks it to end and waits.
    func stop() async {
        let process = running.withLock { $0 }
        await process?.stop()
    }

    private func isReady() async throws -> Bool {
        let answer = try await apus("apus status -o json")
        guard answer.succeeded else { return false }
        let status = try JSONDecoder().decode(Status.self, from: Data(answer.output.utf8))
        return status.agent.status?.programmed == Status.Programmed(attached: Shop.podCount, services: 2, policies: 3)
    }

    /// Runs a line of shell on the node, with `apus` on the path.
    func apus(_ line: String) async throws(LabError) -> ProcessResult {
        try await lab.node(Shop.node).run(
            ["sh", "-c", "cd \(lab.directory) && \(line)"], environment: environment)
    }

    /// The part of `apus status -o json` that tells whether the agent is ready.
    private struct Status: Decodable {
        struct Agent: Decodable { var status: Report? }
        struct Report: Decodable { var programmed: Programmed }
        struct Programmed: Decodable, Equatable { var attached, services, policies: Int }

        var agent: Agent
    }
}
