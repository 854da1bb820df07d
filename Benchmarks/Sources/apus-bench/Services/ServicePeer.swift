import Addressing
import TestSupport

/// A node with Services, a client in one of its pods and one outside, and endpoints on the node and elsewhere.
struct ServicePeer: Sendable {
    let kind: ServicePeerKind
    /// The agent of its node, if it has one.
    let agent: ApusAgent?
    /// Where datagrams arrive.
    let sink: ChildProcess
    private let lab: Lab

    private static let node = "node-a"
    /// The pod elsewhere: a host that plays pod and node in one.
    private static let podElsewhere = ip("10.244.2.10")

    /// Makes its servers and gives its node the Services; the lab stays the caller's to tear down.
    init(_ kind: ServicePeerKind, in lab: Lab) async throws {
        self.kind = kind
        self.lab = lab
        try await Self.route(kind.subject, lab)
        var servers: [ChildProcess] = []
        for path in ServicePath.allCases {
            servers.append(try await Self.serve(path, .tcp, lab, ["--congestion", Measurement.congestionControl]))
        }
        sink = try await Self.serve(.nodePortElsewhere, .udp, lab, [])
        agent = try await Self.program(kind, lab)
        try await Mode.pinned.confine(servers: servers + [sink], agent)
        for path in ServicePath.allCases { try await requireAnswer(path) }
    }

    static var plan: LabPlan {
        LabPlan(
            nodes: [NodePlan(node, number: 1, pods: ["client", "server"])],
            outside: [HostPlan("outside", number: 1), HostPlan("elsewhere", number: 2, moreAddresses: [podElsewhere])])
    }

    var elsewhere: LabHost { lab.host("elsewhere") }

    func client(of path: ServicePath) -> LabHost { lab.host(path == .clusterIP ? "client" : "outside") }

    /// The address and port that a client asks.
    func destination(of path: ServicePath) -> (IPAddress, Port) {
        guard kind.subject.hasServices else { return (Self.endpoint(of: path, lab), path.port) }
        guard let nodePort = path.nodePort else { return (ServiceFixture.clusterIP, path.port) }
        return (lab.node(Self.node).ipv4, nodePort)
    }

    private static func host(of path: ServicePath, _ lab: Lab) -> LabHost {
        lab.host(path == .nodePortElsewhere ? "elsewhere" : "server")
    }

    private static func endpoint(of path: ServicePath, _ lab: Lab) -> IPAddress {
        path == .nodePortElsewhere ? podElsewhere : host(of: path, lab).ipv4
    }

    private static func serve(
        _ path: ServicePath, _ ipProtocol: IPProtocol, _ lab: Lab, _ options: [String]
    ) async throws -> ChildProcess {
        // By its own address: a datagram would be answered from another one of the host's.
        let options = ["--serial", "--listen", "\(endpoint(of: path, lab))"] + options
        return try await host(of: path, lab).serve(port: path.port, over: ipProtocol, options: options)
    }

    /// The pod elsewhere is one hop from everybody; with a node that only routes the way there and back leads over it.
    private static func route(_ subject: ServiceSubject, _ lab: Lab) async throws {
        let (node, outside, elsewhere) = (lab.node(node), lab.host("outside"), lab.host("elsewhere"))
        func route(_ host: LabHost, to destination: IPAddress, via gateway: IPAddress) async throws {
            try await host.output(["ip", "route", "replace", "\(CIDR(host: destination))", "via", "\(gateway)"])
        }
        for host in [node, outside] { try await route(host, to: podElsewhere, via: elsewhere.ipv4) }
        guard subject == .kernel else { return }
        try await route(outside, to: podElsewhere, via: node.ipv4)
        try await route(elsewhere, to: outside.ipv4, via: node.ipv4)
    }

    private func requireAnswer(_ path: ServicePath) async throws {
        let (address, port) = destination(of: path)
        let outcome = try await client(of: path).ask(address, port, within: .seconds(5))
        guard outcome == .answered(Self.host(of: path, lab).name) else {
            throw LabError("reach the endpoint of \(kind.name), \(path.title)", "\(outcome)")
        }
    }
}

extension ServicePeer {
    private static func program(_ kind: ServicePeerKind, _ lab: Lab) async throws -> ApusAgent? {
        let fixture = fixture(kind, lab)
        let node = lab.node(node)
        switch kind.subject {
        case .direct, .kernel: return nil
        case .iptables: try await load(["iptables-restore"], KubeProxyRules(fixture).text, kind, node)
        case .nftables: try await load(["nft", "-f", "-"], NFTablesRules(fixture, node: node.ipv4).text, kind, node)
        case .apus, .apusStack, .apusGeneric, .apusNative: return try await agent(kind, lab, fixture)
        }
        return nil
    }

    private static func load(_ command: [String], _ rules: String, _ kind: ServicePeerKind, _ node: LabHost)
        async throws
    {
        let result = try await node.run(command, input: rules, within: .seconds(120))
        guard result.succeeded else { throw LabError("load the rules of \(kind.name)", result.errors) }
    }

    private static func agent(
        _ kind: ServicePeerKind, _ lab: Lab, _ fixture: ServiceFixture
    ) async throws -> ApusAgent {
        let (node, client, server) = (lab.node(node), lab.pod("client"), lab.pod("server"))
        var files = Manifests(
            node: node.name, nodeAddress: node.ipv4, client: client.ipv4, server: server.ipv4, fixture
        ).files
        files["outside.json"] = Manifests.policy(
            from: CIDR(host: lab.host("outside").ipv4), to: ServicePath.nodePort.port)
        let options = ["--flow-detail", "connections"] + kind.subject.options
        let agent = try await ApusAgent(kind.name, in: lab, node: node, manifests: files, options: options) {
            let outcome = try await client.ask(
                ServiceFixture.clusterIP, ServicePath.clusterIP.port, within: .seconds(1))
            return outcome == .answered(server.name)
        }
        try await ApusAgent.requirePolicy(client, server)
        return agent
    }

    /// The measured Service has a port for each way and one for datagrams, and of the others every fourth has a node
    /// port: the range of those holds no more.
    private static func fixture(_ kind: ServicePeerKind, _ lab: Lab) -> ServiceFixture {
        let ports = ServicePath.allCases.map { path in
            ServiceFixture.Port(
                name: "port-\(path.port)", ipProtocol: .tcp, port: path.port, nodePort: path.nodePort,
                endpoints: [endpoint(of: path, lab)])
        }
        let datagrams = ports.filter { $0.port == ServicePath.nodePortElsewhere.port }.map { port in
            var port = port
            (port.name, port.ipProtocol) = ("datagrams", .udp)
            return port
        }
        return ServiceFixture(count: kind.services, measured: ports + datagrams) { number in
            number.isMultiple(of: 4) ? 30_100 + Port(number / 4) : nil
        }
    }
}
