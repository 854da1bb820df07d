internal import Addressing
internal import Foundation
internal import Glibc
internal import Synchronization

/// A network made of namespaces: nodes with pods, outside hosts, a fabric between them; and the cgroups and the bpffs
/// that an agent under test works in. Nothing of it touches the machine's own namespace, interfaces or root cgroup.
///
/// Make one with `withLab`. Should the test process crash, a watchdog removes what it left.
public final class Lab: Sendable {
    /// The lab's unique name: `apus-<pid>-<number>`.
    public let id: String
    /// The lab's own directory, removed with the lab: for sockets, manifests, logs.
    public let directory: String
    /// The cgroup v2 directory of the lab.
    public let cgroup: String

    private let cgroupMount: String
    private let watchdog: ChildProcess
    private let state = Mutex(State())

    private struct State {
        var hosts: [String: LabHost] = [:]
        var nodeOfPod: [String: String] = [:]
        var processes: [ChildProcess] = []
        var isKept = false
    }

    private static let count = Atomic<Int>(0)

    /// The bpffs of one agent: mounted for this lab alone.
    public var bpffs: String { "\(directory)/bpf" }

    /// Builds a lab, after removing what dead test processes left behind. Prefer `withLab`.
    public init(_ plan: LabPlan) async throws(LabError) {
        cgroupMount = try CgroupMount.find()
        try await LabRemoval.sweep(cgroups: cgroupMount)
        let number = Self.count.add(1, ordering: .relaxed).newValue
        id = LabName.make(pid: getpid(), number: number)
        directory = "\(LabRemoval.root)/\(id)"
        cgroup = "\(cgroupMount)/\(id)"
        watchdog = try ChildProcess(["sh", "-c", LabRemoval.watchdog, "lab-watchdog", id, cgroupMount])
        do {
            try makeDirectory()
            try await build(plan)
        } catch {
            await tearDown()
            throw error
        }
    }

    /// Kills what runs in the lab and removes all of it; a kept lab stays.
    public func tearDown() async {
        let (isKept, processes) = state.withLock { state in
            defer { state.processes = [] }
            return (state.isKept, state.processes)
        }
        if isKept { return }
        for process in processes { process.signal(SIGKILL) }
        for process in processes { _ = await process.exit() }
        watchdog.closeInput()
        _ = await watchdog.exit(orKillAfter: .patience)
    }

    /// Leaves the lab and its processes as they are when this process ends; `Lab.remove` ends it later.
    ///
    /// Processes that shall outlive this one need a `log`: what they write to a pipe that nobody reads kills them.
    public func keep() async throws(LabError) {
        guard FileManager.default.createFile(atPath: "\(directory)/keep", contents: nil) else {
            throw LabError("keep lab \(id)", "cannot write to \(directory)")
        }
        state.withLock { $0.isKept = true }
        watchdog.write("keep\n")
        _ = await watchdog.exit(orKillAfter: .patience)
    }

    /// Removes a lab that was kept.
    public static func remove(_ id: String) async throws(LabError) {
        guard LabName.id(in: id) == id else { throw LabError("remove lab \(id)", "not the name of a lab") }
        try await LabRemoval.remove(id, cgroups: CgroupMount.find())
    }

    /// The labs that exist on this machine: of every process, running and kept.
    public static func all() throws(LabError) -> [String] {
        try LabRemoval.existing(cgroups: CgroupMount.find()).sorted()
    }
}

extension Lab {
    /// A node of the lab.
    public func node(_ name: String) -> LabHost { host(name) }
    /// A pod of the lab.
    public func pod(_ name: String) -> LabHost { host(name) }
    /// An outside host of the lab, or one of a pair.
    public func outside(_ name: String) -> LabHost { host(name) }

    /// Any host of the lab; traps when there is none of that name.
    public func host(_ name: String) -> LabHost {
        guard let host = state.withLock({ $0.hosts[name] }) else { preconditionFailure("no host '\(name)' in the lab") }
        return host
    }

    /// Adds a pod to a node of the running lab.
    @discardableResult
    public func addPod(_ pod: PodPlan, to node: String) async throws(LabError) -> LabHost {
        var script = LabScript(id: id)
        script.add(namespaces: [pod.name])
        script.join(pod, to: node)
        let host = register(pod, of: node)
        try makeCgroups(of: [host])
        try await execute(script)
        return host
    }

    /// Adds pods whose namespaces have no interfaces, for a CNI plugin to make them.
    public func addUnconnectedPods(_ names: [String], to node: String) async throws(LabError) -> [LabHost] {
        var script = LabScript(id: id)
        script.add(namespaces: names)
        let hosts = names.map { register(PodPlan($0, addresses: []), of: node, isConnected: false) }
        try makeCgroups(of: hosts)
        try await execute(script)
        return hosts
    }

