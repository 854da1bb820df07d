import Addressing
@testable import Datapath
import DatapathABI
import NetworkPolicy
import Testing

/// Maps of classes without room: who would be judged by the wrong class is closed, and nobody else.
@Suite struct PeerExposureTests {
    private var world = PolicyWorld()
    private var rig = Rig()

    /// Two pods with policies: `red` admits `green`, `blue` admits `grey`; no peer is there yet.
    init() {
        let edits = world.apply([
            PolicyWorld.pod(1, labels: ["color": "red"]), PolicyWorld.pod(2, labels: ["color": "blue"]),
            PolicyWorld.policy(1, to: "red", from: "green", port: 80),
            PolicyWorld.policy(2, to: "blue", from: "grey", port: 80),
        ])
        rig.tables.apply(edits + [.endpoint(.upsert(endpoint(1))), .endpoint(.upsert(endpoint(2)))])
        rig.program()
    }

    private func written(_ number: Int) -> apus_endpoint? { rig.kernel.endpoint(number) }

    /// Whether the pod is there and its ingress is judged by a policy.
    private func isOpen(_ number: Int) -> Bool {
        guard let endpoint = written(number), endpoint.ifindex != 0, endpoint.ingress_policy != 0 else { return false }
        let head = apus_policy_page_key(policy: endpoint.ingress_policy, page: 0)
        return rig.kernel.hashes[.policyPages]?[Bytes(of: head)] != nil
    }

    private mutating func programs(_ passes: Int) -> [String] {
        var problems: [String] = []
        for _ in 0..<passes { problems = rig.program().problems.map(\.description) }
        return problems
    }

    private static func visitor(_ number: Int, _ color: String) -> PolicyInput {
        PolicyWorld.pod(number, labels: ["color": color], isLocal: false)
    }

    /// Red admits a block without a part of it, which has a class of its own.
    private static let block = PolicyInput.policy(
        NetworkPolicyObject(
            namespace: "shop", name: "block", podSelector: LabelSelector(matchLabels: ["color": "red"]),
            ingress: [
                PolicyRule(
                    peers: [.block(CIDR("192.0.2.0/24")!, except: [CIDR("192.0.2.128/25")!])],
                    ports: [PortRule(.tcp, .number(80))])
            ]))

    @Test func `an address without room for its class closes the pods that know the class`() {
        var test = self
        test.rig.kernel.limits[.peerClasses] = test.rig.kernel.hashes[.peerClasses]?.count ?? 0
        let generation = test.written(1)?.generation ?? 0
        test.rig.tables.apply(test.world.apply([Self.visitor(3, "green")]))
        let problems = test.programs(5)
        #expect(!test.isOpen(1) && test.isOpen(2))
        #expect(problems.contains("peer 10.1.0.3: map peer_classes is full (--map-size-peers)"), "\(problems)")
        let closed = problems.filter { $0.contains("closed") }
        #expect(closed.count == 1 && closed[0].hasPrefix("endpoint shop/p1: closed: its ingress"), "\(problems)")
        #expect(test.written(1)?.generation == generation + 1, "live connections are judged again")

        // It stays closed with every pass, whatever else changes.
        test.rig.tables.apply(test.world.apply([PolicyWorld.policy(2, to: "blue", from: "grey", port: 81)]))
        test.rig.kernel.afterWrite = { [old = test.written(1)?.ingress_policy ?? 0] kernel in
            let head = apus_policy_page_key(policy: old, page: 0)
            #expect(kernel.hashes[.policyPages]?[Bytes(of: head)] == nil)
        }
        _ = test.programs(6)
        #expect(!test.isOpen(1) && test.isOpen(2))

        test.rig.kernel.afterWrite = { _ in }
        test.rig.kernel.limits = [:]
        #expect(test.rig.settle().isComplete)
        #expect(test.isOpen(1) && test.isOpen(2))
        #expect(test.written(1)?.generation ?? 0 > generation + 1)
    }

    @Test func `what is closed stays so until its peers are in force`() {
        var test = self
        test.rig.kernel.limits[.peerClasses] = test.rig.kernel.hashes[.peerClasses]?.count ?? 0
        test.rig.tables.apply(test.world.apply([Self.visitor(3, "green")]))
        _ = test.programs(6)
        #expect(!test.isOpen(1))
        test.rig.kernel.limits = [:]
        test.rig.kernel.fails = { $0 == .policyEpoch }
        _ = test.programs(4)
        #expect(!test.isOpen(1) && test.isOpen(2), "the class is written, and not what counts yet")
        test.rig.kernel.fails = { _ in false }
        #expect(test.rig.settle().isComplete)
        #expect(test.isOpen(1) && test.isOpen(2))
    }

