import Foundation
import TestSupport
import Testing

/// What is left of a lab on this machine, in words.
func remains(of id: String) throws -> [String] {
    let namespaces = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
    let mounts = try String(contentsOfFile: "/proc/self/mounts", encoding: .utf8).split(separator: "\n").map(
        String.init)
    var remains =
        namespaces.filter { $0.hasPrefix(id + "-") }
        + mounts.filter { $0.contains("/\(id)/") || $0.contains("/\(id)-") }
    for directory in ["/run/apus-lab/\(id)", "\(try CgroupMount.find())/\(id)"]
    where FileManager.default.fileExists(atPath: directory) {
        remains.append(directory)
    }
    return remains
}

/// Whether a process exists and is no zombie.
func isRunning(_ pid: Int32) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return !status.contains(") Z ")
}

@Suite struct LabRemovals {
    struct Thrown: Error {}

    @Test(arguments: [false, true])
    func nothingIsLeftOfALab(throwing: Bool) async throws {
        var seen = ""
        var pids: [Int32] = []
        do {
            try await withLab(.oneNode(pods: ["web"])) { lab in
                seen = lab.id
                pids.append(try await lab.pod("web").serve(port: 80).pid)
                pids.append(try lab.node("node-a").spawn(["sh", "-c", "trap '' TERM; while :; do sleep 60; done"]).pid)
                #expect(pids.allSatisfy(isRunning))
                #expect(try remains(of: lab.id).count >= 5)
                if throwing { throw Thrown() }
            }
            #expect(!throwing)
        } catch is Thrown {}
        #expect(try remains(of: seen) == [])
        #expect(!pids.contains(where: isRunning))
    }

    @Test func aLabOfADeadProcessIsSweptByTheNextOne() async throws {
        let mount = try CgroupMount.find()
        let script = """
            id=apus-$$-1
            mkdir -p /run/apus-lab/$id/bpf \(mount)/$id/node/covered
            ip netns add $id-node
            mount -t bpf none /run/apus-lab/$id/bpf
            setsid sh -c 'echo 0 >'\(mount)/$id'/node/covered/cgroup.procs; exec sleep 600' >/dev/null 2>&1 &
            for try in $(seq 6000); do grep . \(mount)/$id/node/covered/cgroup.procs && break; sleep 0.01; done
            echo $id
            """
        let made = try await run(["sh", "-euc", script])
        #expect(made.succeeded, "\(made.errors)")
        let lines = made.output.split(separator: "\n").map(String.init)
        let (pid, id) = (try #require(lines.first.flatMap(Int32.init)), try #require(lines.last))
        try await withLab(LabPlan()) { _ in }
        try await eventually("the end of \(id)") { try remains(of: id) == [] }  // a test beside may sweep it
        #expect(!isRunning(pid))
    }

    @Test func aKeptLabStaysUntilItIsRemoved() async throws {
        let lab = try await Lab(.oneNode(pods: ["web"]))
        try await lab.keep()
        #expect(try remains(of: lab.id).count >= 5)
        try await lab.pod("web").serve(port: 80)
        try await Lab.remove(lab.id)
        let left = try remains(of: lab.id)
        #expect(left == [])
        await lab.tearDown()
        await #expect(throws: LabError.self) { try await Lab.remove("../etc") }
    }

    @Test func anAgentThatSomebodyStartedElsewhereEndsWithTheKeptLabAndNobodyElseDoes() async throws {
        let lab = try await Lab(.oneNode(pods: ["web"]))
        let pins = "\(lab.bpffs)/apus"
        try FileManager.default.createDirectory(atPath: pins, withIntermediateDirectories: true)
        // As an agent does, it holds the lock of its pins; the other one only works in the lab's namespace.
        let agent = try ChildProcess(["flock", "--no-fork", pins, "sleep", "600"])
        let namespace = "/run/netns/\(lab.pod("web").namespace)"
        let bystander = try ChildProcess(["nsenter", "--net=\(namespace)", "sleep", "600"])
        try await eventually("the lock") {
            try String(contentsOfFile: "/proc/locks", encoding: .utf8).contains(" \(agent.pid) ")
        }
        try await lab.keep()
        try await Lab.remove(lab.id)
        #expect(try remains(of: lab.id) == [])
        #expect(await agent.exit().ending == .killed(by: 9) && isRunning(bystander.pid))
        await bystander.stop()
        await lab.tearDown()
    }

    @Test func aPlanThatCannotBeBuiltLeavesNothing() async throws {
        var plan = LabPlan.oneNode(pods: ["web"])
        plan.nodes[0].addresses[0] = plan.nodes[0].pods[0].addresses[0]
        plan.nodes[0].pods[0].addresses.append(plan.nodes[0].pods[0].addresses[0])
        let error = try await #require(throws: LabError.self) { try await withLab(plan) { _ in } }
        let id = try #require(error.operation.split(separator: " ").last.map(String.init))
        #expect(id.hasPrefix("apus-"))
        #expect(try remains(of: id) == [])
    }
}

@Suite struct LabsOfCrashedProcesses {
    @Test func theWatchdogRemovesThem() async throws {
        let result = try await #require(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            let lab = try await Lab(.oneNode(pods: ["web"]))
            let server = try await lab.pod("web").serve(port: 80)
            FileHandle.standardOutput.write(Data("crashed \(lab.id) \(server.pid)\n".utf8))
            kill(getpid(), SIGKILL)
        }
        let output = String(decoding: result.standardOutputContent, as: UTF8.self)
        let line = try #require(output.split(separator: "\n").last { $0.hasPrefix("crashed ") })
        let words = line.split(separator: " ").map(String.init)
        try await eventually("the removal of \(words[1])") { try remains(of: words[1]) == [] }
        #expect(!isRunning(try #require(Int32(words[2]))))
    }
}
