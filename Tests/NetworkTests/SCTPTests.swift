import Addressing
import Datapath
import Flows
import TestSupport
import Testing

extension TrafficTests {
    /// Real associations, of an SCTP stack that each process brings with it: it checks each packet's checksum.
    @Suite(.serialized) struct Associations {
        @Test(.shows(.associationPerPacket)) func aClusterIPLeadsPodsToPodsOfAllNodes() async throws {
            try await withAssociations { world in
                for address in AssociationWorld.services {
                    try await world.expectBoth(from: world.client, at: address, AssociationWorld.port)
                    ServiceRow.associationPerPacket.seen(.sctp, at: address)
                }
                let flow = try await world.agent.flow("an association through the Service") { flow in
                    flow.verdict == .forwarded && flow.tuple.ipProtocol == .sctp && flow.service?.name == "core"
                }
                #expect(flow.tuple.destination.port == AssociationWorld.target, "\(flow)")
                let trace = try await world.agent.apus(
                    "service", "trace", "--protocol", "SCTP", "--from", "default/client", "--to",
                    "\(AssociationWorld.services[0]):\(AssociationWorld.port)")
                #expect(trace.succeeded, "\(trace)")
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        @Test(.shows(.associationFromOutside)) func aNodePortLeadsClientsOutsideToPodsOfAllNodes() async throws {
            try await withAssociations { world in
                for address in world.agent.node.addresses {
                    try await world.expectBoth(from: world.outside, at: address, AssociationWorld.nodePort)
                    ServiceRow.associationFromOutside.seen(.sctp, at: address)
                }
            }
        }

        @Test func byWayOfTheStackItIsTheSame() async throws {
            try await withAssociations(options: ["--redirect-peer", "off"]) { world in
                for address in AssociationWorld.services {
                    try await world.expectBoth(from: world.client, at: address, AssociationWorld.port)
                }
                for address in world.agent.node.addresses {
                    try await world.expectBoth(from: world.outside, at: address, AssociationWorld.nodePort)
                }
            }
        }

        @Test(.shows(.associationRefused)) func withoutEndpointsItIsRefused() async throws {
            try await withAssociations(backends: []) { world in
                let before = try world.agent.drops(.noBackend)
                for address in AssociationWorld.services {
                    let answer = try await world.client.ask(
                        address, AssociationWorld.port, over: .sctp, within: .seconds(1))
                    #expect(answer == .timedOut, "the error alone ends no attempt")
                    ServiceRow.associationRefused.seen(.sctp, at: address)
                }
                #expect(try world.agent.drops(.noBackend) >= before + 2)
            }
        }
    }
}

private struct AssociationWorld {
    let lab: Lab
    let agent: AgentProcess

    static let port: Port = 38412
    static let target: Port = 3868
    static let nodePort: Port = 30412
    static let services = [ip("10.96.0.30"), ip("fd00:10:96::30")]
    static let servers = ["near", "far"]

    var client: LabHost { lab.pod("client") }
    var outside: LabHost { lab.host("outside") }

    static func service(_ lab: Lab, _ backends: [String]) -> String {
        let ports = [Manifest.ServicePort(ipProtocol: .sctp, port: port, target: target)]
        let text = Manifest.service(
            "core", clusterIPs: services, ports: ports, endpoints: backends.flatMap { lab.pod($0).addresses }
        )
        .replacing("type: ClusterIP", with: "type: NodePort")
        .replacing("port: \(port)}", with: "port: \(port), nodePort: \(nodePort)}")
        return lab.pod("far").addresses.reduce(text) { text, address in
            text.replacing(
                "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-a}",
                with: "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-b}")
        }
    }

    /// Opens associations until each server has answered one, and nobody else any.
    func expectBoth(from client: LabHost, at address: IPAddress, _ port: Port) async throws {
        var seen: Set<String> = []
        // A server that is left out of so many has a chance of one in four billion.
        for _ in 0..<32 where seen.count < Self.servers.count {
            let answer = try await client.ask(address, port, over: .sctp)
            guard case .answered(let name) = answer else { throw LabError("ask \(address)", "\(answer)") }
            seen.insert(name)
        }
        #expect(seen == Set(Self.servers), "\(address)")
    }
}

/// Lends two nodes, of which one has an agent, with a Service of SCTP and a server on each, and a host outside.
private func withAssociations(
    backends: [String] = AssociationWorld.servers, options: [String] = [],
    _ body: (AssociationWorld) async throws -> Void
) async throws {
    let plan = LabPlan(
        nodes: [
            NodePlan("node-a", number: 1, pods: ["client", "near"]), NodePlan("node-b", number: 2, pods: ["far"]),
        ],
        outside: [HostPlan("outside", number: 1)])
    try await withLab(plan) { lab in
        let files = [
            "pods.yaml": Manifest.file(["client", "near"].map { Manifest.pod(lab.pod($0)) }),
            "core.yaml": AssociationWorld.service(lab, backends),
        ]
        let agent = try await AgentProcess.started(lab, manifests: try ManifestDirectory(lab, files), options: options)
        for server in AssociationWorld.servers {
            try await lab.pod(server).serve(port: AssociationWorld.target, over: .sctp)
        }
        try await body(AssociationWorld(lab: lab, agent: agent))
    }
}