    @Test func `all addresses of a class that find no room are one problem, of which each write counts`() {
        var test = self
        test.rig.kernel.limits[.peerClasses] = test.rig.kernel.hashes[.peerClasses]?.count ?? 0
        test.rig.tables.apply(test.world.apply((3...40).map { Self.visitor($0, $0 < 38 ? "green" : "grey") }))
        let report = test.rig.program()
        let full = report.problems.filter { $0.description.contains("peer_classes is full") }
        #expect(full.map(\.count).sorted() == [3, 35], "\(full)")
        let first = full.first { $0.count == 35 }?.object ?? ""
        #expect(first.hasPrefix("peers 10.1.0.3, 10.1.0.4, 10.1.0.5 and 32 more of class "), "\(first)")
    }

    @Test func `an address that goes makes room`() {
        var test = self
        test.rig.tables.apply(test.world.apply([Self.visitor(3, "green")]))
        _ = test.programs(1)
        test.rig.kernel.limits[.peerClasses] = test.rig.kernel.hashes[.peerClasses]?.count ?? 0
        test.rig.tables.apply(test.world.apply([Self.visitor(4, "grey")]))
        _ = test.programs(5)
        #expect(test.isOpen(1) && !test.isOpen(2))
        test.rig.tables.apply(test.world.apply([.podRemoved(pod(3))]))
        #expect(test.rig.settle().isComplete)
        #expect(test.isOpen(1) && test.isOpen(2))
    }

    @Test func `a pod that is new is never open while a class that its policy knows is missing`() {
        var test = self
        test.rig.kernel.limits[.peerClasses] = test.rig.kernel.hashes[.peerClasses]?.count ?? 0
        let edits = test.world.apply([
            PolicyWorld.pod(5, labels: ["color": "white"]), Self.visitor(6, "black"),
            PolicyWorld.policy(5, to: "white", from: "black", port: 80),
        ])
        test.rig.kernel.afterWrite = { kernel in
            guard let endpoint = kernel.endpoint(3), endpoint.ifindex != 0 else { return }
            let head = apus_policy_page_key(policy: endpoint.ingress_policy, page: 0)
            #expect(endpoint.ingress_policy != 0 && kernel.hashes[.policyPages]?[Bytes(of: head)] == nil)
        }
        test.rig.tables.apply(edits + [.endpoint(.upsert(endpoint(5)))])
        let problems = test.programs(6)
        #expect(test.written(3)?.ifindex == 105, "it is there, and closed")
        #expect(problems.contains { $0.hasPrefix("endpoint shop/p5: closed") }, "\(problems)")
        #expect(test.isOpen(1) && test.isOpen(2))
        test.rig.kernel.afterWrite = { _ in }
        test.rig.kernel.limits = [:]
        #expect(test.rig.settle().isComplete)
        #expect(test.isOpen(3))
    }

    @Test(arguments: [0, 1])
    func `a block, or a part that it leaves out, without room closes the pods that know it`(room: Int) {
        var test = self
        test.rig.kernel.limits[.peerPrefixes] = room
        test.rig.tables.apply(test.world.apply([Self.block]))
        let problems = test.programs(6)
        #expect(!test.isOpen(1) && test.isOpen(2))
        #expect(problems.contains { $0.hasSuffix("map peer_prefixes is full (--map-size-prefixes)") }, "\(problems)")
        test.rig.kernel.limits = [:]
        #expect(test.rig.settle().isComplete)
        #expect(test.isOpen(1) && test.isOpen(2))
    }

    @Test func `a policy in force without room for the bits of a new class is closed, and holds up no class`() {
        var test = self
        let entries = test.rig.kernel.hashes[.policyPeers]?.count ?? 0
        test.rig.kernel.limits[.policyPeers] = entries
        test.rig.tables.apply(test.world.apply([Self.visitor(3, "green")]))
        let problems = test.programs(6)
        #expect(!test.isOpen(1) && test.isOpen(2), "\(problems)")
        let peer = IPAddress(v4: 0x0a01_0003).key
        #expect(test.rig.kernel.peer(.peerClasses, peer) != nil)
        test.rig.kernel.limits = [:]
        #expect(test.rig.settle().isComplete)
        #expect(test.isOpen(1) && test.isOpen(2))
    }
}