    /// Ends a pod's processes and removes its interface and namespace; its name and addresses can be used again.
    public func removePod(_ name: String) async throws(LabError) {
        let pod = host(name)
        let node = state.withLock { $0.nodeOfPod[name] } ?? ""
        var script = LabScript(id: id)
        for group in [pod.cgroup, pod.uncoveredCgroup] {
            script.add(command: "echo 1 >\(group)/cgroup.kill")
            script.add(command: "until rmdir \(group) 2>/dev/null; do sleep 0.01; done")
        }
        if let device = pod.hostInterface { script.add(in: node, ["link del \(device)"]) }
        script.add(command: "ip netns del \(pod.namespace)")
        try await execute(script)
        state.withLock { state in
            state.hosts[name] = nil
            state.nodeOfPod[name] = nil
        }
    }

    /// Makes the lab responsible for ending a process.
    func adopt(_ process: ChildProcess) {
        state.withLock { state in
            state.processes.removeAll { $0.result != nil }
            state.processes.append(process)
        }
    }
}

extension Lab {
    private func makeDirectory() throws(LabError) {
        do {
            try FileManager.default.createDirectory(atPath: bpffs, withIntermediateDirectories: true)
            let started = ProcessTable.startTime(of: getpid()) ?? ""
            try started.write(toFile: "\(directory)/owner", atomically: true, encoding: .utf8)
        } catch {
            throw LabError("make \(directory)", "\(error)")
        }
    }

    private func build(_ plan: LabPlan) async throws(LabError) {
        var script = LabScript(id: id)
        script.add(command: "mount -t bpf apus-lab \(bpffs)")
        let hosts = register(plan)
        script.add(namespaces: hosts.map(\.name))
        for node in plan.nodes { script.add(forwarding: node.name) }
        if !plan.nodes.isEmpty || !plan.outside.isEmpty { script.addFabric(plan) }
        for pair in plan.pairs { script.join(pair) }
        for node in plan.nodes {
            for pod in node.pods { script.join(pod, to: node.name) }
        }
        try makeCgroups(of: hosts)
        try await execute(script)
    }

    private func execute(_ script: LabScript) async throws(LabError) {
        let result = try await run(["sh", "-eu"], input: script.text)
        guard result.succeeded else { throw LabError("build lab \(id)", "\(result.errors)\nof\n\(script.text)") }
    }

    private func register(_ plan: LabPlan) -> [LabHost] {
        var hosts = plan.nodes.map { node in
            register(node.name, node.addresses, covered: "\(node.name)/covered", uncovered: "\(node.name)/uncovered")
        }
        for node in plan.nodes { hosts += node.pods.map { register($0, of: node.name) } }
        let outside =
            plan.outside.map { ($0.name, $0.addresses) } + plan.pairs.map { ($0.names.left, $0.addresses.left) }
            + plan.pairs.map { ($0.names.right, $0.addresses.right) }
        hosts += outside.map { register($0, $1, covered: "outside/\($0)", uncovered: "outside/\($0)") }
        return hosts
    }

    private func register(_ pod: PodPlan, of node: String, isConnected: Bool = true) -> LabHost {
        state.withLock { $0.nodeOfPod[pod.name] = node }
        return register(
            pod.name, pod.addresses, interface: isConnected ? LabHost.hostInterface(of: pod.name) : nil,
            covered: "\(node)/covered/pod-\(pod.name)", uncovered: "\(node)/uncovered/pod-\(pod.name)")
    }

    private func register(
        _ name: String, _ addresses: [IPAddress], interface: String? = nil, covered: String, uncovered: String
    ) -> LabHost {
        precondition(
            name != LabScript.fabric && name.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "-") },
            "'\(name)' cannot be the name of a host")
        let host = LabHost(
            name: name, namespace: "\(id)-\(name)", addresses: addresses, hostInterface: interface,
            cgroup: "\(cgroup)/\(covered)", uncoveredCgroup: "\(cgroup)/\(uncovered)", lab: self)
        let taken = state.withLock { $0.hosts.updateValue(host, forKey: name) != nil }
        precondition(!taken, "two hosts of the lab are called '\(name)'")
        return host
    }

    private func makeCgroups(of hosts: [LabHost]) throws(LabError) {
        do {
            for host in hosts {
                for group in [host.cgroup, host.uncoveredCgroup] {
                    try FileManager.default.createDirectory(atPath: group, withIntermediateDirectories: true)
                }
            }
        } catch {
            throw LabError("make the cgroups of \(id)", "\(error)")
        }
    }
}

/// Builds a lab, lends it and removes it, also when the body throws.
public func withLab<Result>(
    _ plan: LabPlan, isolation: isolated (any Actor)? = #isolation, _ body: (Lab) async throws -> Result
) async throws -> Result {
    let lab = try await Lab(plan)
    do {
        let result = try await body(lab)
        await lab.tearDown()
        return result
    } catch {
        await lab.tearDown()
        throw error
    }
}
