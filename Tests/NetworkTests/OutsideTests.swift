import Addressing
import Datapath
import Flows
import class Foundation.FileManager
import struct Foundation.URL
import TestSupport
import Testing

extension TrafficTests {
    /// Services for clients outside of the node: pods of two nodes, of which one has an agent, and a host outside.
    @Suite(.serialized) struct OutsideClients {
        @Test(.shows(.nodePortFromOutside, .loadBalancerFromOutside, .externalIPFromOutside))
        func everyFrontendLeadsToPodsOfAllNodes() async throws {
            try await withOutside { world in
                for question in world.questions {
                    try await world.expect(question, OutsideWorld.pods)
                    question.row.seen(question)
                }
                let flow = try await world.agent.flow("a request to a pod of the other node") { flow in
                    flow.verdict == .forwarded && flow.tuple.source.address == world.outside.ipv4
                        && flow.tuple.destination.address == world.lab.pod("web-3").ipv4
                }
                #expect(flow.service?.name == "echo", "\(flow)")
                #expect(try await world.agent.apus("verify").succeeded)
                try await world.expectTrace()
            }
        }

        /// The backend could not tell the connections apart, on the node that was asked and elsewhere.
        @Test(.shows(.sharedBackendOutside)) func onePortReachesOnePodByAllFrontendsAtOnce() async throws {
            try await withOutside { world in
                for (backend, port) in [("web-1", 40601), ("web-3", 40602)] as [(String, Port)] {
                    try await world.setBackends([backend], more: "externalTrafficPolicy: Cluster")
                    for family in world.families {
                        let answers = try await world.askAtOnce(family, from: port)
                        #expect(answers == [String](repeating: backend, count: 3 * family.count), "\(family)")
                        if backend == "web-3" { ServiceRow.sharedBackendOutside.seen(family[0]) }
                    }
                }
            }
        }

