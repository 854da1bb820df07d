import Addressing
import AgentAPI
import Datapath
import Flows
import TestSupport
import Testing

extension PodNetworkTests {
    /// Pods of a node whose own addresses nobody else knows the way to, and a host out in the world.
    @Suite(.serialized) struct Masquerade {
        @Test func theWorldSeesTheNodeAndAnswersThePod() async throws {
            try await withWorld { world in
                for address in world.addresses { try await world.expectTwoPods(at: address) }
                let flow = try await world.agent.flow("a connection to the world") { flow in
                    flow.verdict == .forwarded && flow.tuple.source.address == world.pods[0].ipv4
                        && flow.tuple.destination == SocketAddress(world.addresses[0], World.sightPort)
                }
                #expect(flow.tuple.source.port == World.clientPort, "\(flow)")
                let list = try await world.agent.apus("connection", "list", "-o", "json").output
                #expect(list.contains("\"masqueraded_port\""), "\(list)")
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        @Test func byWayOfTheStackItIsTheSame() async throws {
            try await withWorld(options: ["--redirect-peer", "off"]) { world in
                for address in world.addresses { try await world.expectTwoPods(at: address) }
            }
        }

        @Test func aRefusalOfTheWorldReachesThePod() async throws {
            try await withWorld { world in
                for address in world.addresses {
                    for ipProtocol in [IPProtocol.tcp, .udp] {
                        let outcome = try await world.pods[0].ask(address, 9, over: ipProtocol, within: .seconds(60))
                        #expect(outcome == .refused, "\(ipProtocol) \(address)")
                    }
                }
            }
        }

        /// A router on the way takes smaller packets only, and says so to the node.
        @Test func aSmallerLinkOnTheWayIsToldToThePod() async throws {
            try await withWorld { world in
                for address in world.addresses {
                    try await world.narrow(address)
                    for pod in world.pods {
                        let known = try await pod.probePath("probe", to: address, World.sightPort)
                        #expect(known == PathProbe.smallMTU, "\(address)")
                    }
                }
            }
        }

        @Test func whatIsExceptedKeepsThePodsAddress() async throws {
            let blocks = World.internet.flatMap { ["--non-masquerade-cidr", "\(CIDR(host: $0))"] }
            try await withWorld(options: blocks) { world in
                for address in world.addresses {
                    let lost = try await world.pods[0].ask(address, World.port, within: .milliseconds(500))
                    #expect(lost == .timedOut, "nobody knows the way back")
                }
                try await world.agent.restart(options: [])
                for address in world.addresses { try await world.expectTwoPods(at: address) }
                try await world.agent.restart(options: ["--masquerade", "off"])
                for address in world.addresses {
                    #expect(try await world.pods[0].ask(address, World.port, within: .milliseconds(500)) == .timedOut)
                }
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        @Test func connectionsLiveWhileTheAgentIsDeadAndAfterItsReturn() async throws {
            try await withWorld { world in
                var held: [ChildProcess] = []
                for address in world.addresses { held.append(try await world.pods[0].hold(address, World.port)) }
                await world.agent.kill()
                for address in world.addresses { try await world.expectTwoPods(at: address) }
                try world.agent.start()
                try await world.agent.ready()
                for address in world.addresses { try await world.expectTwoPods(at: address) }
                for connection in held {
                    let result = await connection.stop()
                    #expect(
                        result.succeeded && connection.states == ["connected", "exchanges"], "\(connection.lines)")
                }
            }
        }

        @Test func policyJudgesThePodByItsOwnAddress() async throws {
            try await withWorld { world in
                let policy = Manifest.policy(
                    "closed", "{podSelector: {matchLabels: {app: pod-b}}, policyTypes: [Egress, Ingress]}")
                try world.agent.manifests.write("policy.yaml", policy)
                for address in world.addresses {
                    try await eventually("the policy to be in force") {
                        try await world.pods[1].ask(address, World.port, within: .milliseconds(300)) == .timedOut
                    }
                    #expect(try await world.pods[0].ask(address, World.port, within: .seconds(60)).isAnswered)
                }
                let denied = try await world.agent.flow("a denied connection to the world") { flow in
                    flow.verdict == .dropped && flow.tuple.source.address == world.pods[1].ipv4
                }
                #expect(denied.tuple.destination.address == world.addresses[0], "\(denied)")
            }
        }

        @Test func portsThatRunOutAreToldOf() async throws {
            try await withWorld(options: ["--source-ports", "61000-61003", "--active-interval", "0.2"]) { world in
                let address = world.addresses[0]
                var held: [ChildProcess] = []
                for _ in 0..<4 { held.append(try await world.pods[0].hold(address, World.port)) }
                #expect(try await world.pods[1].ask(address, World.port, within: .milliseconds(500)) == .timedOut)
                #expect(try world.agent.drops(.portsExhausted) > 0)
                #expect(try await world.pods[1].ask(world.addresses[1], World.port, within: .seconds(60)).isAnswered)
                try await eventually("word of the ports") {
                    let used = try await world.agent.metric(
                        "apus_masquerade_ports_in_use", ["destination": "\(address):\(World.port)"])
                    let told = try await world.agent.diagnostics().contains {
                        $0.object == "Node node-a" && $0.message.contains("4 of 4 ports")
                    }
                    return used == 4 && told && world.agent.logged.contains("about to run out")
                }
                #expect(try await world.agent.metric("apus_masquerade_port_failures_total") ?? 0 > 0)
                for connection in held { _ = await connection.stop() }
                try await eventually("the ports to be free") {
                    try await world.pods[1].ask(address, World.port, within: .seconds(5)).isAnswered
                }
            }
        }

        /// A process of the node has a port before the data path gives it away, and the other way round.
        @Test func aProcessOfTheNodeKeepsItsPort() async throws {
            try await withWorld(options: ["--source-ports", "61000-61001"]) { world in
                for address in world.addresses {
                    let pod = try await world.look(from: world.pods[0], at: address, .udp, port: World.clientPort)
                    let own = try await world.look(from: world.agent.node, at: address, .udp, port: pod.port)
                    #expect(own.port == pod.port && own.address == pod.address)
                }
            }
        }
    }
}

/// What the world saw of somebody who asked.
private struct Sight: Hashable {
    var address: IPAddress
    var port: Port
}

private struct World {
    let lab: Lab
    let agent: AgentProcess

    static let port: Port = 8080
    static let sightPort: Port = 7000
    static let clientPort: Port = 40777
    /// Addresses that no range of private networks has.
    static let internet = [ip("1.2.3.4"), ip("2a01:203::4")]

    var addresses: [IPAddress] { Self.internet }
    var outside: LabHost { lab.host("outside") }
    var pods: [LabHost] { [lab.pod("pod-a"), lab.pod("pod-b")] }

    /// Answers each request with the address and port that it came from.
    static let server = """
        import socket, threading
        def answer(peer):
            return (peer[0] + " " + str(peer[1])).encode()
        def datagrams(server):
            while True:
                _, peer = server.recvfrom(100)
                server.sendto(answer(peer), peer)
        def connections(server):
            while True:
                connection, peer = server.accept()
                connection.sendall(answer(peer))
                connection.close()
        for family, own in ((socket.AF_INET, "\(internet[0])"), (socket.AF_INET6, "\(internet[1])")):
            for kind, serve in ((socket.SOCK_DGRAM, datagrams), (socket.SOCK_STREAM, connections)):
                server = socket.socket(family, kind)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind((own, \(sightPort)))
                if kind == socket.SOCK_STREAM:
                    server.listen()
                threading.Thread(target=serve, args=(server,), daemon=True).start()
        print("listening", flush=True)
        threading.Event().wait()
        """

    private static let client = """
        import socket, sys
        address, kind, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        client = socket.socket(family, socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        client.settimeout(60)
        client.connect((address, \(sightPort)))
        if kind == "UDP":
            client.send(b"?")
        print(client.recv(100).decode())
        """

    /// Two echoes, always with the same identifier.
    private static let ping = """
        import socket, struct, sys
        address, answers = sys.argv[1], 0
        v6 = ":" in address
        own = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) if v6 else \\
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        own.settimeout(60)
        for number in (1, 2):
            echo = [(128 if v6 else 8) << 8, 0, 777, number]
            total = sum(echo)
            echo[1] = 0 if v6 else ~(total + (total >> 16)) & 0xffff
            own.sendto(struct.pack("!4H", *echo), (address, 0))
            while True:
                packet = own.recv(200)
                kind, _, identifier, got = struct.unpack("!4H", packet[0 if v6 else 20:][:8])
                if kind >> 8 == (129 if v6 else 0) and (identifier, got) == (777, number):
                    break
            answers += 1
        print("answered", answers)
        """

    /// What the world sees of a host that asks from a port.
    func look(from host: LabHost, at address: IPAddress, _ ipProtocol: IPProtocol, port: Port) async throws -> Sight {
        let kind = ipProtocol == .udp ? "UDP" : "TCP"
        let seen = try await host.output(["python3", "-c", Self.client, "\(address)", kind, "\(port)"])
            .split { $0.isWhitespace }
        guard seen.count == 2, let from = IPAddress(String(seen[0])), let number = Port(seen[1]) else {
            throw LabError("look from \(host.name)", "\(seen)")
        }
        return Sight(address: from, port: number)
    }

    /// Lets the network's router have a smaller link to an address.
    func narrow(_ address: IPAddress) async throws {
        let router = outside.namespace.dropLast(outside.name.count) + "fabric"
        let next = address.isIPv4 ? outside.ipv4 : outside.ipv6
        let route = ["route", "change", "\(CIDR(host: address))", "via", "\(next)", "mtu", "lock", PathProbe.smallMTU]
        try await outside.output(["ip", "-n", String(router)] + route)
    }

    /// Two pods ask from the same port, one while the other's connection lives; and they ping.
    func expectTwoPods(at address: IPAddress) async throws {
        let node = agent.node.addresses.first { $0.isIPv4 == address.isIPv4 }
        for ipProtocol in [IPProtocol.udp, .tcp] {
            var seen: [Sight] = []
            for pod in pods {
                seen.append(try await look(from: pod, at: address, ipProtocol, port: Self.clientPort))
            }
            #expect(seen.allSatisfy { $0.address == node && $0.port >= 61000 }, "\(ipProtocol) \(seen)")
            // Those of UDP have no end that the data path would see, so both live.
            #expect(ipProtocol == .tcp || Set(seen).count == 2, "\(seen)")
        }
        for pod in pods {
            let ping = try await pod.output(["python3", "-c", Self.ping, "\(address)"])
            #expect(ping == "answered 2\n")
        }
    }
}

/// Lends a node with two pods, and a host out in the world that has servers.
private func withWorld(options: [String] = [], _ body: (World) async throws -> Void) async throws {
    let node = NodePlan("node-a", number: 1, pods: ["pod-a", "pod-b"])
    let plan = LabPlan(
        nodes: [node], outside: [HostPlan("outside", number: 1, moreAddresses: World.internet)], routesPods: false)
    try await withLab(plan) { lab in
        let objects =
            [Manifest.node(node)]
            + ["pod-a", "pod-b"].map { Manifest.pod(lab.pod($0), labels: ["app": $0]) }
        let manifests = try ManifestDirectory(lab, ["objects.yaml": Manifest.file(objects)])
        let agent = try await AgentProcess.started(lab, manifests: manifests, options: options)
        let world = World(lab: lab, agent: agent)
        try await world.outside.serve(port: World.port)
        let server = try world.outside.spawn(["python3", "-c", World.server])
        try await eventually("the world to listen") { server.lines.contains("listening") }
        try await body(world)
    }
}
