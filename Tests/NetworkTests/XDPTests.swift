import Addressing
import AgentAPI
import BPF
import Datapath
import Flows
import class Foundation.FileManager
import LinuxKernel
import TestSupport
import Testing

extension PodNetworkTests {
    /// Established connections of a client outside to a backend of another node, past the host's stack of a node.
    @Suite(.serialized) struct Shortcuts {
        @Test(.shows(.shortcutNative, .shortcutGeneric), arguments: ["native", "generic"])
        func anEstablishedConnectionGoesPastTheStack(_ mode: String) async throws {
            try await withShortcut(mode) { world in
                #expect(try await world.agent.apus("status").output.contains("eth0 \(mode)"))
                for talk in Talk.all {
                    let before = try world.counts()
                    try await world.expect(talk, rounds: 40)
                    let after = try world.counts()
                    // All but the first and last ones, in both directions.
                    #expect(after.forwarded >= before.forwarded + 70, "\(talk): \(before) to \(after)")
                    let row = mode == "native" ? ServiceRow.shortcutNative : .shortcutGeneric
                    row.seen(talk.ipProtocol, isIPv4: talk.isIPv4)
                }
                let counted = try await world.agent.metric("apus_xdp_packets_total", ["result": "forwarded"])
                #expect(try counted ?? 0 >= 280 && (counted ?? 0) <= Double(world.counts().forwarded))
                #expect(try await world.agent.apus("verify").succeeded)
                try await world.expectFlows()
            }
        }

        @Test func itOutlivesTheAgentAndGoesWhereItIsSwitchedOff() async throws {
            try await withShortcut("native") { world in
                let talk = Talk(isIPv4: true, ipProtocol: .tcp)
                let link = try #require(world.links().first { $0.hasSuffix("-native") })
                await world.agent.kill()
                let before = try world.counts()
                try await world.expect(talk, rounds: 40)
                #expect(try world.counts().forwarded >= before.forwarded + 70)
                try world.agent.start()
                try await world.agent.ready()
                #expect(try world.links().contains(link))
                try await world.expectForwarded(talk)
                try await world.agent.restart(options: ["--xdp", "generic"])
                #expect(try world.links().filter { $0.hasSuffix("-native") }.isEmpty)
                try await world.expectForwarded(talk)
                try await world.agent.restart(options: ["--xdp", "off"])
                #expect(try !world.links().contains { $0.hasSuffix("-native") || $0.hasSuffix("-generic") })
                let without = try world.counts()
                try await world.expect(talk, rounds: 10)
                #expect(try world.counts() == without)
            }
        }

        @Test func autoLeavesAVethAlone() async throws {
            try await withShortcut("auto") { world in
                #expect(try await world.agent.apus("status").output.contains("eth0 off (it is a veth)"))
                try await world.expect(Talk(isIPv4: true, ipProtocol: .tcp), rounds: 5)
                #expect(try world.counts() == ShortcutCounts(forwarded: 0, passed: 0))
            }
        }

        @Test func withoutGROAtTheOtherEndNothingIsLost() async throws {
            try await withShortcut("native", isReady: false) { world in
                for talk in Talk.all { try await world.expect(talk, rounds: 10) }
                #expect(try world.counts().forwarded == 0)
            }
        }

        @Test func somebodyElsesProgramStaysAndIsToldOf() async throws {
            try await withShortcut("off") { world in
                let pin = "\(world.lab.bpffs)/somebody"
                let program = try world.attachSomebody(pin)
                try await world.agent.restart(options: ["--xdp", "native"])
                let diagnostics = try await world.agent.diagnostics()
                #expect(diagnostics.contains { $0.object == "Uplink eth0" && $0.message.contains("somebody else's") })
                #expect(try BPFLink.open(pinned: pin).info().programID == program)
                let doctor = try await world.agent.apus("doctor", "--uplink", "eth0").output
                #expect(doctor.contains("xdp pass on eth0"), "\(doctor)")
                let talk = Talk(isIPv4: true, ipProtocol: .tcp)
                try await world.expect(talk, rounds: 5)
                // Once that is gone, ours comes.
                try FileManager.default.removeItem(atPath: pin)
                try await eventually("the shortcut") { try world.links().contains { $0.hasSuffix("-native") } }
                try await world.expectForwarded(talk)
            }
        }
    }
}

private struct Talk: CustomStringConvertible {
    let isIPv4: Bool
    let ipProtocol: IPProtocol

    static let all = [true, false].flatMap { isIPv4 in
        [IPProtocol.tcp, .udp].map { Talk(isIPv4: isIPv4, ipProtocol: $0) }
    }

    var description: String { "\(isIPv4 ? "IPv4" : "IPv6") and \(ipProtocol)" }
}

