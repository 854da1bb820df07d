import Addressing
import TestSupport
import Testing

extension TrafficTests {
    /// Endpoints that are processes of nodes: pods with hostNetwork.
    @Suite(.serialized) struct HostEndpoints {
        @Test(.shows(.hostEndpoints, .hostEndpointsLocal)) func thoseOfAllNodesOrOfThisOneServe() async throws {
            try await withOutside { world in
                let service = HostService(world: world)
                try await service.serve()
                try service.write("Cluster")
                for question in service.questions {
                    try await service.expect(question, ["node-a", "node-b"])
                    ServiceRow.hostEndpoints.seen(question.path)
                }
                try service.write("Local")
                for question in service.questions {
                    try await service.expect(question, ["node-a"])
                    ServiceRow.hostEndpointsLocal.seen(question.path)
                }
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }
    }
}

/// A Service whose endpoints are the two nodes themselves.
private struct HostService {
    let world: OutsideWorld

    private static let vips = [ip("10.96.3.1"), ip("fd00:10:96::3:1")]
    private static let target: Port = 8180
    private static let nodePort: Port = 30095

    /// One client and the frontend that it asks.
    struct Question {
        let client: LabHost
        let address: IPAddress
        let port: Port
        let path: EchoPath
    }

    /// A pod both ways and a process of the node at the ClusterIP, and a host outside at the node port. Pods that ask
    /// for a node port are led to all endpoints whatever the policies are.
    var questions: [Question] {
        EchoPath.all.filter { !$0.unconnected }.flatMap { path in
            let vip = Self.vips[path.family]
            let inside = Question(client: world.lab.pod("web-1"), address: vip, port: 80, path: path)
            guard path.covered else { return [inside] }
            let node = world.agent.node
            return [
                inside, Question(client: node, address: vip, port: 80, path: path),
                Question(client: world.outside, address: node.addresses[path.family], port: Self.nodePort, path: path),
            ]
        }
    }

    func serve() async throws {
        for node in ["node-a", "node-b"].map(world.lab.node) {
            try await node.serve(port: Self.target)
            // Each by itself: a datagram to one of several addresses is to be answered from that one.
            for address in node.addresses {
                try await node.serve(port: Self.target, over: .udp, options: ["--listen", "\(address)"])
            }
        }
    }

    /// Writes it with this policy for clients of all kinds.
    func write(_ policy: String) throws {
        let ports = [IPProtocol.tcp, .udp].map { Manifest.ServicePort(ipProtocol: $0, port: 80, target: Self.target) }
        let (near, far) = (world.lab.node("node-a").addresses, world.lab.node("node-b").addresses)
        let text = Manifest.service("hosts", clusterIPs: Self.vips, ports: ports, endpoints: near + far)
            .replacing(
                "type: ClusterIP",
                with: "type: NodePort\n  internalTrafficPolicy: \(policy)\n  externalTrafficPolicy: \(policy)"
            )
            .replacing("port: 80}", with: "port: 80, nodePort: \(Self.nodePort)}")
        let placed = far.reduce(text) { text, address in
            text.replacing(
                "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-a}",
                with: "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-b}")
        }
        try world.agent.manifests.write("hosts.yaml", placed)
    }

    func expect(_ question: Question, _ servers: Set<String>) async throws {
        try await question.client.expect(
            servers, at: question.address, question.port, over: question.path.ipProtocol, covered: question.path.covered
        )
    }
}
