import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// Ways with a smaller link, through a Service: who sends learns so from errors that speak of what it has sent.
    @Suite(.serialized) struct Paths {
        @Test(arguments: [true, false])
        func theWayBackToAClientOutsideMayBeSmaller(redirects: Bool) async throws {
            try await withPaths(to: "web-1", redirects: redirects) { world in
                try await world.narrowWayOut()
                for end in world.outsideEnds {
                    try await world.expectWayBack(end, to: "web-1")
                }
            }
        }

        @Test(.shows(.pathMTUFromOutside)) func bothWaysOfABackendElsewhereMayBeSmaller() async throws {
            try await withPaths(to: "web-2") { world in
                try await world.narrowWayOut()
                try await world.narrowWay(to: "web-2")
                for end in world.outsideEnds {
                    try await world.expectWayBack(end, to: "web-2")
                    try await world.expectWayThere(end)
                    for variant in [IPProtocol.udp, .tcp] {
                        ServiceRow.pathMTUFromOutside.seen(variant, at: end.address)
                    }
                }
            }
        }

        /// The node itself is the router that knows of it.
        @Test func theWayIntoAPodMayBeSmaller() async throws {
            try await withPaths(to: "web-1", redirects: false) { world in
                try await world.narrowWayInto("web-1")
                for end in world.outsideEnds + world.podEnds { try await world.expectWayThere(end) }
            }
        }

        @Test(.shows(.pathMTUOfPod), arguments: [true, false])
        func theWayOfAPodMayBeSmaller(redirects: Bool) async throws {
            try await withPaths(to: "web-2", redirects: redirects) { world in
                try await world.narrowWay(to: "web-2")
                for end in world.podEnds {
                    try await world.expectWayThere(end)
                    for variant in [IPProtocol.udp, .tcp] { ServiceRow.pathMTUOfPod.seen(variant, at: end.address) }
                }
            }
        }

        /// Its packets are translated from the moment on when its backend serves no more.
        @Test func aSocketThatIsLedOnLearnsOfItsNewWay() async throws {
            try await withPaths(to: "web-1") { world in
                try await world.narrowWay(to: "web-2")
                var clients: [ChildProcess] = []
                for address in PathWorld.virtual {
                    clients.append(
                        try world.lab.pod("client").spawn(PathProbe.command("later", "\(address)", "80")))
                }
                try await eventually("sockets to be connected") { clients.allSatisfy { $0.lines == ["connected"] } }
                try world.agent.manifests.write("paths.yaml", PathWorld.service(world.lab, "web-2"))
                let next = world.lab.pod("web-2").ipv4
                try await eventually("the Service to have the other backend") {
                    try await world.agent.apus("service", "get", "default/paths", "-o", "json").output
                        .contains("\"\(next)\"")
                }
                for client in clients {
                    client.write("go\n")
                    try await eventually("the way to be known") { client.lines.count == 2 }
                    #expect(client.lines == ["connected", PathProbe.smallMTU])
                }
            }
        }

        @Test(.shows(.closedPort), arguments: ["web-1", "web-2"])
        func aClosedPortOfTheBackendRefusesDatagrams(backend: String) async throws {
            try await withPaths(to: backend) { world in
                for end in world.outsideEnds + world.podEnds {
                    let outcome = try await end.client.ask(
                        end.address, end.isNodePort ? 30009 : 9, over: .udp, within: .seconds(60),
                        covered: end.isCovered)
                    #expect(outcome == .refused, "\(end)")
                    ServiceRow.closedPort.seen(.udp, at: end.address)
                }
            }
        }
    }
}

/// A client and an address that it asks.
private struct PathEnd: CustomStringConvertible {
    let client: LabHost
    /// The client's own address; nil: any.
    let source: IPAddress?
    let address: IPAddress
    var isNodePort = false
    /// Whether its sockets' programs translate; else its packets are translated.
    var isCovered = true

    var port: Port { isNodePort ? 30080 : 80 }
    var description: String { "\(client.name) at \(address):\(port)" }
}

private struct PathWorld {
    let lab: Lab
    let agent: AgentProcess

    static let virtual = [ip("10.96.0.30"), ip("fd96::30")]
    static let balancers = [ip("203.0.113.30"), ip("2001:db8:113::30")]
    /// The client's addresses, that the node reaches by way of a router only.
    static let internet = [ip("1.2.3.4"), ip("2a01:203::4")]
    private static let routers = [ip("172.31.0.1"), ip("fd00:172:31::1")]

    var outside: LabHost { lab.host("outside") }
    var node: LabHost { agent.node }
    private var fabric: String { outside.namespace.dropLast(outside.name.count) + "fabric" }

    var outsideEnds: [PathEnd] {
        Self.internet.indices.flatMap { index in
            [
                PathEnd(
                    client: outside, source: Self.internet[index], address: node.addresses[index], isNodePort: true),
                PathEnd(client: outside, source: Self.internet[index], address: Self.balancers[index]),
            ]
        }
    }

    var podEnds: [PathEnd] {
        Self.virtual.map { PathEnd(client: lab.pod("client"), source: nil, address: $0, isCovered: false) }
    }