private struct ShortcutWorld {
    let lab: Lab
    let agent: AgentProcess

    var outside: LabHost { lab.host("outside") }

    func counts() throws -> ShortcutCounts { try DatapathReader(bpffs: agent.bpffs).shortcutCounts() }

    func links() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(agent.bpffs)/links").filter { $0.hasPrefix("uplink-") }
    }

    /// Puts a program of XDP that passes all on the node's uplink. Returns its number.
    func attachSomebody(_ pin: String) throws -> UInt32 {
        let namespace = "/run/netns/\(agent.node.namespace)"
        var netlink = try Netlink(inNamespaceAt: namespace)
        let index = try #require(try netlink.interface(named: agent.node.interface)).index
        let program = try BPFProgram.load(.xdp, instructions: BPFInstruction.returning(2), name: "pass")
        let number = try program.info().id
        try NetworkNamespace.run(at: namespace) { () throws(KernelError) in
            do throws(BPFError) {
                let own = try BPFProgram.open(id: number)
                try BPFLink.attach(own, toInterface: index, .native).pin(at: pin)
            } catch {
                throw KernelError(operation: error.description, errno: error.errno)
            }
        }
        _ = consume program
        return number
    }

    /// Asks again and again by one connection, and gets each answer.
    func expect(_ talk: Talk, rounds: Int) async throws {
        let isTCP = talk.ipProtocol == .tcp
        let script = """
            import socket, sys
            host, port, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
            kind = socket.SOCK_STREAM if sys.argv[4] == "tcp" else socket.SOCK_DGRAM
            client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
            client.settimeout(60)
            client.connect((host, port))
            if kind == socket.SOCK_STREAM:
                client.send(b"=")
            for number in range(rounds):
                text = b"round %d\\n" % number
                client.send(text)
                answer = client.recv(1000)
                assert answer == text, answer
            client.close()
            """
        let address = talk.isIPv4 ? agent.node.ipv4 : agent.node.ipv6
        let command = [
            "python3", "-c", script, "\(address)", isTCP ? "30080" : "30053", "\(rounds)", isTCP ? "tcp" : "udp",
        ]
        let result = try await outside.run(command)
        #expect(result.succeeded, "\(talk): \(result.errors)")
    }

    /// Waits until the shortcut is in force: an agent that has just started says that it is ready a moment before.
    func expectForwarded(_ talk: Talk) async throws {
        try await eventually("the shortcut to forward \(talk)") {
            let before = try counts()
            try await expect(talk, rounds: 40)
            return try counts().forwarded >= before.forwarded + 70
        }
    }

    /// The connection's packets are in its flow, whichever way they took.
    func expectFlows() async throws {
        let flow = try await agent.flow("a connection by TCP") { flow in
            flow.kind == .closed && flow.tuple.source.address == outside.ipv4 && flow.tuple.ipProtocol == .tcp
        }
        #expect(flow.counters.map { $0.forward.packets > 40 && $0.reverse.packets > 40 } ?? false, "\(flow)")
    }
}

/// Lends two nodes, a client outside, and a Service whose only backend is on the node without an agent.
///
/// - Parameter isReady: Whether the other end of the uplink's veth takes what XDP sends to it.
private func withShortcut(
    _ mode: String, isReady: Bool = true, _ body: (ShortcutWorld) async throws -> Void
) async throws {
    let plan = LabPlan(
        nodes: [NodePlan("node-a", number: 1), NodePlan("node-b", number: 2, pods: ["web"])],
        outside: [HostPlan("outside", number: 1)])
    try await withLab(plan) { lab in
        let service = Manifest.service(
            "echo", clusterIPs: Echo.addresses, ports: Echo.ports, endpoints: lab.pod("web").addresses
        )
        .replacing("type: ClusterIP", with: "type: NodePort")
        .replacing("port: 80}", with: "port: 80, nodePort: 30080}")
        .replacing("port: 53}", with: "port: 53, nodePort: 30053}")
        .replacing("nodeName: node-a", with: "nodeName: node-b")
        // Frames are as they are on a wire: whole, with their checksums.
        for host in [lab.host("outside"), lab.host("web")] { try await host.setOffload(.checksums, on: false) }
        if isReady { try await lab.node("node-a").setOffload(.receive, on: true, ofPeer: true) }
        let agent = try await AgentProcess.started(
            lab, manifests: try ManifestDirectory(lab, ["echo.yaml": service]), options: ["--xdp", mode])
        try await lab.pod("web").serve(port: 8080)
        try await lab.pod("web").serve(port: 8053, over: .udp)
        try await body(ShortcutWorld(lab: lab, agent: agent))
    }
}
