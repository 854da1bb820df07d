import Addressing
import Datapath
import Flows
import TestSupport
import Testing

extension TrafficTests {
    /// ClusterIP Services, at the socket and per packet.
    @Suite(.serialized) struct ClusterIPs {
        @Test(.shows(.clusterIPAtSocket, .clusterIPPerPacket, .random), arguments: ["on", "off"])
        func everyWayReachesAllBackends(redirectPeer: String) async throws {
            try await withEcho(options: ["--redirect-peer", redirectPeer]) { echo in
                for path in EchoPath.all {
                    try await echo.expectSpread(path)
                    (path.covered ? ServiceRow.clusterIPAtSocket : .clusterIPPerPacket).seen(path)
                    ServiceRow.random.seen(path)
                }
            }
        }

        @Test(.shows(.noEndpointsAtSocket, .noEndpointsPerPacket), arguments: ["on", "off"])
        func aServiceWithoutEndpointsRefuses(redirectPeer: String) async throws {
            // The answer to a packet is the data path's own: the client's policy lets nothing in.
            let policy = Manifest.policy("closed", "{podSelector: {matchLabels: {closed: \"yes\"}}, ingress: []}")
            try await withEcho(options: ["--redirect-peer", redirectPeer], more: ["closed.yaml": policy]) { echo in
                let client = Manifest.pod(echo.client, name: "client", labels: ["closed": "\"yes\""])
                let others = Echo.pods.map { Manifest.pod(echo.lab.pod($0)) }
                try echo.agent.manifests.write("pods.yaml", Manifest.file(others + [client]))
                try await eventually("the client's policy") {
                    try echo.agent.endpoints().contains { $0.ingress != nil }
                }
                for path in EchoPath.all {
                    let before = try echo.agent.drops(.noBackend)
                    let outcome = try await echo.ask(path, Echo.emptyAddresses, within: path.patience)
                    #expect(outcome == path.refusal, "\(path)")
                    #expect((try echo.agent.drops(.noBackend) > before) == !path.covered, "\(path)")
                    (path.covered ? ServiceRow.noEndpointsAtSocket : .noEndpointsPerPacket).seen(path)
                    guard path.covered else { continue }
                    let ofNode = try await echo.ask(
                        path, Echo.emptyAddresses, from: echo.agent.node, within: path.patience)
                    #expect(ofNode == .refused, "\(path) from the node")
                }
            }
        }

        @Test(.shows(.hairpinAtSocket, .hairpinPerPacket))
        func aPodReachesItselfAtTheSocketAndIsRefusedPerPacket() async throws {
            try await withEcho { echo in
                try echo.setBackends(["web-1"])
                let (pod, paths) = (echo.lab.pod("web-1"), EchoPath.all)
                try await eventually("the change of backends") {
                    try await echo.leads(paths[0], to: ["web-1"])
                }
                for path in paths {
                    let port = path.ipProtocol == .udp ? Echo.udpPort : Echo.tcpPort
                    let outcome = try await pod.ask(
                        Echo.addresses[path.family], port, over: path.ipProtocol, options: path.options,
                        within: path.patience, covered: path.covered)
                    #expect(outcome == (path.covered ? .answered("web-1") : path.refusal), "\(path)")
                    (path.covered ? ServiceRow.hairpinAtSocket : .hairpinPerPacket).seen(path)
                }
            }
        }

        @Test func aChangeOfEndpointsTakesEffect() async throws {
            try await withEcho { echo in
                let paths = EchoPath.all.filter { !$0.unconnected }
                for backends in [["web-2"], [], ["web-1", "web-3"]] {
                    try echo.setBackends(backends)
                    for path in paths {
                        let what = "\(path) to reach \(backends)"
                        try await eventually(what) { try await echo.leads(path, to: backends) }
                    }
                }
            }
        }

        @Test func theClientSeesTheServiceAsItsPeer() async throws {
            try await withEcho { echo in
                for path in EchoPath.all where !path.unconnected {
                    let vip = Echo.addresses[path.family]
                    let port = path.ipProtocol == .udp ? Echo.udpPort : Echo.tcpPort
                    let name = try await echo.client.peerName(
                        after: vip, port, over: path.ipProtocol, covered: path.covered)
                    #expect(name == "\(vip) \(port)", "\(path)")
                }
            }
        }

