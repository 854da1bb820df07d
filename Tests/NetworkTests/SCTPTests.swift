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

        @Test(.shows(.associationLoadBalancer, .associationExternalIP, .associationAffinity, .associationRemoved))
        func everyFrontendLeadsPodsAndClientsOutside() async throws {
            try await withAssociations { world in
                for client in [world.client, world.outside] {
                    for address in OutsideWorld.balancers + OutsideWorld.externals {
                        try await world.expectBoth(from: client, at: address, AssociationWorld.port)
                    }
                }
                for (balancer, external) in zip(OutsideWorld.balancers, OutsideWorld.externals) {
                    ServiceRow.associationLoadBalancer.seen(.sctp, at: balancer)
                    ServiceRow.associationExternalIP.seen(.sctp, at: external)
                }
                try await world.expectOneAlwaysWithAffinity()
                try await world.expectOtherWhereOneGoes()
                #expect(try await world.agent.apus("verify").succeeded)
            }
        }

        @Test(.shows(.associationLocal, .associationSourceRanges)) func policiesAndRangesSayWhoIsServed() async throws {
            let local = "externalTrafficPolicy: Local"
            try await withAssociations(more: local) { world in
                for (address, port) in world.frontendsOutside {
                    try await world.expect(["near"], from: world.outside, at: address, port)
                    ServiceRow.associationLocal.seen(.sctp, at: address)
                }
                for (client, pod) in zip(world.outside.addresses, world.lab.pod("near").addresses) {
                    _ = try await world.agent.flow("the client's own address") {
                        $0.tuple.ipProtocol == .sctp && $0.tuple.source.address == client
                            && $0.tuple.destination.address == pod
                    }
                }
                try world.set(["far"], more: local)
                try await world.expectDrops(.noLocalBackend, of: [world.outside], at: world.frontendsOutside)

                let ranges = "loadBalancerSourceRanges: [\"198.51.100.0/24\", \"2001:db8:ffff::/64\"]"
                try world.set(AssociationWorld.servers, more: ranges)
                let balancers = OutsideWorld.balancers.map { ($0, AssociationWorld.port) }
                try await world.expectDrops(.sourceRange, of: [world.outside, world.client], at: balancers)
                for address in OutsideWorld.externals {
                    try await world.expectBoth(from: world.outside, at: address, AssociationWorld.port)
                }
                let clients = (world.outside.addresses + world.client.addresses).map { "\"\(CIDR(host: $0))\"" }
                try world.set(
                    AssociationWorld.servers, more: "loadBalancerSourceRanges: [\(clients.joined(separator: ", "))]")
                for address in OutsideWorld.balancers {
                    for client in [world.outside, world.client] {
                        try await eventually("\(client.name) to be let in at \(address)") {
                            try await world.isAnswered(client, at: address)
                        }
                    }
                    ServiceRow.associationSourceRanges.seen(.sctp, at: address)
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
    static let cluster = "externalTrafficPolicy: Cluster"

    var client: LabHost { lab.pod("client") }
    var outside: LabHost { lab.host("outside") }

    /// Where a host outside asks.
    var frontendsOutside: [(IPAddress, Port)] {
        agent.node.addresses.map { ($0, Self.nodePort) }
            + (OutsideWorld.balancers + OutsideWorld.externals).map { ($0, Self.port) }
    }

    static func service(_ lab: Lab, _ backends: [String], more: String) -> String {
        let ports = [Manifest.ServicePort(ipProtocol: .sctp, port: port, target: target)]
        let ingress = OutsideWorld.balancers.map { "{ip: \"\($0)\"}" }.joined(separator: ", ")
        let externals = OutsideWorld.externals.map { "\"\($0)\"" }.joined(separator: ", ")
        let text = Manifest.service(
            "core", clusterIPs: services, ports: ports, endpoints: backends.flatMap { lab.pod($0).addresses }
        )
        .replacing(
            "metadata: {name: core,", with: "status: {loadBalancer: {ingress: [\(ingress)]}}\nmetadata: {name: core,"
        )
        .replacing("type: ClusterIP", with: "type: LoadBalancer\n  \(more)\n  externalIPs: [\(externals)]")
        .replacing("port: \(port)}", with: "port: \(port), nodePort: \(nodePort)}")
        return lab.pod("far").addresses.reduce(text) { text, address in
            text.replacing(
                "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-a}",
                with: "{addresses: [\"\(address)\"], conditions: {ready: true}, nodeName: node-b}")
        }
    }

    /// Writes other endpoints, or other words about them, without waiting for anything.
    func set(_ backends: [String], more: String = Self.cluster) throws {
        try agent.manifests.write("core.yaml", Self.service(lab, backends, more: more))
    }

    /// Who answers a new association.
    private func answering(_ client: LabHost, at address: IPAddress, _ port: Port = Self.port) async throws -> String {
        let answer = try await client.ask(address, port, over: .sctp)
        guard case .answered(let name) = answer else { throw LabError("ask \(address)", "\(answer)") }
        return name
    }

    func isAnswered(_ client: LabHost, at address: IPAddress) async throws -> Bool {
        if case .answered = try await client.ask(address, Self.port, over: .sctp, within: .seconds(1)) {
            true
        } else {
            false
        }
    }

    /// Opens associations until each server has answered one, and nobody else any.
    func expectBoth(from client: LabHost, at address: IPAddress, _ port: Port) async throws {
        var seen: Set<String> = []
        // A server that is left out of so many has a chance of one in four billion.
        for _ in 0..<32 where seen.count < Self.servers.count {
            seen.insert(try await answering(client, at: address, port))
        }
        #expect(seen == Set(Self.servers), "\(address)")
    }

    func expect(_ servers: Set<String>, from client: LabHost, at address: IPAddress, _ port: Port) async throws {
        var seen: Set<String> = []
        for _ in 0..<4 { seen.insert(try await answering(client, at: address, port)) }
        #expect(seen == servers, "\(client.name) at \(address):\(port)")
    }

    /// Waits for a packet of each client to be dropped for this reason at each frontend, and none to be answered.
    func expectDrops(_ reason: DropReason, of clients: [LabHost], at frontends: [(IPAddress, Port)]) async throws {
        let first = frontends[0]
        try await eventually("\(reason)") {
            try await clients[0].ask(first.0, first.1, over: .sctp, within: .seconds(1)) == .timedOut
        }
        let before = try agent.drops(reason)
        let answers = try await withThrowingTaskGroup(of: AskOutcome.self) { group in
            for client in clients {
                for (address, port) in frontends {
                    group.addTask { try await client.ask(address, port, over: .sctp, within: .seconds(1)) }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.allSatisfy { $0 == .timedOut }, "\(reason): \(answers)")
        #expect(try agent.drops(reason) >= before + UInt64(answers.count), "\(reason)")
    }

    /// One server for all frontends of a client.
    func expectOneAlwaysWithAffinity() async throws {
        try set(Self.servers, more: "sessionAffinity: ClientIP")
        try await eventually("the affinity") { try await agent.apus("service", "list").output.contains("10800 s") }
        for family in [0, 1] {
            let inside = [Self.services, OutsideWorld.balancers, OutsideWorld.externals].map { ($0[family], Self.port) }
            let outside = frontendsOutside.filter { $0.0.isIPv4 == (family == 0) }
            for (host, frontends) in [(client, inside), (self.outside, outside)] {
                let server = try await answering(host, at: frontends[0].0, frontends[0].1)
                for (address, port) in frontends { try await expect([server], from: host, at: address, port) }
            }
            ServiceRow.associationAffinity.seen(.sctp, at: Self.services[family])
        }
        try set(Self.servers)
        try await eventually("no affinity") { try await !agent.apus("service", "list").output.contains("10800 s") }
    }

    /// Takes each server's endpoint away in turn: new associations go to the other one.
    func expectOtherWhereOneGoes() async throws {
        for (gone, left) in [("near", "far"), ("far", "near")] {
            try set([left])
            try await eventually("\(gone) to be left out") {
                let list = try await agent.apus("service", "get", "default/core", "-o", "json").output
                return lab.pod(gone).addresses.allSatisfy { !list.contains("\"\($0)\"") }
            }
            for family in [0, 1] {
                try await expect([left], from: client, at: Self.services[family], Self.port)
                try await expect([left], from: outside, at: agent.node.addresses[family], Self.nodePort)
                ServiceRow.associationRemoved.seen(.sctp, at: Self.services[family])
            }
        }
    }
}

/// Lends two nodes, of which one has an agent, with a Service of SCTP and a server on each, and a host outside.
private func withAssociations(
    backends: [String] = AssociationWorld.servers, more: String = AssociationWorld.cluster, options: [String] = [],
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
            "core.yaml": AssociationWorld.service(lab, backends, more: more),
        ]
        let agent = try await AgentProcess.started(lab, manifests: try ManifestDirectory(lab, files), options: options)
        // Of each address one: the answer to an INIT names all addresses that a server has, and the client would send
        // there again, past the Service, what was lost.
        for pod in AssociationWorld.servers.map(lab.pod) {
            for address in pod.addresses {
                let options = ["--listen", "\(address)"]
                try await pod.serve(port: AssociationWorld.target, over: .sctp, options: options)
            }
        }
        let world = AssociationWorld(lab: lab, agent: agent)
        for address in OutsideWorld.balancers + OutsideWorld.externals {
            let gateway = agent.node.addresses[address.isIPv4 ? 0 : 1]
            try await world.outside.output(["ip", "route", "add", "\(CIDR(host: address))", "via", "\(gateway)"])
        }
        try await body(world)
    }
}
