import Addressing
import AgentAPI
import Flows
import TestSupport
import Testing

extension PodNetworkTests {
    /// Direct server return: three nodes, and a client outside that asks one without a backend.
    @Suite(.serialized) struct DirectReturn {
        @Test(.shows(.directReturn, .directReturnInOverlay), arguments: ["native", "vxlan"])
        func theBackendsNodeAnswersTheClient(_ routing: String) async throws {
            try await withDirectReturn(routing, "dsr") { world in
                for question in DirectReturnWorld.questions { try await world.expect(question) }
                for question in DirectReturnWorld.questions {
                    try await world.expectDirect(question)
                    let row = routing == "native" ? ServiceRow.directReturn : .directReturnInOverlay
                    row.seen(question.ipProtocol, isIPv4: question.isIPv4)
                }
                try await world.expectBulk()
                try await world.nodes.expectVerified()
            }
        }

        @Test(.shows(.directReturnAtClusterIP)) func itDoesSoAtAClusterIPToo() async throws {
            try await withDirectReturn("native", "dsr", asking: DirectReturnWorld.clusterIPs) { world in
                for question in DirectReturnWorld.clusterIPs {
                    try await world.expect(question)
                    try await world.expectDirect(question)
                    ServiceRow.directReturnAtClusterIP.seen(question.ipProtocol, isIPv4: question.isIPv4)
                }
                try await world.nodes.expectVerified()
            }
        }

        @Test(.shows(.hybridReturn)) func aHybridAnswersDatagramsByWayOfTheNodeThatWasAsked() async throws {
            try await withDirectReturn("native", "hybrid") { world in
                for question in DirectReturnWorld.questions { try await world.expect(question) }
                for question in DirectReturnWorld.questions {
                    if question.ipProtocol == .tcp {
                        try await world.expectDirect(question)
                    } else {
                        try await world.expectByOwnName(question)
                    }
                    ServiceRow.hybridReturn.seen(question.ipProtocol, isIPv4: question.isIPv4)
                }
            }
        }

        /// Other nodes' pods and processes of the backend's own node ask, too.
        @Test(.shows(.directReturnInside)) func clientsInsideTheClusterAreServed() async throws {
            try await withDirectReturn("native", "dsr") { world in
                for client in [world.lab.node("node-c"), world.lab.pod("web-c"), world.lab.pod("web-b")] {
                    for question in DirectReturnWorld.questions {
                        let outcome = try await client.ask(
                            world.address(question), question.port, over: question.ipProtocol, within: .seconds(10))
                        #expect(outcome == .answered("open"), "\(question) from \(client.name): \(outcome)")
                        ServiceRow.directReturnInside.seen(question.ipProtocol, isIPv4: question.isIPv4)
                    }
                }
            }
        }

        @Test(.shows(.directReturnMTU)) func aClientLearnsHowLargeItsPacketsMayBe() async throws {
            try await withDirectReturn("native", "dsr") { world in
                for question in DirectReturnWorld.questions where question.ipProtocol == .udp {
                    let largest = question.isIPv4 ? 1500 - 28 : 1500 - 48
                    let learned = try await world.largestPacket(question)
                    #expect(learned == "\(largest)", "\(question)")
                    ServiceRow.directReturnMTU.seen(question.ipProtocol, isIPv4: question.isIPv4)
                    // What may be fragmented goes by way of the node that was asked.
                    guard question.isIPv4 else { continue }
                    let answered = try await world.sendsWithoutLimit(question)
                    #expect(answered == "open")
                }
            }
        }

        @Test func connectionsOutliveAChangeOfTheMode() async throws {
            try await withDirectReturn("native", "dsr") { world in
                var held: [ChildProcess] = []
                for question in DirectReturnWorld.questions where question.ipProtocol == .tcp {
                    held.append(try await world.outside.hold(world.address(question), question.port))
                }
                let agent = world.nodes.agent("node-a")
                await agent.kill()
                agent.use(options: ["--routing", "native", "--hubble-socket", ""])
                try agent.start()
                try await agent.ready()
                for connection in held {
                    let result = await connection.stop()
                    #expect(result.succeeded && connection.states == ["connected", "exchanges"], "\(connection.lines)")
                }
                for question in DirectReturnWorld.questions { try await world.expectByOwnName(question) }
            }
        }
    }
}

private struct DirectReturnQuestion: CustomStringConvertible {
    let isIPv4: Bool
    let ipProtocol: IPProtocol
    var isAtClusterIP = false

    var port: Port {
        if isAtClusterIP { return ipProtocol == .tcp ? 80 : 53 }
        return ipProtocol == .tcp ? 30090 : 30091
    }
    var description: String { "\(isIPv4 ? "IPv4" : "IPv6") and \(ipProtocol)\(isAtClusterIP ? " at a ClusterIP" : "")" }
}

private struct DirectReturnWorld {
    let nodes: ThreeNodes

    static let questions = [true, false].flatMap { isIPv4 in
        [IPProtocol.tcp, .udp].map { DirectReturnQuestion(isIPv4: isIPv4, ipProtocol: $0) }
    }

    static let clusterIPs = questions.map { question in
        DirectReturnQuestion(isIPv4: question.isIPv4, ipProtocol: question.ipProtocol, isAtClusterIP: true)
    }
    static let virtual = [ip("10.96.0.40"), ip("fd00:10:96::40")]

    var lab: Lab { nodes.lab }
    var outside: LabHost { lab.outside("outside") }

