public import Addressing

/// A host of a lab: a node, a pod, an outside host or one of a pair. Programs run inside its network namespace.
public struct LabHost: Sendable {
    /// Its name in the lab.
    public let name: String
    /// The name of its network namespace, for `ip -n` or `nsenter --net=/run/netns/…`.
    public let namespace: String
    /// The addresses that others reach it at.
    public let addresses: [IPAddress]
    /// For a pod: the name of the veth's other end, in the node's namespace.
    public let hostInterface: String?
    /// Where its processes run, below which an agent attaches to sockets; for a node, the directory to attach to.
    public let cgroup: String
    /// The directory of its processes that no agent's socket programs see: their packets need translation.
    public let uncoveredCgroup: String

    let lab: Lab

    /// The name of its interface, inside its namespace.
    public var interface: String { "eth0" }
    /// Its IPv4 address; traps when it has none.
    public var ipv4: IPAddress { address { $0.isIPv4 } }
    /// Its IPv6 address; traps when it has none.
    public var ipv6: IPAddress { address { !$0.isIPv4 } }
    /// A pod's hardware address.
    public var macAddress: MACAddress { Self.macAddress(for: addresses) }

    /// Runs a program inside the host to its end.
    ///
    /// - Parameters:
    ///   - bound: When it is killed.
    ///   - covered: Whether it runs in the cgroup that an agent attaches to.
    public func run(
        _ command: [String], input: String = "", environment: [String: String] = [:],
        within bound: Duration = .patience, covered: Bool = true
    ) async throws(LabError) -> ProcessResult {
        try await TestSupport.run(
            wrap(command, covered: covered, log: nil), input: input, environment: environment, within: bound)
    }

    /// Runs a program inside the host and returns what it printed; throws when it fails.
    @discardableResult
    public func output(_ command: [String], input: String = "", covered: Bool = true) async throws(LabError) -> String {
        let result = try await run(command, input: input, covered: covered)
        guard result.succeeded else {
            throw LabError("\(name): \(command.joined(separator: " "))", "\(result.ending) \(result.errors)")
        }
        return result.output
    }

    /// Starts a program inside the host that runs until it is stopped, at the latest with the lab.
    ///
    /// - Parameter log: A file that gets its output and errors, which then survive this process; without it they are
    ///   collected in memory.
    public func spawn(
        _ command: [String], environment: [String: String] = [:], covered: Bool = true, log: String? = nil
    ) throws(LabError) -> ChildProcess {
        let process = try ChildProcess(wrap(command, covered: covered, log: log), environment: environment)
        lab.adopt(process)
        return process
    }

    /// The command line that enters the host's cgroup and namespace first. Not `ip netns exec`: that mounts a new
    /// /sys, which hides bpffs and the cgroups from the program.
    public func wrap(_ command: [String], covered: Bool = true, log: String? = nil) -> [String] {
        let enter = """
            group=$1 namespace=$2 log=$3
            shift 3
            echo 0 >"$group/cgroup.procs" || exit 125
            [ -z "$log" ] || exec >>"$log" 2>&1
            exec nsenter --net=/run/netns/"$namespace" -- "$@"
            """
        return ["sh", "-c", enter, "enter", covered ? cgroup : uncoveredCgroup, namespace, log ?? ""] + command
    }

    /// The node's end of a pod's veth: readable where the name fits the kernel's 15 bytes, and always the same.
    static func hostInterface(of pod: String) -> String {
        if pod.utf8.count <= 13 { return "v-\(pod)" }
        let hash = pod.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }  // FNV-1a
        return "v-\(pod.prefix(4))-\(String(hash, radix: 16))"
    }

    /// A locally administered hardware address made of the last four bytes of the first address.
    static func macAddress(for addresses: [IPAddress]) -> MACAddress {
        MACAddress(bits: 0x0a58_0000_0000 | ((addresses.first?.low ?? 0) & 0xffff_ffff))
    }

    private func address(where matches: (IPAddress) -> Bool) -> IPAddress {
        guard let address = addresses.first(where: matches) else {
            preconditionFailure("\(name) has no address of that family")
        }
        return address
    }
}
