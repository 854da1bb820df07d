import Addressing
import TestSupport

/// Builds the networks of a round and keeps them until its end: an idle one costs nothing.
struct PeerSetup {
    private(set) var labs: [Lab] = []
    private(set) var peers: [Peer] = []

    private static let node = "node-a"

    /// Makes a peer, after the one whose network it shares.
    mutating func add(_ kind: PeerKind) async throws {
        if let owner = peers.first(where: { $0.kind == kind.owner }) {
            peers.append(Peer(kind: kind, client: owner.client, server: owner.server, agent: nil, isCovered: false))
            return
        }
        let lab = try await Lab(Self.plan(of: kind))
        labs.append(lab)
        let server = try await ServerSet(on: lab.host("server"))
        let agent = try await program(kind, lab)
        peers.append(
            Peer(kind: kind, client: lab.host("client"), server: server, agent: agent, isCovered: true))
    }

    func tearDown() async {
        for lab in labs { await lab.tearDown() }
    }

    private static func plan(of kind: PeerKind) -> LabPlan {
        kind == .veth
            ? LabPlan(pairs: [PairPlan("client", "server", number: 1)])
            : LabPlan(nodes: [NodePlan(node, number: 1, pods: ["client", "server"])])
    }

    /// Gives the node what it knows of Services. Returns the agent of a peer that has one.
    private func program(_ kind: PeerKind, _ lab: Lab) async throws -> ApusAgent? {
        let fixture = ServiceFixture(count: kind.services, server: lab.host("server").ipv4)
        if kind.isApus {
            return try await ApusAgent(
                kind, in: lab, node: lab.node(Self.node), pods: [lab.pod("client"), lab.pod("server")], fixture)
        }
        guard kind.isIPTables else { return nil }
        let rules = KubeProxyRules(fixture).text
        let result = try await lab.node(Self.node).run(["iptables-restore"], input: rules, within: .seconds(120))
        guard result.succeeded else { throw LabError("load iptables rules for \(kind.rawValue)", result.errors) }
        return nil
    }
}