    /// The node that is asked has no backend: its pods' node is another one.
    func address(_ question: DirectReturnQuestion) -> IPAddress {
        (question.isAtClusterIP ? Self.virtual : lab.node("node-a").addresses)[question.isIPv4 ? 0 : 1]
    }

    private func own(_ question: DirectReturnQuestion) -> IPAddress {
        outside.addresses[question.isIPv4 ? 0 : 1]
    }

    func expect(_ question: DirectReturnQuestion) async throws {
        let report = try await outside.load(
            address(question), question.port, over: question.ipProtocol, options: ["--count", "40"])
        #expect(report.ok == 40 && report.failed == 0 && Set(report.ids.keys) == ["open"], "\(question): \(report)")
    }

    /// The backend has met the client itself, and the node that was asked no answer.
    func expectDirect(_ question: DirectReturnQuestion) async throws {
        let flow = try await flow(question, at: "node-c", from: own(question))
        #expect(flow.service?.name == nil || flow.service?.name == "direct", "\(flow)")
        let asked = try await self.flow(question, at: "node-a", from: own(question))
        #expect(asked.tuple.destination.address == lab.pod("open").addresses[question.isIPv4 ? 0 : 1], "\(asked)")
    }

    /// The backend has met the node that was asked.
    func expectByOwnName(_ question: DirectReturnQuestion) async throws {
        try await expect(question)
        _ = try await flow(question, at: "node-c", from: address(question))
    }

    private func flow(
        _ question: DirectReturnQuestion, at node: String, from source: IPAddress
    ) async throws -> Flow {
        try await nodes.agent(node).flow("\(question) at \(node) from \(source)") { flow in
            flow.verdict == .forwarded && flow.tuple.source.address == source
                && flow.tuple.ipProtocol == question.ipProtocol
        }
    }

    /// Streams to the backend and back, whose segments fill packets.
    func expectBulk() async throws {
        for question in Self.questions where question.ipProtocol == .tcp {
            let stream = try await outside.run(
                [
                    try BuiltProducts.path(of: "apus-traffic"), "stream", "--json", "--seconds", "0.5", "--warmup", "0",
                    "--timeout-ms", "30000",
                    "\(address(question))", "\(question.port)",
                ])
            #expect(stream.succeeded, "\(nodes.mode) \(question): \(stream)")
        }
    }

    /// Sends datagrams that fill the link and must not be fragmented, until the kernel has learned what fits.
    func largestPacket(_ question: DirectReturnQuestion) async throws -> String {
        try await run(
            """
            v6 = own.family == socket.AF_INET6
            level, discover, mtu = (socket.IPPROTO_IPV6, 23, 24) if v6 else (socket.IPPROTO_IP, 10, 14)
            own.setsockopt(level, discover, 2)
            for _ in range(100):
                try:
                    own.send(bytes(1500 - (48 if v6 else 28)))
                except OSError:
                    pass
                if own.getsockopt(level, mtu) < 1500:
                    break
                time.sleep(0.1)
            print(own.getsockopt(level, mtu))
            """, question)
    }

    /// Who answers a datagram that fills the link and may be fragmented.
    func sendsWithoutLimit(_ question: DirectReturnQuestion) async throws -> String {
        try await run(
            """
            own.setsockopt(socket.IPPROTO_IP, 10, 0)
            own.settimeout(10)
            own.send(b"?" + bytes(1471))
            print(own.recv(2000).split(b"\\n")[0].decode())
            """, question)
    }

    private func run(_ script: String, _ question: DirectReturnQuestion) async throws -> String {
        let start = """
            import socket, sys, time
            family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
            own = socket.socket(family, socket.SOCK_DGRAM)
            own.connect((sys.argv[1], int(sys.argv[2])))

            """
        let command = ["python3", "-c", start + script, "\(address(question))", "\(question.port)"]
        return try await outside.output(command).filter { !$0.isNewline }
    }
}

/// Lends three nodes in this mode, with a Service whose endpoint is a pod of the third one.
private func withDirectReturn(
    _ routing: String, _ mode: String, asking questions: [DirectReturnQuestion] = DirectReturnWorld.questions,
    _ body: (DirectReturnWorld) async throws -> Void
) async throws {
    try await ThreeNodes.with(routing, options: ["--load-balancer-mode", mode]) { nodes in
        let world = DirectReturnWorld(nodes: nodes)
        let ports = [
            Manifest.ServicePort(ipProtocol: .tcp, port: 80, target: ThreeNodes.webPort),
            Manifest.ServicePort(ipProtocol: .udp, port: 53, target: 8053),
        ]
        let text = Manifest.service(
            "direct", clusterIPs: DirectReturnWorld.virtual, ports: ports,
            endpoints: nodes.lab.pod("open").addresses
        )
        .replacing("type: ClusterIP", with: "type: NodePort")
        .replacing("port: 80}", with: "port: 80, nodePort: 30090}")
        .replacing("port: 53}", with: "port: 53, nodePort: 30091}")
        .replacing("nodeName: node-a", with: "nodeName: node-c")
        try nodes.manifests.write("direct.yaml", text)
        for (address, gateway) in zip(DirectReturnWorld.virtual, nodes.lab.node("node-a").addresses) {
            try await world.outside.output(["ip", "route", "add", "\(CIDR(host: address))", "via", "\(gateway)"])
        }
        for question in questions {
            try await eventually("\(question) to be answered", within: .seconds(30)) {
                try await world.outside.ask(
                    world.address(question), question.port, over: question.ipProtocol, within: .seconds(2))
                    == .answered("open")
            }
        }
        try await body(world)
    }
}
