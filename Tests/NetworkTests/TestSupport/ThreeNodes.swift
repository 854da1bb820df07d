import Addressing
import AgentAPI
import TestSupport
import Testing

/// Three nodes, each with an agent that follows one API server, and a fourth that is not in the cluster yet.
struct ThreeNodes {
    let lab: Lab
    let plan: LabPlan
    let mode: String
    let server: LabAPIServer
    /// By the node's name.
    let agents: [String: AgentProcess]

    static let webPort: Port = 8080
    static let webPods = ["web-a", "web-b", "web-c"]
    static let services = [ip("10.96.0.20"), ip("fd00:10:96::20")]
    static let nodePort: Port = 30080

    var manifests: ManifestDirectory { server.manifests }
    var client: LabHost { lab.pod("client") }
    var intruder: LabHost { lab.pod("intruder") }

    /// The nodes that run an agent.
    static let members = ["node-a", "node-b", "node-c"]

    static func plan(routesPods: Bool) -> LabPlan {
        LabPlan(
            nodes: [
                NodePlan("node-a", number: 1, pods: ["client", "web-a"]),
                NodePlan("node-b", number: 2, pods: ["intruder", "web-b"]),
                NodePlan("node-c", number: 3, pods: ["web-c", "open"]),
                NodePlan("node-d", number: 4, pods: ["late"]),
            ],
            outside: [HostPlan("outside", number: 1)], routesPods: routesPods)
    }

    func agent(_ node: String) -> AgentProcess {
        guard let agent = agents[node] else { preconditionFailure("\(node) has no agent") }
        return agent
    }

    func node(_ name: String) -> NodePlan {
        guard let node = plan.nodes.first(where: { $0.name == name }) else { preconditionFailure("no node \(name)") }
        return node
    }

    /// The manifests of a node and its pods.
    static func manifest(of node: NodePlan, in lab: Lab) -> String {
        let roles = ["client": "customer", "late": "customer", "open": "open", "intruder": "none"]
        return Manifest.file(
            [Manifest.node(node)]
                + node.pods.map {
                    Manifest.pod(lab.pod($0.name), labels: ["role": roles[$0.name] ?? "web"], node: node.name)
                })
    }

    private static func files(_ lab: Lab, _ plan: LabPlan) -> [String: String] {
        let port = Manifest.ServicePort(ipProtocol: .tcp, port: 80, target: webPort)
        let ends = webPods.flatMap { lab.pod($0).addresses }
        let open = Manifest.service(
            "open", clusterIPs: [ip("10.96.0.21"), ip("fd00:10:96::21")], ports: [port],
            endpoints: lab.pod("open").addresses
        ).replacing("type: ClusterIP", with: "type: NodePort")
            .replacing("port: 80}", with: "port: 80, nodePort: \(nodePort)}")
        var files = [
            "web.yaml": Manifest.service("web", clusterIPs: services, ports: [port], endpoints: ends),
            "open.yaml": open,
            "policy.yaml": Manifest.policy(
                "customers",
                "{podSelector: {matchLabels: {role: web}}, ingress: [{from: [{podSelector: {matchLabels: {role: customer}}}], "
                    + "ports: [{port: \(webPort)}, {port: 8053, protocol: UDP}]}]}"),
        ]
        for node in plan.nodes where members.contains(node.name) {
            files["\(node.name).yaml"] = manifest(of: node, in: lab)
        }
        return files
    }

    /// Lends a cluster in which every agent is ready and every pod serves.
    static func with(
        _ mode: String, options: [String] = [], _ body: (ThreeNodes) async throws -> Void
    ) async throws {
        let plan = plan(routesPods: mode == "native")
        try await withLab(plan) { lab in
            let server = try LabAPIServer(lab, manifests: try ManifestDirectory(lab, files(lab, plan)))
            try await server.start()
            var agents: [String: AgentProcess] = [:]
            for node in members {
                agents[node] = AgentProcess(
                    lab, node: node, manifests: server.manifests, apiServer: server,
                    options: ["--routing", mode, "--hubble-socket", ""] + options)
            }
            for agent in agents.values { try agent.start() }
            for agent in agents.values { try await agent.ready() }
            for pod in webPods + ["open", "late"] {
                try await lab.pod(pod).serve(port: webPort)
                try await lab.pod(pod).serve(port: 8053, over: .udp)
            }
            try await body(
                ThreeNodes(lab: lab, plan: plan, mode: mode, server: server, agents: agents))
        }
    }
}