        @Test(.shows(.maglev)) func byATableEveryFrontendLeadsToPodsOfAllNodes() async throws {
            let maglev = ["--load-balancer-algorithm", "maglev", "--maglev-table-size", "251"]
            try await withOutside(options: maglev + ["--map-size-slots", "16384"]) { world in
                for question in world.questions {
                    try await world.expect(question, OutsideWorld.pods)
                    ServiceRow.maglev.seen(question)
                }
                let shown = try await world.agent.apus("service", "get", "default/echo").output
                #expect(shown.contains("maglev (251 places)"), "\(shown)")
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        @Test func withExternalTrafficPolicyLocalTheClientIsKnownAndOtherNodesAreLeftOut() async throws {
            try await withOutside(more: "externalTrafficPolicy: Local") { world in
                for question in world.questions { try await world.expect(question, ["web-1", "web-2"]) }
                // Only the client's own address is let in.
                let peers = world.outside.addresses.map { "{ipBlock: {cidr: \(CIDR(host: $0))}}" }
                let policy = Manifest.policy(
                    "client", "{podSelector: {}, ingress: [{from: [\(peers.joined(separator: ", "))]}]}")
                try world.agent.manifests.write("policy.yaml", policy)
                try await eventually("the policy to be in force") {
                    try await world.lab.host("node-b").ask(
                        world.lab.pod("web-1").ipv4, 8080, within: .milliseconds(300)) == .timedOut
                }
                for question in world.questions { try await world.expect(question, ["web-1", "web-2"]) }
            }
        }

        @Test(.shows(.externalLocalDrops, .noEndpointsFromOutside))
        func withoutAnEndpointOfTheNodeTheyAreDroppedAndWithoutAnyRefused() async throws {
            try await withOutside(more: "externalTrafficPolicy: Local", backends: ["web-3"]) { world in
                for question in world.questions {
                    let before = try world.agent.drops(.noLocalBackend)
                    #expect(try await world.ask(question, within: .milliseconds(500)) == .timedOut, "\(question)")
                    #expect(try world.agent.drops(.noLocalBackend) > before, "\(question)")
                    ServiceRow.externalLocalDrops.seen(question)
                }
                try await world.setBackends([])
                for question in world.questions {
                    #expect(try await world.ask(question, within: .seconds(60)) == .refused, "\(question)")
                    ServiceRow.noEndpointsFromOutside.seen(question)
                }
            }
        }

        @Test(.shows(.sourceRanges)) func aLoadBalancerWithSourceRangesIsForTheirClientsOnly() async throws {
            let none = "loadBalancerSourceRanges: [\"198.51.100.0/24\", \"2001:db8:ffff::/64\"]"
            try await withOutside(more: none) { world in
                for question in world.questions where question.frontend == .balancer {
                    let before = try world.agent.drops(.sourceRange)
                    #expect(try await world.ask(question, within: .milliseconds(500)) == .timedOut, "\(question)")
                    #expect(try world.agent.drops(.sourceRange) > before, "\(question)")
                    let ofPod = try await world.ask(question, from: world.lab.pod("web-1"), within: .milliseconds(500))
                    #expect(ofPod == .timedOut, "\(question) from a pod")
                    let atSocket = try world.agent.drops(.sourceRange)
                    let ofNode = try await world.ask(question, from: world.agent.node, within: .milliseconds(500))
                    #expect(ofNode == .failed("EPERM"), "\(question) from the node")
                    #expect(try world.agent.drops(.sourceRange) > atSocket, "\(question) from the node")
                }
                // Its other frontends are for everybody.
                for question in world.questions where question.frontend != .balancer {
                    try await world.expect(question, OutsideWorld.pods)
                }
                let all = (world.outside.addresses + world.agent.node.addresses + world.lab.pod("web-1").addresses)
                    .map { "\"\(CIDR(host: $0))\"" }.joined(separator: ", ")
                try await world.setBackends(OutsideWorld.pods, more: "loadBalancerSourceRanges: [\(all)]")
                for question in world.questions where question.frontend == .balancer {
                    for client in [world.outside, world.lab.pod("web-1"), world.agent.node] {
                        let outcome = try await world.ask(question, from: client, within: .seconds(60))
                        #expect(outcome.isAnswer, "\(question) from \(client.name): \(outcome)")
                        ServiceRow.sourceRanges.seen(question)
                    }
                }
                let list = try await world.agent.apus("service", "list").output
                #expect(list.contains("the same for "), "\(list)")
            }
        }

        @Test(.shows(.healthCheck)) func aLoadBalancerIsToldHowManyEndpointsTheNodeHas() async throws {
            let local = "externalTrafficPolicy: Local\n  healthCheckNodePort: 32100"
            try await withOutside(more: local) { world in
                for node in [world.agent.node.ipv4.description, "[\(world.agent.node.ipv6)]"] {
                    try await world.expectCheck(at: node, status: 200, endpoints: 2)
                    ServiceRow.healthCheck.seen(.tcp, isIPv4: !node.hasPrefix("["))
                }
                let node = world.agent.node.ipv4.description
                try await world.setBackends(["web-2", "web-3"], more: local)
                try await world.expectCheck(at: node, status: 200, endpoints: 1)
                try await world.setBackends(["web-3"], more: local)
                try await world.expectCheck(at: node, status: 503, endpoints: 0)
                #expect(try await world.agent.metric("apus_health_check_node_ports", ["state": "listening"]) == 1)
                try world.agent.manifests.remove("echo.yaml")
                try await eventually("nobody to listen any more") {
                    try await world.outside.ask(world.agent.node.ipv4, 32100, within: .seconds(5)) == .refused
                }
            }
        }

        @Test func theyAreServedWhileTheAgentIsDeadAndAfterItsReturn() async throws {
            try await withOutside { world in
                let question = OutsideQuestion(frontend: .nodePort, isIPv4: true, ipProtocol: .tcp)
                try await world.expect(question, OutsideWorld.pods)
                await world.agent.kill()
                for question in world.questions { try await world.expect(question, OutsideWorld.pods) }
                try world.agent.start()
                try await world.agent.ready()
                for question in world.questions { try await world.expect(question, OutsideWorld.pods) }
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        @Test(.shows(.undefinedPortFromOutside)) func portsThatNoServiceHasAreRefused() async throws {
            try await withOutside { world in
                for ipProtocol in [IPProtocol.tcp, .udp] {
                    for address in OutsideWorld.balancers {
                        let outcome = try await world.outside.ask(address, 9, over: ipProtocol, within: .seconds(60))
                        #expect(outcome == .refused, "\(ipProtocol) \(address)")
                        ServiceRow.undefinedPortFromOutside.seen(ipProtocol, at: address)
                    }
                    // Whoever makes a Service may give it the address of somebody else: no other port of that is his.
                    for address in OutsideWorld.externals {
                        let outcome = try await world.outside.ask(address, 9, over: ipProtocol, within: .seconds(1))
                        #expect(outcome != .refused, "\(ipProtocol) \(address)")
                    }
                }
            }
        }

        @Test(.shows(.removedBackendFromOutside)) func datagramsFromOnePortLeaveAnEndpointThatIsGone() async throws {
            try await withOutside(backends: ["web-1"]) { world in
                for backend in ["web-1", "web-2", "web-3"] {
                    try await world.setBackends([backend], more: "externalTrafficPolicy: Cluster")
                    for address in OutsideWorld.balancers {
                        // It is in force, so the next datagram goes there.
                        #expect(try await world.askFromOnePort(address) == backend, "\(address)")
                        ServiceRow.removedBackendFromOutside.seen(.udp, at: address)
                    }
                }
            }
        }

        @Test(.shows(.terminatingKeepsOutside)) func datagramsFromOnePortStayWithAnEndpointThatStillServes()
            async throws
        {
            try await withOutside(backends: ["web-1"]) { world in
                let policy = "externalTrafficPolicy: Cluster"
                for address in OutsideWorld.balancers {
                    #expect(try await world.askFromOnePort(address) == "web-1", "\(address)")
                }
                let terminating = ["web-1": EndpointConditions.terminating]
                try await world.setBackends(["web-1", "web-2"], more: policy, saying: terminating)
                for question in world.questions where question.ipProtocol == .udp && question.frontend == .nodePort {
                    try await world.expect(question, ["web-2"])
                }
                for address in OutsideWorld.balancers {
                    #expect(try await world.askFromOnePort(address) == "web-1", "\(address)")
                }
                let gone = ["web-1": EndpointConditions.gone]
                try await world.setBackends(["web-1", "web-2"], more: policy, saying: gone)
                for address in OutsideWorld.balancers {
                    try await eventually("web-2 to answer from \(address)") {
                        try await world.askFromOnePort(address) == "web-2"
                    }
                    ServiceRow.terminatingKeepsOutside.seen(.udp, at: address)
                }
            }
        }

        /// As after an upgrade from a version that had no program for what leaves.
        @Test func anUplinkGetsTheProgramForAnswersBackBeforeItServes() async throws {
            try await withOutside(options: ["--map-size-slots", "1024"]) { world in
                await world.agent.kill()
                let links = URL(filePath: "\(world.agent.bpffs)/links")
                let names = try FileManager.default.contentsOfDirectory(atPath: links.path)
                    .filter { $0.hasPrefix("uplink-") && $0.hasSuffix("-to") }
                #expect(!names.isEmpty)
                for name in names { try FileManager.default.removeItem(at: links.appending(path: name)) }
                try world.agent.start()
                try await world.agent.ready()
                for question in world.questions { try await world.expect(question, OutsideWorld.pods) }
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        @Test func withoutRedirectionTheStackCarriesThem() async throws {
            try await withOutside(options: ["--redirect-peer", "off", "--redirect-uplink", "off"]) { world in
                for question in world.questions { try await world.expect(question, OutsideWorld.pods) }
            }
        }
    }
}

enum OutsideFrontend: CaseIterable {
    case nodePort, balancer, external
}

/// One way to ask for the Service.
struct OutsideQuestion: CustomStringConvertible {
    let frontend: OutsideFrontend
    let isIPv4: Bool
    let ipProtocol: IPProtocol

    var description: String { "\(frontend) by \(isIPv4 ? "IPv4" : "IPv6") and \(ipProtocol)" }

    /// What is shown by a process or a pod of another node that asks so.
    var rowFromOtherNode: ServiceRow {
        switch frontend {
        case .nodePort: .nodePortFromOtherNode
        case .balancer: .loadBalancerFromOtherNode
        case .external: .externalIPFromOtherNode
        }
    }

    /// What is shown by a host outside that asks so.
    var row: ServiceRow {
        switch frontend {
        case .nodePort: .nodePortFromOutside
        case .balancer: .loadBalancerFromOutside
        case .external: .externalIPFromOutside
        }
    }

    static let all = OutsideFrontend.allCases.flatMap { frontend in
        [true, false].flatMap { isIPv4 in
            [IPProtocol.tcp, .udp].map { OutsideQuestion(frontend: frontend, isIPv4: isIPv4, ipProtocol: $0) }
        }
    }
}

struct OutsideWorld {
    let lab: Lab
    let agent: AgentProcess

    static let pods = ["web-1", "web-2", "web-3"]
    static let balancers = [ip("203.0.113.1"), ip("2001:db8:113::1")]
    static let externals = [ip("192.0.2.77"), ip("2001:db8:77::1")]

    var outside: LabHost { lab.host("outside") }
    var questions: [OutsideQuestion] { OutsideQuestion.all }

    static let plan = LabPlan(
        nodes: [
            NodePlan("node-a", number: 1, pods: ["web-1", "web-2"]), NodePlan("node-b", number: 2, pods: ["web-3"]),
        ],
        outside: [HostPlan("outside", number: 1)])

    /// Starts the servers, and lets the host outside know the way to these addresses.
    func serve(at addresses: [IPAddress]) async throws {
        for pod in Self.pods {
            try await lab.pod(pod).serve(port: 8080)
            try await lab.pod(pod).serve(port: 8053, over: .udp)
        }
        for address in addresses {
            let gateway = agent.node.addresses[address.isIPv4 ? 0 : 1]
            try await outside.output(["ip", "route", "add", "\(CIDR(host: address))", "via", "\(gateway)"])
        }
    }

    static func service(_ lab: Lab, _ backends: [String], more: String) -> String {
        let ingress = balancers.map { "{ip: \"\($0)\"}" }.joined(separator: ", ")
        let text = Manifest.service(
            "echo", clusterIPs: Echo.addresses, ports: Echo.ports, endpoints: backends.flatMap { lab.pod($0).addresses }
        )
        .replacing(
            "metadata: {name: echo,", with: "status: {loadBalancer: {ingress: [\(ingress)]}}\nmetadata: {name: echo,"
        )
        .replacing(
            "type: ClusterIP",
            with: """
                type: LoadBalancer
                  \(more)
                  externalIPs: [\(externals.map { "\"\($0)\"" }.joined(separator: ", "))]
                """
        )
        .replacing("port: 80}", with: "port: 80, nodePort: 30080}")
        .replacing("port: 53}", with: "port: 53, nodePort: 30053}")
        return lab.pod("web-3").addresses.reduce(text) { text, address in
            text.replacing(
                "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-a}",
                with: "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-b}")
        }
    }

    /// Writes the Service and waits until it is in force.
    ///
    /// - Parameter conditions: what the slices say of pods that get nothing new.
    func setBackends(
        _ backends: [String], more: String = "externalTrafficPolicy: Local", saying conditions: [String: String] = [:]
    ) async throws {
        var text = Self.service(lab, backends, more: more)
        for (pod, says) in conditions {
            for address in lab.pod(pod).addresses {
                let endpoint = "{addresses: [\"\(address)\"], "
                text = text.replacing("\(endpoint)conditions: {ready: true}, nodeName: node-a", with: endpoint + says)
            }
        }
        try agent.manifests.write("echo.yaml", text)
        let backends = backends.filter { conditions[$0] == nil }
        let what = more.split(separator: " ").first.map(String.init) ?? ""
        try await eventually("the Service with \(backends) and \(what)") {
            let list = try await agent.apus("service", "get", "default/echo", "-o", "json").output
            let addresses = backends.flatMap { lab.pod($0).addresses }
            let limits = more.contains("Ranges") ? outside.addresses : []
            return addresses.allSatisfy { list.contains("\"\($0)\"") }
                && limits.allSatisfy { list.contains("\(CIDR(host: $0))") }
                && (!backends.isEmpty || !list.contains(lab.pod("web-3").ipv4.description))
        }
    }

    func destination(_ question: OutsideQuestion) -> (IPAddress, Port) {
        let isTCP = question.ipProtocol == .tcp
        let port: Port = isTCP ? Echo.tcpPort : Echo.udpPort
        return (address(question), question.frontend == .nodePort ? (isTCP ? 30080 : 30053) : port)
    }

    func address(_ question: OutsideQuestion) -> IPAddress {
        let index = question.isIPv4 ? 0 : 1
        switch question.frontend {
        case .nodePort: return agent.node.addresses[index]
        case .balancer: return Self.balancers[index]
        case .external: return Self.externals[index]
        }
    }

    func ask(
        _ question: OutsideQuestion, from client: LabHost? = nil, within bound: Duration
    ) async throws -> AskOutcome {
        let (address, port) = destination(question)
        return try await (client ?? outside).ask(address, port, over: question.ipProtocol, within: bound)
    }

    /// Who answers one datagram, which is always sent from the same port; empty when nobody does.
    func askFromOnePort(_ address: IPAddress) async throws -> String {
        let script = """
            import socket, sys
            family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
            client = socket.socket(family, socket.SOCK_DGRAM)
            client.bind(("", 40555))
            client.settimeout(5)
            client.sendto(b"?", (sys.argv[1], int(sys.argv[2])))
            print(client.recv(100).split(b"\\n")[0].decode())
            """
        let command = ["python3", "-c", script, "\(address)", "\(Echo.udpPort)"]
        return try await outside.run(command).output.filter { !$0.isNewline }
    }

    /// The questions by protocol and family: each by all frontends.
    var families: [[OutsideQuestion]] {
        [IPProtocol.tcp, .udp].flatMap { ipProtocol in
            [true, false].map { isIPv4 in questions.filter { $0.ipProtocol == ipProtocol && $0.isIPv4 == isIPv4 } }
        }
    }

    /// Who answers on as many sockets as there are questions, which have one port and are open at the same time, thrice
    /// in turn.
    func askAtOnce(_ questions: [OutsideQuestion], from port: Port) async throws -> [String] {
        let script = """
            import socket, sys
            family = socket.AF_INET6 if ":" in sys.argv[3] else socket.AF_INET
            sockets = []
            for address, port in zip(sys.argv[3::2], sys.argv[4::2]):
                client = socket.socket(family, socket.SOCK_STREAM if sys.argv[2] == "TCP" else socket.SOCK_DGRAM)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.settimeout(10)
                client.bind(("", int(sys.argv[1])))
                client.connect((address, int(port)))
                sockets.append(client)
            for turn in range(3):
                for client in sockets:
                    client.send(b"?\\n")
                    answer = client.recv(100)
                    while answer.count(b"\\n") < 2 and sys.argv[2] == "TCP":
                        answer += client.recv(100)
                    print(answer.split(b"\\n")[0].decode())
            """
        let ends = questions.flatMap { question in
            let (address, port) = destination(question)
            return ["\(address)", "\(port)"]
        }
        let command = ["python3", "-c", script, "\(port)", "\(questions[0].ipProtocol)"] + ends
        return try await outside.run(command).output.split(whereSeparator: \.isNewline).map(String.init)
    }

    /// Whether exactly these pods answer.
    func expect(_ question: OutsideQuestion, _ pods: [String], from client: LabHost? = nil) async throws {
        let (address, port) = destination(question)
        let report = try await (client ?? outside).load(
            address, port, over: question.ipProtocol, options: ["--count", "40"])
        #expect(report.ok == 40 && report.failed == 0, "\(question): \(report)")
        #expect(Set(report.ids.keys) == Set(pods), "\(question): \(report.ids)")
    }

    /// Waits until the node's health check answers so.
    func expectCheck(at node: String, status: Int, endpoints: Int) async throws {
        let ask = ["curl", "-g", "-sS", "-i", "--max-time", "5", "http://\(node):32100/healthz"]
        try await eventually("\(endpoints) endpoints in the health check") {
            let answer = try await outside.run(ask).output
            guard answer.hasPrefix("HTTP/1.1 \(status) "), answer.contains("\"localEndpoints\": \(endpoints)"),
                answer.lowercased().contains("x-load-balancing-endpoint-weight: \(endpoints)")
            else { throw LabError("ask the health check", answer) }
            return true
        }
    }

    func expectTrace() async throws {
        let trace = try await agent.apus(
            "service", "trace", "--from", "\(outside.ipv4)", "--to", "\(agent.node.ipv4):30080")
        #expect(trace.succeeded && trace.output.contains("from outside to node-a"), "\(trace)")
    }
}

extension AskOutcome {
    fileprivate var isAnswer: Bool { if case .answered = self { true } else { false } }
}

/// Lends two nodes with the Service exposed in every way, servers behind it, and routes to it for the host outside.
func withOutside(
    more: String = "externalTrafficPolicy: Cluster", backends: [String] = OutsideWorld.pods, options: [String] = [],
    _ body: (OutsideWorld) async throws -> Void
) async throws {
    try await withLab(OutsideWorld.plan) { lab in
        let files = [
            "pods.yaml": Manifest.file(["web-1", "web-2"].map { Manifest.pod(lab.pod($0)) }),
            "echo.yaml": OutsideWorld.service(lab, backends, more: more),
        ]
        let agent = try await AgentProcess.started(
            lab, manifests: try ManifestDirectory(lab, files), options: options)
        let world = OutsideWorld(lab: lab, agent: agent)
        try await world.serve(at: OutsideWorld.balancers + OutsideWorld.externals)
        try await body(world)
    }
}
