import Addressing
import Kubernetes
import NetworkPolicy
import Testing

@testable import PolicyTranslation

@Suite struct NodePeerTranslation {
    private static let rule = ClusterNetworkPolicyRule(
        action: .deny, peers: [.nodes(Kubernetes.LabelSelector(matchLabels: ["pool": "edge"]))])

    private func policy(_ name: String, _ egress: [ClusterNetworkPolicyRule]) -> ObjectChange {
        .upsert(
            .clusterNetworkPolicy(
                ClusterNetworkPolicy(meta: ObjectMeta(name: name), tier: .admin, priority: 1, egress: egress)))
    }

    private func node(_ name: String, pool: String, _ address: String) throws -> ObjectChange {
        let address = try #require(IPAddress(address))
        return .upsert(
            .node(
                Node(
                    meta: ObjectMeta(name: name, labels: ["pool": pool]),
                    addresses: [NodeAddress(.internalIP, address)])))
    }

    /// The peers of the only rule of every policy that is told.
    private func peers(_ inputs: [PolicyInput]) -> [[PolicyPeer]] {
        inputs.map { input in
            guard case .clusterPolicy(let policy) = input else { return [] }
            return policy.egress.flatMap(\.peers)
        }
    }

    @Test func selectedNodesAreTheirAddressesAndNoneAdmitNobody() throws {
        var state = NodePeers()
        #expect(peers(state.apply([policy("guard", [Self.rule])])) == [[.addresses([])]])
        let address = try #require(IPAddress("192.0.2.1"))
        #expect(peers(state.apply([try node("a", pool: "edge", "192.0.2.1")])) == [[.addresses([address])]])
        #expect(state.apply([try node("a", pool: "edge", "192.0.2.1")]).isEmpty, "nothing has changed")
        #expect(peers(state.apply([try node("a", pool: "core", "192.0.2.1")])) == [[.addresses([])]])
        #expect(peers(state.apply([try node("a", pool: "edge", "192.0.2.1")])) == [[.addresses([address])]])
        #expect(peers(state.apply([.delete(ObjectKey(.node, name: "a"))])) == [[.addresses([])]])
    }

    @Test func aBatchOfBothTellsThePolicyOnceAndOthersAreLeftAlone() throws {
        var state = NodePeers()
        let address = try #require(IPAddress("192.0.2.1"))
        let told = state.apply([policy("guard", [Self.rule]), try node("a", pool: "edge", "192.0.2.1")])
        #expect(peers(told) == [[.addresses([address])]])
        _ = state.apply([policy("guard", [])])
        #expect(state.apply([.delete(ObjectKey(.node, name: "a"))]).isEmpty, "no policy asks for nodes any more")
        let removal = ObjectChange.delete(ObjectKey(.clusterNetworkPolicy, name: "guard"))
        #expect(state.apply([policy("guard", [Self.rule]), removal]).isEmpty, "it is gone at the end of the batch")
        #expect(state.apply([try node("b", pool: "edge", "192.0.2.2")]).isEmpty)
        #expect(state.apply([removal, policy("guard", [])]).count == 1, "it is there at the end of the batch")
    }

    @Test func aPolicyThatComesAndGoesInOneBatchIsGone() {
        var inputs = PolicyInputs()
        let removal = ObjectChange.delete(ObjectKey(.clusterNetworkPolicy, name: "guard"))
        let told = inputs.apply([policy("guard", []), removal])
        guard case .clusterPolicyRemoved("guard") = told.last else {
            Issue.record("\(told)")
            return
        }
    }
}