/// What every mode has to do.
extension ThreeNodes {
    /// Waits until a pod is answered by another one, by both families.
    func expect(_ client: LabHost, reaches pod: String, within bound: Duration = .patience) async throws {
        for address in lab.pod(pod).addresses {
            try await eventually("\(client.name) to reach \(pod) at \(address)", within: bound) {
                try await client.ask(address, Self.webPort, within: .seconds(5)) == .answered(pod)
            }
        }
    }

    func expect(_ client: LabHost, doesNotReach pod: String) async throws {
        for address in lab.pod(pod).addresses {
            let outcome = try await client.ask(address, Self.webPort, within: .milliseconds(400))
            #expect(outcome == .timedOut, "\(mode): \(client.name) asks \(pod) at \(address): \(outcome)")
        }
    }

    /// Pods reach pods and Services of all nodes, and policies hold between nodes.
    func expectCluster() async throws {
        for pod in Self.webPods {
            try await expect(client, reaches: pod)
            try await expect(intruder, doesNotReach: pod)
        }
        try await expect(intruder, reaches: "open")
        for covered in [true, false] {
            for address in Self.services {
                let report = try await client.load(
                    address, 80, options: ["--count", "40"], covered: covered)
                #expect(report.ok == 40 && report.failed == 0, "\(mode) \(address): \(report)")
                #expect(Set(report.ids.keys) == Set(Self.webPods), "\(mode) \(address): \(report.ids)")
            }
        }
        // From the node itself, and from outside by a node that has no backend.
        for address in lab.pod("open").addresses {
            #expect(try await lab.node("node-a").ask(address, Self.webPort) == .answered("open"))
        }
        for address in lab.node("node-a").addresses {
            let outcome = try await lab.outside("outside").ask(address, Self.nodePort)
            #expect(outcome == .answered("open"), "\(mode) \(address):\(Self.nodePort): \(outcome)")
        }
    }

    /// Every agent finds the kernel as it should be.
    func expectVerified() async throws {
        for (node, agent) in agents.sorted(by: { $0.key < $1.key }) {
            try await eventually("\(node) to find nothing amiss") {
                let result = try await agent.apus("verify")
                guard result.succeeded else { throw LabError("apus verify", result.output) }
                return true
            }
        }
    }

    /// Datagrams that fill the largest packet, and streams, both ways.
    func expectLargePackets(_ mtu: Int) async throws {
        for address in lab.pod("web-b").addresses {
            let size = mtu - (address.isIPv4 ? 28 : 48)
            let report = try await client.run(
                [
                    try BuiltProducts.path(of: "apus-traffic"), "rr", "--udp", "--json", "--size", "\(size)",
                    "--seconds", "0.3", "--warmup", "0", "\(address)", "8053",
                ])
            #expect(report.succeeded, "\(mode) \(address) with \(size) bytes: \(report)")
            let stream = try await client.run(
                [
                    try BuiltProducts.path(of: "apus-traffic"), "stream", "--json", "--seconds", "0.3", "--warmup", "0",
                    "\(address)", "\(Self.webPort)",
                ])
            #expect(stream.succeeded, "\(mode) \(address): \(stream)")
        }
    }

    /// Has the pods send no larger packets than their CNI plugin would let them.
    func setPodMTU(_ mtu: Int) async throws {
        for pod in plan.nodes.flatMap(\.pods) {
            try await lab.pod(pod.name).output(["ip", "link", "set", "eth0", "mtu", "\(mtu)"])
        }
    }

    /// What `ip` shows on a node.
    func showIP(_ node: String, _ arguments: String...) async throws -> String {
        try await lab.node(node).output(["ip"] + arguments)
    }

    /// Our routes of a node.
    func routes(_ node: String) async throws -> String {
        try await showIP(node, "route", "show", "proto", "97") + showIP(node, "-6", "route", "show", "proto", "97")
    }
}
