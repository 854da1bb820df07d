import Addressing
import Datapath
import Flows
import TestSupport
import Testing

extension TrafficTests {
    /// ClusterIPs, of which there is no other kind of frontend, for a host outside that has a route to them by a node.
    @Suite(.serialized) struct ClusterIPsFromOutside {
        @Test(.shows(.clusterIPFromOutside, .undefinedPortOfClusterIP)) func podsOfAllNodesServe() async throws {
            try await withClusterIPs { world in
                for path in OutsidePath.all {
                    try await world.expect(path, OutsideWorld.pods)
                    ServiceRow.clusterIPFromOutside.seen(path.ipProtocol, at: path.address)
                    let outcome = try await world.outside.ask(path.address, 9, over: path.ipProtocol)
                    #expect(outcome == .refused, "another port of \(path)")
                    ServiceRow.undefinedPortOfClusterIP.seen(path.ipProtocol, at: path.address)
                }
                let flow = try await world.agent.flow("a request to a pod of the other node") { flow in
                    flow.verdict == .forwarded && flow.tuple.source.address == world.outside.ipv4
                        && flow.tuple.destination.address == world.lab.pod("web-3").ipv4
                }
                #expect(flow.service?.name == "echo", "\(flow)")
                let trace = try await world.traceFromOutside()
                #expect(trace.succeeded && trace.output.contains("from outside to node-a"), "\(trace)")
                #expect(trace.output.contains("all ready endpoints serve"), "\(trace)")
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        @Test(.shows(.internalLocalFromOutside, .noEndpointsOfClusterIP))
        func internalTrafficPolicyLocalIsForThemToo() async throws {
            let local = "internalTrafficPolicy: Local"
            try await withClusterIPs(more: local) { world in
                for path in OutsidePath.all { try await world.expect(path, ["web-1", "web-2"]) }
                try world.setClusterIPs(["web-3"], more: local)
                try await eventually("them to be dropped") {
                    try await world.ask(OutsidePath.all[0], within: .milliseconds(500)) == .timedOut
                }
                for path in OutsidePath.all {
                    let before = try world.agent.drops(.noLocalBackend)
                    #expect(try await world.ask(path, within: .milliseconds(500)) == .timedOut, "\(path)")
                    #expect(try world.agent.drops(.noLocalBackend) > before, "\(path)")
                    ServiceRow.internalLocalFromOutside.seen(path.ipProtocol, at: path.address)
                    let ofPod = try await world.lab.pod("web-1").ask(path.address, path.port, over: path.ipProtocol)
                    #expect(ofPod == .refused, "\(path) from a pod")
                }
                let list = try await world.agent.apus("service", "list").output
                #expect(list.contains("none on this node: drops"), "\(list)")
                try world.setClusterIPs([], more: local)
                try await eventually("them to be refused") {
                    try await world.ask(OutsidePath.all[0], within: .seconds(2)) == .refused
                }
                for path in OutsidePath.all {
                    #expect(try await world.ask(path, within: .seconds(60)) == .refused, "\(path)")
                    ServiceRow.noEndpointsOfClusterIP.seen(path.ipProtocol, at: path.address)
                }
            }
        }

        @Test(.shows(.clusterIPLeftToHost)) func theHostHasWhatIsNotForClientsOutside() async throws {
            try await withClusterIPs(options: ["--cluster-ip-from-outside", "off"]) { world in
                let node = world.agent.node
                try await node.serve(port: Echo.tcpPort)
                for address in Echo.addresses {
                    try await node.output(["ip", "address", "add", "\(CIDR(host: address))", "dev", "lo"])
                    // Each by itself: a datagram to one of several addresses is to be answered from that one.
                    try await node.serve(port: Echo.udpPort, over: .udp, options: ["--listen", "\(address)"])
                }
                for path in OutsidePath.all {
                    #expect(try await world.ask(path, within: .seconds(60)) == .answered("node-a"), "\(path)")
                    let ofPod = try await world.lab.pod("web-1").ask(path.address, path.port, over: path.ipProtocol)
                    #expect(OutsideWorld.pods.contains { ofPod == .answered($0) }, "\(path) from a pod: \(ofPod)")
                    ServiceRow.clusterIPLeftToHost.seen(path.ipProtocol, at: path.address)
                }
                let trace = try await world.traceFromOutside()
                #expect(!trace.succeeded && trace.errors.contains("is a ClusterIP"), "\(trace)")
            }
        }
    }
}

/// One way to ask for a ClusterIP.
private struct OutsidePath: CustomStringConvertible {
    let address: IPAddress
    let ipProtocol: IPProtocol

    static let all = Echo.addresses.flatMap { address in
        [IPProtocol.tcp, .udp].map { OutsidePath(address: address, ipProtocol: $0) }
    }

    var port: Port { ipProtocol == .tcp ? Echo.tcpPort : Echo.udpPort }
    var description: String { "\(ipProtocol) \(address)" }
}

extension OutsideWorld {
    fileprivate static func clusterIPs(_ lab: Lab, _ backends: [String], more: String) -> String {
        let text = Echo.service(lab, backends).replacing("type: ClusterIP", with: "type: ClusterIP\n  \(more)")
        return lab.pod("web-3").addresses.reduce(text) { text, address in
            text.replacing(
                "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-a}",
                with: "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-b}")
        }
    }

    fileprivate func setClusterIPs(_ backends: [String], more: String) throws {
        try agent.manifests.write("echo.yaml", Self.clusterIPs(lab, backends, more: more))
    }

    fileprivate func ask(_ path: OutsidePath, within bound: Duration) async throws -> AskOutcome {
        try await outside.ask(path.address, path.port, over: path.ipProtocol, within: bound)
    }

    /// Whether exactly these pods answer.
    fileprivate func expect(_ path: OutsidePath, _ pods: [String]) async throws {
        let report = try await outside.load(
            path.address, path.port, over: path.ipProtocol, options: ["--count", "40"])
        #expect(report.ok == 40 && report.failed == 0, "\(path): \(report)")
        #expect(Set(report.ids.keys) == Set(pods), "\(path): \(report.ids)")
    }

    fileprivate func traceFromOutside() async throws -> ProcessResult {
        try await agent.apus(
            "service", "trace", "--from", "\(outside.ipv4)", "--to", "\(Echo.addresses[0]):\(Echo.tcpPort)")
    }
}

/// Lends two nodes with a ClusterIP of each family, servers behind them, and routes to them for the host outside.
private func withClusterIPs(
    more: String = "internalTrafficPolicy: Cluster", options: [String] = [],
    _ body: (OutsideWorld) async throws -> Void
) async throws {
    try await withLab(OutsideWorld.plan) { lab in
        let files = [
            "pods.yaml": Manifest.file(["web-1", "web-2"].map { Manifest.pod(lab.pod($0)) }),
            "echo.yaml": OutsideWorld.clusterIPs(lab, OutsideWorld.pods, more: more),
        ]
        let agent = try await AgentProcess.started(
            lab, manifests: try ManifestDirectory(lab, files), options: options)
        let world = OutsideWorld(lab: lab, agent: agent)
        try await world.serve(at: Echo.addresses)
        try await body(world)
    }
}
