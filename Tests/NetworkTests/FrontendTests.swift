import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// The frontends of Services besides ClusterIPs, for pods and processes of the node.
    @Suite(.serialized) struct OutsideFrontends {
        @Test(
            .shows(
                .loadBalancerAtSocket, .loadBalancerPerPacket, .externalIPAtSocket, .externalIPPerPacket,
                .nodePortAtSocket,
                .nodePortPerPacket))
        func everyFrontendLeadsPodsToAllBackends() async throws {
            try await withExposed { echo in
                // All that is translated at the socket first: what is translated per packet then makes way for it where
                // both have one source port.
                for path in EchoPath.all {
                    for frontend in ExposedFrontend.all(of: echo) {
                        try await echo.expectSpread(path, over: frontend, from: echo.client)
                        frontend.row(path).seen(path)
                    }
                }
            }
        }

        @Test(
            .shows(
                .clusterIPFromNode, .nodePortFromNode, .nodePortOnLoopback, .loadBalancerFromNode, .externalIPFromNode))
        func everyFrontendLeadsProcessesOfTheNodeToAllBackends() async throws {
            try await withExposed { echo in
                let loopback = ExposedFrontend(
                    "loopback", [ip("127.0.0.1"), ip("::1")], [.nodePortOnLoopback], isNodePort: true)
                let clusterIP = ExposedFrontend("ClusterIP", Echo.addresses, [.clusterIPFromNode])
                for frontend in ExposedFrontend.all(of: echo) + [loopback, clusterIP] {
                    for path in EchoPath.all where path.covered {
                        try await echo.expectSpread(path, over: frontend, from: echo.agent.node)
                        frontend.rows[0].seen(path)
                    }
                }
            }
        }

        @Test func withoutEndpointsEveryFrontendRefuses() async throws {
            try await withExposed(backends: []) { echo in
                for frontend in ExposedFrontend.all(of: echo) {
                    for path in EchoPath.all {
                        let outcome = try await echo.client.ask(
                            frontend.addresses[path.family], frontend.port(of: path), over: path.ipProtocol,
                            options: path.options, within: path.patience, covered: path.covered)
                        #expect(outcome == path.refusal, "\(frontend), \(path)")
                    }
                }
            }
        }

        @Test(.shows(.undefinedPort)) func portsThatNoServiceHasAreRefused() async throws {
            try await withExposed { echo in
                // An external address may be that of another host, which has ports besides.
                let closed = ExposedFrontend.all(of: echo).filter {
                    !$0.isNodePort && $0.addresses != ExposedFrontend.externals
                }
                for frontend in closed + [ExposedFrontend("ClusterIP", Echo.addresses, [])] {
                    for path in EchoPath.all {
                        let outcome = try await echo.client.ask(
                            frontend.addresses[path.family], 9, over: path.ipProtocol, options: path.options,
                            within: path.patience, covered: path.covered)
                        #expect(outcome == path.refusal, "\(frontend), \(path)")
                        ServiceRow.undefinedPort.seen(path)
                        guard path.covered else { continue }
                        let ofNode = try await echo.agent.node.ask(
                            frontend.addresses[path.family], 9, over: path.ipProtocol, options: path.options,
                            within: path.patience)
                        #expect(ofNode == .refused, "\(frontend), \(path) from the node")
                    }
                }
            }
        }

        @Test func theLoopbackOfAPodIsItsOwn() async throws {
            try await withExposed { echo in
                try await echo.client.serve(port: ExposedFrontend.tcpNodePort, id: "own")
                for address in [ip("127.0.0.1"), ip("::1")] {
                    let outcome = try await echo.client.ask(address, ExposedFrontend.tcpNodePort)
                    #expect(outcome == .answered("own"), "\(address)")
                }
            }
        }

        @Test func theListAndATraceTellTheKinds() async throws {
            try await withExposed { echo in
                let list = try await echo.agent.apus("service", "list").output
                for kind in ["ClusterIP", "NodePort", "LoadBalancer", "externalIP"] {
                    #expect(list.contains(" \(kind) "), "\(list)")
                }
                let nodePort = "\(echo.agent.node.ipv4):\(ExposedFrontend.tcpNodePort)"
                let trace = try await echo.agent.apus(
                    "service", "trace", "--from", "default/client", "--to", nodePort)
                #expect(trace.succeeded && trace.output.contains("(NodePort)"), "\(trace)")
                #expect(try await echo.agent.apus("verify").succeeded)
            }
        }

        @Test(.shows(.nodePortAddresses)) func whatIsNotForThisNodeIsLeftAlone() async throws {
            let loopback = [ip("127.0.0.1"), ip("::1")]
            let options = loopback.flatMap { ["--nodeport-addresses", "\(CIDR(host: $0))"] }
            try await withExposed(options: options) { echo in
                let list = try await echo.agent.apus("service", "list").output
                #expect(list.contains("127.0.0.1:30080/TCP") && list.contains("[::1]:30080/TCP"), "\(list)")
                #expect(!list.contains("\(echo.agent.node.ipv4):30080"), "\(list)")
                let node = echo.agent.node
                try await node.serve(port: ExposedFrontend.tcpNodePort)
                try await node.serve(port: ExposedFrontend.udpNodePort, over: .udp)
                let own = ExposedFrontend("the node's own", node.addresses, [], isNodePort: true)
                let ports = ExposedFrontend("loopback", loopback, [], isNodePort: true)
                for path in EchoPath.all {
                    try await echo.expectSpread(path, over: own, from: echo.client, to: ["node-a"])
                    guard path.covered else { continue }
                    for client in [node, echo.lab.host("outside")] {
                        try await echo.expectSpread(path, over: own, from: client, to: ["node-a"])
                    }
                    try await echo.expectSpread(path, over: ports, from: node)
                    ServiceRow.nodePortAddresses.seen(path)
                }
                #expect(!list.contains("\(ExposedFrontend.proxy)"), "a load balancer that is a client of its own")
            }
        }
    }
}