        /// By then its record has gone to another socket: `socket_records` has 65,536 places.
        @Test func theClientSeesTheServiceAsItsPeerAfterManyMoreConnections() async throws {
            // Room for all of them: what is evicted is forgotten.
            try await withEcho(options: ["--map-size-connections", "131072"]) { echo in
                for vip in Echo.addresses {
                    for others in [1, 70_000] {
                        let name = try await echo.client.peerName(
                            after: vip, Echo.tcpPort, over: .tcp, covered: true, others: others)
                        #expect(name == "\(vip) \(Echo.tcpPort)", "after \(others)")
                    }
                }
            }
        }

        /// One socket all the time, which hears of nothing: the backends that it leaves go on answering.
        @Test(.shows(.removedBackendAtSocket, .removedBackendPerPacket))
        func aConnectedDatagramSocketLeavesABackendThatServesNoMore() async throws {
            try await withEcho { echo in
                let paths = EchoPath.all.filter { $0.ipProtocol == .udp && !$0.unconnected }
                try await echo.lead(paths, to: "web-1")
                let held = try paths.map { try echo.hold($0, from: echo.client, rate: 100) }
                for next in Echo.pods {
                    try echo.setBackends([next])
                    try await eventually("answers of \(next)") { try echo.answered(next) == [true: 2, false: 2] }
                    let opened = try await echo.agent.flow("the connection to \(next)") {
                        $0.kind == .opened && $0.destination.name == next
                    }
                    #expect(opened.source.name == "client" && opened.tuple.ipProtocol == .udp, "\(opened)")
                }
                for (path, socket) in zip(paths, held) {
                    let report = try LoadReport(parsing: await socket.stop().output)
                    #expect(report.failed == 0 && Set(report.ids.keys) == Set(Echo.pods), "\(path): \(report)")
                    (path.covered ? ServiceRow.removedBackendAtSocket : .removedBackendPerPacket).seen(path)
                }
            }
        }

        /// Of the node's own, one that was led to an endpoint is ended, and one that went there by itself is not.
        @Test(.shows(.removedBackendOfNode)) func aConnectedDatagramSocketOfTheNodeIsEnded() async throws {
            try await withEcho { echo in
                let node = echo.lab.node("node-a")
                let paths = EchoPath.all.filter { $0.ipProtocol == .udp && $0.covered && !$0.unconnected }
                try await echo.lead(paths, to: "web-1")
                let led = try paths.map { try echo.hold($0, from: node, rate: 20) }
                let direct = try paths.map {
                    try echo.hold($0, from: node, rate: 20, at: echo.lab.pod("web-2").addresses[$0.family], 8053)
                }
                let once = [true: 1, false: 1]
                try await eventually("answers to all") {
                    try echo.answered("web-1", ofNode: true) == once && echo.answered("web-2", ofNode: true) == once
                }
                try echo.setBackends(["web-3"])
                try await eventually("answers of the other endpoint") {
                    try echo.answered("web-3", ofNode: true) == once
                }
                for (path, socket) in zip(paths, led) {
                    let report = try LoadReport(parsing: await socket.stop().output)
                    // By whether it waits for an answer or sends at the time.
                    let errors = [["ECONNABORTED": 1], ["EDESTADDRREQ": 1]]
                    #expect(errors.contains(report.errors), "\(path): \(report)")
                    #expect(Set(report.ids.keys) == ["web-1", "web-3"], "\(path): \(report)")
                    ServiceRow.removedBackendOfNode.seen(path)
                }
                for socket in direct {
                    let other = try LoadReport(parsing: await socket.stop().output)
                    #expect(other.failed == 0 && Set(other.ids.keys) == ["web-2"], "\(other)")
                }
            }
        }

        /// The error reaches the socket, whose process can then look for something else.
        @Test func aConnectedDatagramSocketIsRefusedWhereNothingServes() async throws {
            try await withEcho { echo in
                let held = try echo.client.traffic([
                    "load", "--udp", "--hold", "--rate", "100", "--timeout-ms", "60000", "\(Echo.addresses[0])",
                    "\(Echo.udpPort)",
                ])
                _ = try await echo.agent.flow("the connection") {
                    $0.kind == .opened && $0.source.name == "client" && $0.tuple.ipProtocol == .udp
                }
                try echo.setBackends([])
                _ = try await echo.agent.flow("a refusal") { $0.kind == .denied && $0.dropReason == "no_backend" }
                let report = try LoadReport(parsing: await held.stop().output)
                #expect(Set(report.errors.keys) == ["ECONNREFUSED"], "\(report)")
            }
        }

