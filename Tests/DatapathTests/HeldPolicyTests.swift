import Addressing
@testable import Datapath
import DatapathABI
import LoadBalancing
import NetworkPolicy
import Testing

/// A start that can't see every policy: what was taken over stays, and what is new is judged as what it is.
@Suite struct HeldPolicyTests {
    private static let pods = [
        PolicyWorld.pod(1, labels: ["color": "red"]), PolicyWorld.pod(2, labels: ["color": "green"], isLocal: false),
    ]
    private static let policy = PolicyWorld.policy(1, to: "red", from: "green", port: 80)

    /// What an agent left that saw all, taken over by one that does not see the policy.
    private func held(_ pods: [PolicyInput] = pods, endpoint spec: EndpointSpec = endpoint(1)) throws -> (
        Rig, PolicyWorld
    ) {
        var world = PolicyWorld()
        var rig = Rig()
        let edits = world.apply(Self.pods + [Self.policy])
        rig.tables.apply(edits + [.endpoint(.upsert(endpoint(1)))])
        rig.program()
        var blind = PolicyWorld()
        var other = try rig.restarted()
        other.tables.apply(blind.apply(pods) + [.endpoint(.upsert(spec))])
        other.tables.keepStale(holdingPolicies: true)
        other.program()
        return (other, blind)
    }

    private func ingress(_ rig: Rig, of slot: Int = 1) -> UInt32? {
        rig.kernel.endpoint(slot)?.ingress_policy
    }

    private func peerClass(_ rig: Rig, _ number: Int) -> UInt32? {
        let key = IPAddress(v4: 0x0a01_0000 + UInt32(number)).key
        return rig.kernel.peer(.peerClasses, key)?.load(UInt32.self)
    }

    @Test func `a pod keeps its policy and its peers their class, until the view is full`() throws {
        var (rig, _) = try held()
        #expect(ingress(rig) ?? 0 != 0 && peerClass(rig, 2) != nil)
        #expect(try rig.tables.verify(rig.kernel).isEmpty)
        rig.tables.removeStale()
        #expect(rig.settle().isComplete)
        #expect(ingress(rig) == 0 && peerClass(rig, 2) == nil)
    }

    @Test func `edits of what was taken over wait, and are in force when the view is full`() throws {
        var (rig, world) = try held()
        let before = (ingress(rig), peerClass(rig, 2))
        rig.tables.apply(world.apply([PolicyWorld.policy(2, to: "red", from: "grey", port: 81)]))
        rig.tables.apply(world.apply([PolicyWorld.pod(2, labels: ["color": "grey"], isLocal: false)]))
        rig.program()
        #expect((ingress(rig), peerClass(rig, 2)) == before)
        rig.tables.removeStale()
        #expect(rig.settle().isComplete)
        #expect(ingress(rig) != before.0 && ingress(rig) != 0)
        #expect(peerClass(rig, 2) != before.1 && peerClass(rig, 2) != nil)
    }

    @Test func `a pod that is new is judged by what can be seen`() throws {
        var (rig, world) = try held()
        let edits = world.apply([
            PolicyWorld.pod(3, labels: ["color": "blue"]), PolicyWorld.policy(3, to: "blue", from: "grey", port: 80),
            PolicyWorld.pod(4, labels: ["color": "grey"], isLocal: false),
        ])
        rig.tables.apply(edits + [.endpoint(.upsert(endpoint(3)))])
        #expect(rig.program().isComplete)
        #expect(ingress(rig, of: 2) ?? 0 != 0 && peerClass(rig, 4) != nil)
    }

    @Test func `a new pod whose policy tells a held peer apart is named, and not the others`() throws {
        var (rig, world) = try held()
        #expect(rig.tables.heldPeers.isEmpty)
        rig.tables.apply(
            world.apply([
                PolicyWorld.pod(3, labels: ["color": "blue"]), PolicyWorld.pod(4, labels: ["color": "white"]),
                PolicyWorld.policy(3, to: "blue", from: "grey", port: 80),
                PolicyWorld.policy(4, to: "white", from: "black", port: 80),
                PolicyWorld.pod(2, labels: ["color": "grey"], isLocal: false),
            ]) + [.endpoint(.upsert(endpoint(3))), .endpoint(.upsert(endpoint(4)))])
        rig.program()
        #expect(rig.tables.heldPeers.map(\.pod) == [pod(3)])
        #expect(rig.tables.heldPeers.first?.peers == ["10.1.0.2"])
        rig.tables.removeStale()
        #expect(rig.settle().isComplete && rig.tables.heldPeers.isEmpty)
    }

    @Test func `of many changes of one address only the last is held`() throws {
        var (rig, world) = try held()
        for color in ["grey", "white", "green", "grey", "black", "grey"] {
            rig.tables.apply(world.apply([PolicyWorld.pod(2, labels: ["color": color], isLocal: false)]))
            rig.program()
        }
        #expect(rig.tables.policies.heldBack?.count ?? 0 <= 2)
        rig.tables.apply(world.apply([PolicyWorld.policy(2, to: "red", from: "grey", port: 81)]))
        rig.tables.removeStale()
        #expect(rig.settle().isComplete && peerClass(rig, 2) != nil)
    }

    @Test func `an address that changes hands has the class of its new pod`() throws {
        var (rig, world) = try held()
        let former = peerClass(rig, 2)
        rig.tables.release(peers: [IPAddress(v4: 0x0a01_0002)])
        rig.tables.apply(world.apply([.podRemoved(pod(2))]))
        rig.program()
        #expect(peerClass(rig, 2) == nil, "nobody has it")
        rig.tables.apply(
            world.apply([
                PolicyWorld.policy(2, to: "red", from: "grey", port: 81),
                PolicyWorld.pod(2, labels: ["color": "grey"], isLocal: false),
            ]))
        rig.program()
        #expect(peerClass(rig, 2) != nil && peerClass(rig, 2) != former)
    }

    @Test func `what was held back of an address is in force when it changes hands`() throws {
        var (rig, world) = try held()
        let former = peerClass(rig, 2)
        rig.tables.apply(
            world.apply([
                PolicyWorld.policy(2, to: "red", from: "grey", port: 81),
                PolicyWorld.pod(2, labels: ["color": "grey"], isLocal: false),
            ]))
        rig.program()
        #expect(peerClass(rig, 2) == former)
        rig.tables.release(peers: [IPAddress(v4: 0x0a01_0002)])
        rig.program()
        #expect(peerClass(rig, 2) != nil && peerClass(rig, 2) != former)
    }

    @Test func `a pod of this node that came while no agent ran does not keep the class of who had its address`() throws
    {
        var world = PolicyWorld()
        var rig = Rig()
        let green = PolicyWorld.pod(5, labels: ["color": "green"])
        let edits = world.apply(Self.pods + [Self.policy, green])
        rig.tables.apply(edits + [.endpoint(.upsert(endpoint(1))), .endpoint(.upsert(endpoint(5)))])
        rig.program()
        #expect(peerClass(rig, 5) == peerClass(rig, 2))
        var blind = PolicyWorld()
        var other = try rig.restarted()
        other.tables.apply(blind.apply(Self.pods))
        other.tables.apply([.endpoint(.upsert(endpoint(1))), .endpoint(.upsert(endpoint(6, address: 5)))])
        other.tables.keepStale(holdingPolicies: true)
        other.program()
        #expect(peerClass(other, 5) == nil && peerClass(other, 2) != nil)
    }
}
