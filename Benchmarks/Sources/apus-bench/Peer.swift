import Addressing
import TestSupport

/// A network that is up and can be measured.
struct Peer: Sendable {
    let kind: PeerKind
    let client: LabHost
    let server: ServerSet
    /// The agent of its node, if it has one of its own.
    let agent: ApusAgent?
    /// Whether the client runs where socket programs see it.
    let isCovered: Bool

    /// Puts all processes but the client where a mode wants them.
    func prepare(for mode: Mode) async throws {
        guard kind == kind.owner else { return }
        try await mode.confine(servers: server.processes, agent)
    }

    /// The address that a client uses for a destination.
    func address(of destination: Destination) -> IPAddress {
        destination == .clusterIP ? ServiceFixture.clusterIP : server.host.ipv4
    }
}

/// The server processes of a network: one for each protocol and destination.
struct ServerSet: Sendable {
    let host: LabHost
    let processes: [ChildProcess]

    /// Starts the servers. Each handles one connection at a time with the fewest system calls.
    init(on host: LabHost) async throws {
        self.host = host
        var processes: [ChildProcess] = []
        for destination in Destination.allCases {
            let options = ["--serial", "--congestion", Measurement.congestionControl]
            processes.append(try await host.serve(port: destination.port, over: .tcp, options: options))
            processes.append(try await host.serve(port: destination.port, over: .udp, options: ["--serial"]))
        }
        self.processes = processes
    }
}

extension Mode {
    /// Puts servers and the agent of a network where the mode wants them.
    func confine(servers: [ChildProcess], _ agent: ApusAgent?) async throws {
        for process in servers { try await Self.confine(process, toCPUs: "\(serverCPU)") }
        if let agent { try await Self.confine(agent.process, toCPUs: agentCPUs) }
    }

    private static func confine(_ process: ChildProcess, toCPUs cpus: String) async throws {
        let result = try await run(["taskset", "--all-tasks", "--cpu-list", "--pid", cpus, "\(process.pid)"])
        guard result.succeeded else { throw LabError("confine a process to CPU \(cpus)", result.errors) }
    }
}