        /// Its record must not outlive the connection: the next one is to the backend itself.
        @Test func aSocketThatConnectsAgainForgetsTheService() async throws {
            try await withEcho { echo in
                let backend = echo.lab.pod("web-2")
                try echo.setBackends([backend.name])
                for path in EchoPath.all where path.covered && !path.unconnected {
                    try await eventually("\(path)") { try await echo.leads(path, to: [backend.name]) }
                    let port = path.ipProtocol == .udp ? Echo.udpPort : Echo.tcpPort
                    let target: Port = path.ipProtocol == .udp ? 8053 : 8080
                    let address = backend.addresses[path.family]
                    let name = try await echo.client.peerName(
                        after: Echo.addresses[path.family], port, over: path.ipProtocol, covered: true,
                        then: SocketAddress(address, target))
                    #expect(name == "\(address) \(target)", "\(path)")
                }
            }
        }
    }
}

/// A way to ask the Service.
struct EchoPath: Sendable, CustomStringConvertible {
    var ipProtocol: IPProtocol
    /// 0 for IPv4, 1 for IPv6.
    var family: Int
    /// Whether the agent's socket programs see the client.
    var covered: Bool
    var unconnected: Bool

    static let all = [true, false].flatMap { covered in
        [0, 1].flatMap { family in
            [(IPProtocol.tcp, false), (.udp, false), (.udp, true)].map {
                EchoPath(ipProtocol: $0.0, family: family, covered: covered, unconnected: $0.1)
            }
        }
    }

    /// What a client sees that is refused: no error about a datagram reaches a socket that isn't connected.
    var refusal: AskOutcome { unconnected && !covered ? .timedOut : .refused }

    /// How long to wait for an answer or a refusal.
    var patience: Duration { unconnected && !covered ? .milliseconds(400) : .seconds(60) }

    var options: [String] { unconnected ? ["--unconnected"] : [] }

    var description: String {
        "\(ipProtocol) v\(family == 0 ? 4 : 6) \(covered ? "at the socket" : "per packet")"
            + (unconnected ? " unconnected" : "")
    }
}

/// A lab with a Service of three pods over TCP and UDP and one without endpoints, and no policy.
struct Echo {
    let lab: Lab
    let agent: AgentProcess

    static let addresses = [ip("10.96.1.1"), ip("fd00:10:96::1:1")]
    static let emptyAddresses = [ip("10.96.1.2"), ip("fd00:10:96::1:2")]
    static let tcpPort: Port = 80
    static let udpPort: Port = 53
    static let pods = ["web-1", "web-2", "web-3"]
    static let ports = [
        Manifest.ServicePort(ipProtocol: .tcp, port: tcpPort, target: 8080),
        Manifest.ServicePort(ipProtocol: .udp, port: udpPort, target: 8053),
    ]

    var client: LabHost { lab.pod("client") }

    /// The file of the Service with some of the pods behind it.
    static func service(_ lab: Lab, _ backends: [String]) -> String {
        Manifest.service(
            "echo", clusterIPs: addresses, ports: ports, endpoints: backends.flatMap { lab.pod($0).addresses })
    }

    func setBackends(_ backends: [String]) throws {
        try agent.manifests.write("echo.yaml", Self.service(lab, backends))
    }

    /// How many UDP sockets, of pods or of the node, a pod has answered again and again, by IPv4 and not: no `leads`
    /// does so.
    func answered(_ pod: String, ofNode: Bool = false) throws -> [Bool: Int] {
        let held = try DatapathReader(bpffs: agent.bpffs).connections().filter {
            $0.tuple.ipProtocol == .udp && lab.pod(pod).addresses.contains($0.tuple.destination.address)
                && ($0.source.endpoint == nil) == ofNode && $0.destination.sent.packets >= 3
        }
        return held.reduce(into: [:]) { $0[$1.tuple.source.address.isIPv4, default: 0] += 1 }
    }