    static func service(_ lab: Lab, _ backend: String) -> String {
        let ports = [IPProtocol.tcp, .udp].map {
            Manifest.ServicePort(ipProtocol: $0, port: 80, target: PathProbe.port)
        }
        let closed = Manifest.ServicePort(ipProtocol: .udp, port: 9, target: 9)
        let ingress = balancers.map { "{ip: \"\($0)\"}" }.joined(separator: ", ")
        let text = Manifest.service(
            "paths", clusterIPs: virtual, ports: ports + [closed], endpoints: lab.pod(backend).addresses
        )
        .replacing(
            "metadata: {name: paths,",
            with: "status: {loadBalancer: {ingress: [\(ingress)]}}\nmetadata: {name: paths,"
        )
        .replacing("type: ClusterIP", with: "type: LoadBalancer")
        .replacing("port: 80}", with: "port: 80, nodePort: 30080}")
        .replacing("port: 9}", with: "port: 9, nodePort: 30009}")
        return backend == "web-2" ? text.replacing("nodeName: node-a", with: "nodeName: node-b") : text
    }

    private func route(_ namespace: String, _ destination: IPAddress, _ way: String) async throws {
        let command =
            ["ip", "-n", namespace, "route", "replace", "\(CIDR(host: destination))"]
            + way.split(separator: " ").map(String.init)
        try await outside.output(command)
    }

    /// Lets the client outside and the router, who reports, reach the load balancer's addresses.
    func routeBalancers() async throws {
        for (index, address) in Self.balancers.enumerated() {
            for namespace in [fabric, outside.namespace] {
                try await route(namespace, address, "via \(node.addresses[index])")
            }
        }
    }

    /// Lets the client outside be behind a router with a smaller link, on the way to it.
    func narrowWayOut() async throws {
        for (index, address) in Self.internet.enumerated() {
            try await route(fabric, address, "via \(outside.addresses[index]) mtu lock \(PathProbe.smallMTU)")
        }
    }

    /// Lets there be a router with a smaller link between this node and a pod of the other one.
    func narrowWay(to pod: String) async throws {
        for (index, address) in lab.pod(pod).addresses.enumerated() {
            let next = lab.node("node-b").addresses[index]
            try await route(fabric, address, "via \(next) mtu lock \(PathProbe.smallMTU)")
            try await route(node.namespace, address, "via \(Self.routers[index])")
        }
    }

    func narrowWayInto(_ pod: String) async throws {
        for address in lab.pod(pod).addresses {
            guard let device = lab.pod(pod).hostInterface else { continue }
            try await route(node.namespace, address, "dev \(device) mtu lock \(PathProbe.smallMTU)")
        }
    }

    /// Lets a host learn anew how large packets may be.
    private func forgetPaths(_ host: LabHost) async throws {
        for family in ["-4", "-6"] { try await host.output(["ip", family, "route", "flush", "cache"]) }
    }

    private func run(_ mode: String, _ end: PathEnd) async throws -> String {
        try await end.client.probePath(mode, to: end.address, end.port, from: end.source, covered: end.isCovered)
    }

    /// What the client sends is too large for its way.
    func expectWayThere(_ end: PathEnd) async throws {
        try await forgetPaths(end.client)
        let probe = try await run("probe", end)
        #expect(probe == PathProbe.smallMTU, "\(end)")
        try await forgetPaths(end.client)
        let put = try await run("put", end)
        #expect(put == "all", "\(end)")
    }

    /// What the backend answers is too large for its way.
    func expectWayBack(_ end: PathEnd, to backend: String) async throws {
        try await forgetPaths(lab.pod(backend))
        let push = try await run("push", end)
        #expect(push == PathProbe.smallMTU, "\(end)")
        try await forgetPaths(lab.pod(backend))
        let get = try await run("get", end)
        #expect(get == "all", "\(end)")
    }
}

/// Lends two nodes, of which one has an agent, a pod that asks, one that serves on each, and a client outside.
private func withPaths(
    to backend: String, redirects: Bool = true, _ body: (PathWorld) async throws -> Void
) async throws {
    let nodes = [
        NodePlan("node-a", number: 1, pods: ["web-1", "client"]), NodePlan("node-b", number: 2, pods: ["web-2"]),
    ]
    let outside = HostPlan("outside", number: 1, moreAddresses: PathWorld.internet)
    try await withLab(LabPlan(nodes: nodes, outside: [outside])) { lab in
        let objects = nodes.map { Manifest.node($0) } + ["web-1", "client"].map { Manifest.pod(lab.pod($0)) }
        let files = ["objects.yaml": Manifest.file(objects), "paths.yaml": PathWorld.service(lab, backend)]
        let agent = try await AgentProcess.started(
            lab, manifests: try ManifestDirectory(lab, files), options: redirects ? [] : ["--redirect-peer", "off"])
        let world = PathWorld(lab: lab, agent: agent)
        try await PathProbe.serve(on: lab.pod(backend))
        try await world.routeBalancers()
        try await body(world)
    }
}
