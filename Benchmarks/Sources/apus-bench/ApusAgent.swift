import Foundation
import TestSupport

/// The agent of a lab's node.
struct ApusAgent: Sendable {
    let process: ChildProcess
    let node: LabHost
    /// Where its maps and links are pinned.
    let bpffs: String
    /// The directory of its objects.
    let manifests: String
    /// From its start until connections to the Service succeed.
    let startup: Duration

    /// A port of the server that no policy allows.
    static let forbiddenPort: UInt16 = 7009

    /// Starts it and waits until it translates Services and enforces policy.
    init(_ kind: PeerKind, in lab: Lab, node: LabHost, pods: [LabHost], _ fixture: ServiceFixture) async throws {
        let (client, server) = (pods[0], pods[1])
        let manifests = Manifests(
            node: node.name, nodeAddress: node.ipv4, client: client.ipv4, server: server.ipv4, fixture)
        try await self.init(
            kind.rawValue, in: lab, node: node, manifests: manifests.files,
            options: ["--flow-detail", kind == .apusSilent ? "none" : "connections"]
        ) {
            let outcome = try await client.ask(
                ServiceFixture.clusterIP, Destination.clusterIP.port, within: .seconds(1))
            return outcome == .answered(server.name)
        }
        try await Self.requirePolicy(client, server)
    }

    /// Starts it with manifests of its own.
    ///
    /// - Parameters:
    ///   - title: What errors call it.
    ///   - manifests: File names and their contents.
    ///   - isReady: Whether it does what it is started for.
    init(
        _ title: String, in lab: Lab, node: LabHost, manifests: [String: String], options: [String],
        isReady: () async throws -> Bool
    ) async throws {
        let directory = lab.directory + "/manifests"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for (name, text) in manifests {
            try text.write(toFile: "\(directory)/\(name)", atomically: true, encoding: .utf8)
        }
        try await self.init(
            title, in: lab, node: node, options: ["--manifests", directory] + options, within: .seconds(60),
            isReady: isReady)
    }

    /// Starts it with whatever options say where its objects are.
    init(
        _ title: String, in lab: Lab, node: LabHost, options: [String], within bound: Duration,
        isReady: () async throws -> Bool
    ) async throws {
        let started = ContinuousClock.now
        let command = try Self.command(lab, node) + options
        let process = try node.spawn(command, log: lab.directory + "/log")
        try await eventually("the agent of \(title)", within: bound) {
            let isReady = try await isReady()
            return isReady || process.result != nil
        }
        if process.result != nil { throw LabError("run apusd for \(title)", Self.log(of: lab)) }
        startup = .now - started
        self.process = process
        self.node = node
        self.manifests = lab.directory + "/manifests"
        bpffs = Self.bpffs(of: lab)
    }

    /// Writes a file of its objects.
    func write(_ file: String, _ text: String) throws {
        try text.write(toFile: "\(manifests)/\(file)", atomically: true, encoding: .utf8)
    }

    /// The resident memory of the agent, in MiB.
    func residentMemory() throws -> Double { try memory("VmRSS") }

    /// The most that it has been since its start.
    func mostResidentMemory() throws -> Double { try memory("VmHWM") }

    private func memory(_ field: String) throws -> Double {
        let status = try String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
        for line in status.split(separator: "\n") where line.hasPrefix("\(field):") {
            if let kibibytes = line.split(separator: " ").dropLast().last.flatMap({ Double($0) }) {
                return kibibytes / 1024
            }
        }
        throw LabError("read the memory of apusd", status)
    }

    /// The CPU time that all its threads have used so far, in seconds (proc(5), fields 14 and 15 of stat).
    func cpuSeconds() throws -> Double {
        let stat = try String(contentsOfFile: "/proc/\(process.pid)/stat", encoding: .utf8)
        let fields = stat.suffix(from: stat.lastIndex(of: ")") ?? stat.startIndex).split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else {
            throw LabError("read the CPU time of apusd", stat)
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func command(_ lab: Lab, _ node: LabHost) throws -> [String] {
        [
            try BuiltProducts.path(of: "apusd"), "--node", node.name, "--bpffs", Self.bpffs(of: lab), "--cgroup",
            node.cgroup, "--uplink", node.interface, "--socket", lab.directory + "/apus.sock",
        ]
    }

    private static func bpffs(of lab: Lab) -> String { lab.bpffs + "/apus" }

    private static func log(of lab: Lab) -> String {
        (try? String(contentsOfFile: lab.directory + "/log", encoding: .utf8)) ?? ""
    }

    /// Numbers without policy would be worth nothing: a port that no policy allows must not answer.
    static func requirePolicy(_ client: LabHost, _ server: LabHost) async throws {
        let listener = try await server.serve(port: forbiddenPort)
        let outcome = try await client.ask(server.ipv4, forbiddenPort, within: .milliseconds(300))
        await listener.stop()
        guard outcome == .timedOut else { throw LabError("check that policy is enforced", "\(outcome)") }
    }
}
