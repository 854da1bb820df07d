import Addressing
import Glibc
import TestSupport

/// The cost of a packet of a connection that is known: what most packets of a node are.
struct EstablishedPackets {
    let peer: Peer
    let agent: ApusAgent

    private static let clientPort: Port = 40_001
    private static let serverPort = Destination.pod.port

    /// Opens connections between the pods, and from a pod to its node, and measures their packets.
    func figures() async throws -> [Report.Figure] {
        let (client, server, node) = (peer.client, peer.server.host, agent.node)
        try await node.serve(port: Self.serverPort)
        let held = [try await hold(client, server), try await hold(server, node)]
        defer { for process in held { process.signal(SIGTERM) } }
        try await exchangeDatagrams(client, server)
        let probes = [
            probe(.tcp, "to the stack", server, Self.clientPort, node, Self.serverPort),
            probe(.tcp, "delivered, request", client, Self.clientPort, server, Self.serverPort),
            probe(.tcp, "delivered, reply", server, Self.serverPort, client, Self.clientPort),
            probe(.udp, "delivered, request", client, Self.clientPort, server, Self.serverPort),
        ]
        var figures: [Report.Figure] = []
        for probe in probes { figures.append(.init(probe.title, try await probe.cost(agent), "ns")) }
        return figures
    }

    private func ends(_ server: LabHost) -> [String] {
        ["--ports", "\(Self.clientPort)-\(Self.clientPort)", "\(server.ipv4)", "\(Self.serverPort)"]
    }

    private func hold(_ client: LabHost, _ server: LabHost) async throws -> ChildProcess {
        let process = try client.traffic(["hold", "--interval-ms", "60000"] + ends(server))
        try await eventually("an established connection to \(server.name)") {
            guard process.lines.contains(where: { $0.hasPrefix("connected") }) else { return false }
            try await Task.sleep(for: .milliseconds(100))  // the first echo follows at once
            return true
        }
        return process
    }

    private func exchangeDatagrams(_ client: LabHost, _ server: LabHost) async throws {
        try await client.output(
            [try BuiltProducts.path(of: "apus-traffic"), "rr", "--udp", "--count", "10"] + ends(server))
    }

    private func probe(
        _ ipProtocol: IPProtocol, _ title: String, _ source: LabHost, _ sourcePort: Port, _ destination: LabHost,
        _ port: Port
    ) -> PacketProbe {
        PacketProbe(
            "from_pod, established \(ipProtocol) packet, \(title)", ipProtocol, flags: .ack,
            from: source, sourcePort, to: destination, port)
    }
}
