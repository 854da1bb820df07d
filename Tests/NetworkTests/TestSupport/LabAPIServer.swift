import Foundation
import Synchronization
import TestSupport

/// A small API server on a host of a lab: it serves the manifests of a directory. It can be killed and started again.
final class LabAPIServer: Sendable {
    private static let port = 6443
    /// What it serves; edit it at will.
    let manifests: ManifestDirectory
    /// A file that leads to it.
    let kubeconfig: String
    private let host: LabHost
    private let process = Mutex<ChildProcess?>(nil)

    init(_ lab: Lab, host: String = "outside", manifests: ManifestDirectory) throws {
        self.host = lab.host(host)
        self.manifests = manifests
        kubeconfig = "\(lab.directory)/kubeconfig"
        let text = """
            current-context: lab
            contexts: [{name: lab, context: {cluster: lab, user: agent}}]
            clusters: [{name: lab, cluster: {server: "http://\(self.host.ipv4):\(Self.port)"}}]
            users: [{name: agent, user: {token: lab-token}}]

            """
        try text.write(toFile: kubeconfig, atomically: true, encoding: .utf8)
    }

    /// Starts it and waits until it listens.
    func start() async throws {
        let command = [try BuiltProducts.path(of: "apus-api-server"), "--token", "lab-token", manifests.path]
        let started = try host.spawn(command, covered: false)
        process.withLock { $0 = started }
        try await eventually("the API server to listen") {
            if let result = started.result { throw LabError("apus-api-server", "\(result)") }
            return started.lines.contains { $0.hasPrefix("listening") }
        }
    }

    /// Asks it for a list, as JSON.
    func get(_ path: String, from asker: LabHost) async throws -> String {
        let result = try await asker.run(
            [
                "curl", "-sS", "--max-time", "60", "-H", "Authorization: Bearer lab-token",
                "http://\(host.ipv4):\(Self.port)\(path)",
            ], covered: false)
        guard result.succeeded else { throw LabError("ask the API server for \(path)", result.errors) }
        return result.output
    }

    /// Drops what comes for it and what it says, or no longer, as a network does that has lost the way: nobody is told.
    func cutOff(_ isCutOff: Bool) async throws {
        for (chain, port) in [("INPUT", "--dport"), ("OUTPUT", "--sport")] {
            _ = try await host.output(
                ["iptables", isCutOff ? "-A" : "-D", chain, "-p", "tcp", port, "\(Self.port)", "-j", "DROP"])
        }
    }

    /// Ends it at once, as a crash does.
    func kill() async {
        let running = process.withLock { $0 }
        running?.signal(SIGKILL)
        _ = await running?.exit()
    }
}