    /// Waits until one pod serves all of these paths.
    func lead(_ paths: [EchoPath], to pod: String) async throws {
        try setBackends([pod])
        for path in paths { try await eventually("\(path)") { try await leads(path, to: [pod]) } }
    }

    /// A UDP socket that asks the Service, or another address, until it is stopped.
    func hold(
        _ path: EchoPath, from host: LabHost, rate: Int, at address: IPAddress? = nil, _ port: Port = udpPort
    ) throws -> ChildProcess {
        try host.traffic(
            [
                "load", "--udp", "--hold", "--rate", "\(rate)", "--timeout-ms", "60000",
            ] + path.options + ["\(address ?? Self.addresses[path.family])", "\(port)"], covered: path.covered)
    }

    func ask(
        _ path: EchoPath, _ vips: [IPAddress], from host: LabHost? = nil, within bound: Duration
    ) async throws -> AskOutcome {
        try await (host ?? client).ask(
            vips[path.family], path.ipProtocol == .udp ? Self.udpPort : Self.tcpPort, over: path.ipProtocol,
            options: path.options, within: bound, covered: path.covered)
    }

    func expectSpread(_ path: EchoPath) async throws {
        let report = try await client.load(
            Self.addresses[path.family], path.ipProtocol == .udp ? Self.udpPort : Self.tcpPort, over: path.ipProtocol,
            options: ["--count", "60"] + path.options, covered: path.covered)
        #expect(report.ok == 60 && report.failed == 0, "\(path): \(report)")
        #expect(Set(report.ids.keys) == Set(Self.pods), "\(path): \(report.ids)")
    }

    /// Whether only these backends answer, or the connection is refused where there are none.
    func leads(_ path: EchoPath, to backends: [String]) async throws -> Bool {
        guard !backends.isEmpty else {
            return try await ask(path, Self.addresses, within: .seconds(5)) == .refused
        }
        let report = try await client.load(
            Self.addresses[path.family], path.ipProtocol == .udp ? Self.udpPort : Self.tcpPort, over: path.ipProtocol,
            options: ["--count", "20", "--timeout-ms", "5000"], covered: path.covered)
        guard report.failed == 0, Set(report.ids.keys) == Set(backends) else {
            throw LabError("\(path)", "\(report)")
        }
        return true
    }
}

/// Lends a lab with the Services and a ready agent.
func withEcho<Result>(
    options: [String] = [], more: [String: String] = [:], isolation: isolated (any Actor)? = #isolation,
    _ body: (Echo) async throws -> Result
) async throws -> Result {
    var plan = LabPlan.oneNode(pods: Echo.pods + ["client"])
    plan.outside = [HostPlan("outside", number: 1, moreAddresses: Shop.internet)]
    return try await withLab(plan) { lab in
        var files = more
        files["pods.yaml"] = Manifest.file((Echo.pods + ["client"]).map { Manifest.pod(lab.pod($0)) })
        files["echo.yaml"] = Echo.service(lab, Echo.pods)
        files["empty.yaml"] = Manifest.service(
            "empty", clusterIPs: Echo.emptyAddresses, ports: Echo.ports, endpoints: [])
        let agent = try await AgentProcess.started(
            lab, manifests: try ManifestDirectory(lab, files), options: options)
        for pod in Echo.pods {
            try await lab.pod(pod).serve(port: 8080)
            try await lab.pod(pod).serve(port: 8053, over: .udp)
        }
        return try await body(Echo(lab: lab, agent: agent))
    }
}

extension LabHost {
    /// What getpeername says after a request, after as many of other sockets, and after one more of the same socket to
    /// another peer: `ADDRESS PORT`.
    func peerName(
        after address: IPAddress, _ port: Port, over ipProtocol: IPProtocol, covered: Bool, others: Int = 0,
        then next: SocketAddress? = nil
    ) async throws -> String {
        var more = others > 0 ? ["--count", "\(others)"] : []
        if let next { more += ["--then", "\(next.address)", "--target-port", "\(next.port)"] }
        let command =
            [try BuiltProducts.path(of: "apus-traffic"), "ask", ipProtocol == .udp ? "--udp" : "--tcp", "--peer-name"]
            + more + ["--timeout-ms", "60000", "\(address)", "\(port)"]
        let lines = try await output(command, covered: covered).split(separator: "\n")
        return lines.last.map(String.init) ?? ""
    }
}