/// Addresses of a Service that its ports, or its node ports, are on.
private struct ExposedFrontend: CustomStringConvertible {
    static let balancers = [ip("203.0.113.1"), ip("2001:db8:113::1")]
    static let externals = [ip("192.0.2.77"), ip("2001:db8:77::1")]
    /// Of a load balancer that is a client of its own.
    static let proxy = ip("203.0.113.99")
    static let tcpNodePort: Port = 30080
    static let udpNodePort: Port = 30053

    let description: String
    let addresses: [IPAddress]
    /// What is shown by those who reach it: a process of the node, a pod at the socket and a pod per packet.
    let rows: [ServiceRow]
    let isNodePort: Bool

    init(_ description: String, _ addresses: [IPAddress], _ rows: [ServiceRow], isNodePort: Bool = false) {
        self.description = description
        self.addresses = addresses
        self.rows = rows
        self.isNodePort = isNodePort
    }

    static func all(of echo: Echo) -> [ExposedFrontend] {
        [
            ExposedFrontend(
                "LoadBalancer", balancers, [.loadBalancerFromNode, .loadBalancerAtSocket, .loadBalancerPerPacket]),
            ExposedFrontend("externalIP", externals, [.externalIPFromNode, .externalIPAtSocket, .externalIPPerPacket]),
            ExposedFrontend(
                "NodePort", [echo.agent.node.ipv4, echo.agent.node.ipv6],
                [.nodePortFromNode, .nodePortAtSocket, .nodePortPerPacket], isNodePort: true),
        ]
    }

    func row(_ path: EchoPath) -> ServiceRow { rows[path.covered ? 1 : 2] }

    func port(of path: EchoPath) -> Port {
        switch (path.ipProtocol, isNodePort) {
        case (.udp, true): Self.udpNodePort
        case (.udp, false): Echo.udpPort
        case (_, true): Self.tcpNodePort
        case (_, false): Echo.tcpPort
        }
    }
}

extension Echo {
    fileprivate func expectSpread(
        _ path: EchoPath, over frontend: ExposedFrontend, from client: LabHost, to servers: [String] = pods
    ) async throws {
        let report = try await client.load(
            frontend.addresses[path.family], frontend.port(of: path), over: path.ipProtocol,
            options: ["--count", "40"] + path.options, covered: path.covered)
        #expect(report.ok == 40 && report.failed == 0, "\(frontend), \(path): \(report)")
        #expect(Set(report.ids.keys) == Set(servers), "\(frontend), \(path): \(report.ids)")
    }
}

private enum Exposed {
    /// The Service of `Echo` with all kinds of frontends. Its endpoints are said to be on another node: clients of this
    /// node reach them all the same, though `externalTrafficPolicy` is `Local`.
    static func service(_ lab: Lab, _ backends: [String]) -> String {
        let ingress =
            (ExposedFrontend.balancers.map { "{ip: \"\($0)\"}" })
            + ["{ip: \"\(ExposedFrontend.proxy)\", ipMode: Proxy}"]
        let externals = ExposedFrontend.externals.map { "\"\($0)\"" }.joined(separator: ", ")
        return Echo.service(lab, backends)
            .replacing(
                "metadata: {name: echo,",
                with: """
                    status: {loadBalancer: {ingress: [\(ingress.joined(separator: ", "))]}}
                    metadata: {name: echo,
                    """
            )
            .replacing(
                "type: ClusterIP",
                with: """
                    type: LoadBalancer
                      externalTrafficPolicy: Local
                      externalIPs: [\(externals)]
                    """
            )
            .replacing("port: 80}", with: "port: 80, nodePort: \(ExposedFrontend.tcpNodePort)}")
            .replacing("port: 53}", with: "port: 53, nodePort: \(ExposedFrontend.udpNodePort)}")
            .replacing("nodeName: node-a", with: "nodeName: node-b")
    }
}

/// Lends a lab with the Service exposed in every way.
private func withExposed(
    backends: [String] = Echo.pods, options: [String] = [], _ body: (Echo) async throws -> Void
) async throws {
    try await withEcho(options: options) { echo in
        try echo.agent.manifests.write("echo.yaml", Exposed.service(echo.lab, backends))
        try await eventually("the Service's load balancer, with its backends") {
            let list = try await echo.agent.apus("service", "list").output
            let row = list.split(separator: "\n").first {
                $0.contains("\(ExposedFrontend.balancers[1])") && $0.contains("TCP")
            }
            return row.map { $0.contains("none: refuses") == backends.isEmpty } ?? false
        }
        try await body(echo)
    }
}
