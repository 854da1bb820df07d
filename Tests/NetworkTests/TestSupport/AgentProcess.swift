import AgentAPI
import Datapath
import Flows
import Foundation
import Glibc
import Synchronization
import TestSupport

/// The real agent on a node of a lab: it can be killed and started again over the same pins.
final class AgentProcess: Sendable {
    let node: LabHost
    /// What it reads; edit it at will.
    let manifests: ManifestDirectory
    /// Where it pins.
    let bpffs: String
    let socket: String
    let log: String
    private let lab: Lab
    /// The options that name where its objects come from.
    private let source: [String]
    private let state: Mutex<State>

    private struct State {
        var process: ChildProcess?
        var options: [String]
        var program = "apusd"
    }

    /// - Parameter apiServer: what it follows; nil: the directory itself.
    init(
        _ lab: Lab, node: String = "node-a", manifests: ManifestDirectory, apiServer: LabAPIServer? = nil,
        options: [String] = []
    ) {
        self.lab = lab
        source = apiServer.map { ["--kubeconfig", $0.kubeconfig] } ?? ["--manifests", manifests.path]
        self.node = lab.node(node)
        self.manifests = manifests
        // The agents of one lab share its directory.
        let name = node == "node-a" ? "" : "-\(node)"
        bpffs = "\(lab.bpffs)/apus\(name)"
        socket = "\(lab.directory)/apus\(name).sock"
        log = "\(lab.directory)/apusd\(name).log"
        state = Mutex(State(options: options))
    }

    /// Starts it and waits until everything that is wanted is in force.
    static func started(
        _ lab: Lab, manifests: ManifestDirectory, options: [String] = []
    ) async throws -> AgentProcess {
        let agent = AgentProcess(lab, manifests: manifests, options: options)
        try agent.start()
        try await agent.ready()
        return agent
    }

    /// Options of the next start in place of those so far.
    func use(options: [String]) { state.withLock { $0.options = options } }

    /// Another build for the next starts in place of the one so far.
    func use(program: String, options: [String]) {
        state.withLock { ($0.program, $0.options) = (program, options) }
    }

    /// Maps of a small node: those of a large one take a debug build long to read. What comes later on the command
    /// line wins.
    private static let sizes = [
        "--map-size-connections", "16384", "--map-size-half-open", "4096", "--map-size-endpoints", "64",
        "--map-size-services", "256", "--map-size-backends", "512", "--map-size-slots", "2048", "--map-size-policy",
        "1024",
    ]

    private func command(socket: String, options: [String]) throws -> [String] {
        [try BuiltProducts.path(of: state.withLock { $0.program }), "--node", node.name] + source
            + ["--bpffs", bpffs, "--cgroup", node.cgroup, "--uplink", node.interface, "--socket", socket] + Self.sizes
            + options
    }

    /// Runs another one over the same pins, which is to end soon.
    func runSecond(options: [String]) async throws -> ProcessResult {
        try await node.run(try command(socket: socket + ".2", options: options), covered: false)
    }

    /// Starts it, without waiting for anything.
    func start() throws {
        let command = try command(socket: socket, options: state.withLock { $0.options })
        // Not among the processes whose sockets it translates.
        let process = try node.spawn(command, covered: false, log: log)
        state.withLock { $0.process = process }
    }

    /// Waits until all objects are read, written and attached.
    func ready(within bound: Duration = .patience) async throws {
        try await eventually("the agent to be ready", within: bound, every: .milliseconds(20)) {
            if let result = self.process?.result {
                throw LabError("run apusd", "\(result.ending)\n\(self.logged)")
            }
            let status = try await self.client.status()
            let programmed = status.programmed
            guard status.origin?.synced == true, status.sources.allSatisfy(\.synced),
                programmed.attached == programmed.endpoints,
                status.applying.pendingRetries == 0
            else { throw LabError("apusd", "\(status)\n\(self.logged)") }
            return true
        }
    }

    /// The running or ended process.
    var process: ChildProcess? { state.withLock { $0.process } }

    /// Everything it has logged.
    var logged: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// Kills it with no chance to tidy up.
    func kill() async {
        process?.signal(SIGKILL)
        _ = await process?.exit()
    }

    /// Asks it to end and returns how it did.
    @discardableResult
    func terminate() async -> ProcessResult? { await process?.stop() }

    /// Ends it, starts it again and waits until it is ready.
    func restart(options: [String]? = nil) async throws {
        if let options { use(options: options) }
        await terminate()
        try start()
        try await ready()
    }
}

/// Questions to the agent and to the data path.
extension AgentProcess {
    /// A client with patience: on a busy machine an answer takes as long as what runs beside it.
    var client: AgentClient {
        var limits = AgentClient.Limits()
        (limits.helloTime, limits.answerTime) = (.patience, .patience)
        return AgentClient(path: socket, limits: limits)
    }

    /// Runs `apus`.
    func apus(_ arguments: String...) async throws -> ProcessResult {
        let command = [try BuiltProducts.path(of: "apus")] + arguments + ["--bpffs", bpffs, "--socket", socket]
        return try await node.run(command, covered: false)
    }

    /// Where a container runtime of the lab would look for CNI configurations.
    var cniConfigurations: String { "\(lab.directory)/net.d" }
    /// And for plugins.
    var cniPrograms: String { "\(lab.directory)/cni-bin" }

    /// Runs `apusd cleanup`, away from the machine's own CNI configuration.
    ///
    /// - Parameter place: where it looks for pins; nil: where the agent has them.
    @discardableResult
    func cleanUp(bpffs place: String? = nil) async throws -> ProcessResult {
        let command = [
            try BuiltProducts.path(of: "apusd"), "cleanup", "--bpffs", place ?? bpffs, "--socket", socket,
            "--cni-conf-dir", cniConfigurations, "--cni-bin-dir", cniPrograms,
        ]
        return try await node.run(command, covered: false)
    }

    /// The pods in the maps.
    func endpoints() throws -> [EndpointReading] { try DatapathReader(bpffs: bpffs).endpoints() }

    /// Packets dropped for a reason so far, in both directions.
    func drops(_ reason: DropReason) throws -> UInt64 {
        try DatapathReader(bpffs: bpffs).drops().filter { $0.reason == reason }.reduce(0) { $0 + $1.dropped.packets }
    }

    /// The flows that the agent has kept.
    func flows(_ filter: FlowFilter = FlowFilter()) async throws -> [Flow] {
        let found = Mutex<[Flow]>([])
        try await client.flows(FlowQuery(last: 100_000, filter: filter)) { flow in found.withLock { $0.append(flow) } }
        return found.withLock { $0 }
    }

    /// Waits for a flow and returns it.
    func flow(
        _ what: String, within bound: Duration = .patience, where matches: @Sendable (Flow) -> Bool
    ) async throws -> Flow {
        var found: Flow?
        try await eventually("the flow of \(what)", within: bound, every: .milliseconds(50)) {
            let flows = try await self.flows()
            found = flows.last(where: matches)
            guard found != nil else { throw LabError("look for a flow", flows.map { "\($0)" }.joined(separator: "\n")) }
            return true
        }
        guard let found else { throw LabError("look for a flow", what) }
        return found
    }

    /// What is wrong now, as `apus status` tells it.
    func diagnostics() async throws -> [AgentDiagnostic] { try await client.status().diagnostics }
}
