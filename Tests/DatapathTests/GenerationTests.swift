import Addressing
@testable import Datapath
import DatapathABI
import NetworkPolicy
import Testing

@Suite struct GenerationTests {
    private func generation(_ rig: Rig, _ slot: Int) -> UInt32? {
        rig.kernel.endpoint(slot)?.generation
    }

    private func isolated() -> (Rig, PolicyWorld) {
        var world = PolicyWorld()
        var rig = Rig()
        let edits = world.apply([
            PolicyWorld.pod(1, labels: ["color": "red"]), PolicyWorld.pod(2, labels: ["color": "blue"]),
            PolicyWorld.policy(1, to: "red", from: "green", port: 80),
        ])
        rig.tables.apply(edits + [.endpoint(.upsert(endpoint(1))), .endpoint(.upsert(endpoint(2)))])
        rig.program()
        return (rig, world)
    }

    @Test("A policy change writes policies and generation for the next epoch, and then puts that in force")
    func policyChange() {
        var (rig, world) = isolated()
        let before = rig.kernel.endpoint(1)
        #expect(before?.ingress_policy != 0 && generation(rig, 1) == 1)
        rig.tables.apply(world.apply([PolicyWorld.policy(1, to: "red", from: "blue", port: 81)]))
        let plan = rig.tables.plan(now: 2)
        let updates = plan.filter { [.endpoints, .policyEpoch].contains($0.write.table) }
        #expect(updates.map(\.write.table) == [.endpoints, .policyEpoch])
        #expect(updates.map(\.phase) == [.staging, .epoch])
        rig.program()
        let after = rig.kernel.endpoint(1)
        #expect(after?.ingress_policy != before?.ingress_policy && after?.generation == 2)
        #expect(generation(rig, 2) == 1, "an endpoint without policies is not judged again")
    }

    @Test("A pod whose policy finds no room gets it all the same in the end, without pages: its traffic is dropped")
    func closedWithoutRoom() throws {
        for table in [DatapathTable.policyPages, .policyPeers, .policySinglePorts] {
            var world = PolicyWorld()
            var rig = Rig()
            rig.kernel.limits[table] = 0
            let edits = world.apply([
                PolicyWorld.pod(1, labels: ["color": "red"]), PolicyWorld.pod(2, labels: ["color": "green"]),
                PolicyWorld.policy(1, to: "red", from: "green", port: 80),
            ])
            rig.tables.apply(edits + [.endpoint(.upsert(endpoint(1)))])
            for _ in 0..<rig.tables.fullPatience {
                #expect(!rig.program().isComplete)
                #expect(rig.kernel.endpoint(1)?.ifindex ?? 0 == 0, "\(table)")
            }
            let problems = rig.program().problems.map(\.description)
            #expect(problems.contains { $0.hasPrefix("policy NetworkPolicy/shop/n1/") }, "\(table): \(problems)")
            let closed = problems.filter { $0.hasPrefix("endpoint shop/p1: closed: its ingress is dropped") }
            #expect(closed.count == 1 && problems.count { $0.contains("closed") } == 1, "\(table): \(problems)")
            let written = rig.kernel.endpoint(1)
            let policy = try #require(written?.ingress_policy)
            #expect(policy != 0 && written?.ifindex == 101, "\(table)")
            #expect(rig.kernel.hashes[.policyPages]?.isEmpty ?? true, "\(table)")
            rig.kernel.limits = [:]
            #expect(rig.settle().isComplete)
            #expect(rig.kernel.hashes[.policyPages]?.isEmpty == false, "\(table)")
        }
    }

    @Test("A class that changes or goes has every judged endpoint's connections judged again, after the change")
    func classChange() {
        var (rig, world) = isolated()
        rig.tables.apply(world.apply([PolicyWorld.pod(3, labels: ["color": "green"], isLocal: false)]))
        rig.program()
        #expect(generation(rig, 1) == 2)
        rig.tables.apply(world.apply([PolicyWorld.pod(3, labels: ["color": "grey"], isLocal: false)]))
        let plan = rig.tables.plan(now: 3).filter { [.peerClasses, .endpoints, .policyEpoch].contains($0.write.table) }
        #expect(plan.map(\.write.table) == [.peerClasses, .endpoints, .policyEpoch])
        rig.program()
        #expect(generation(rig, 1) == 3 && generation(rig, 2) == 1)
        let key = IPAddress(v4: 0x0a01_0003).key
        #expect(rig.kernel.peer(.peerClasses, key) == nil && rig.kernel.hashes[.peerClasses]?[key] != nil)
        #expect(rig.settle().isComplete)
        #expect(rig.kernel.hashes[.peerClasses]?[key] == nil, "it goes when no packet may read it")
    }

    @Test("A class that can't be written changes no generation until it is")
    func heldGeneration() {
        var (rig, world) = isolated()
        rig.kernel.fails = { $0 == .peerClasses }
        rig.tables.apply(world.apply([PolicyWorld.pod(3, labels: ["color": "green"], isLocal: false)]))
        #expect(!rig.program().isComplete)
        #expect(generation(rig, 1) == 1)
        rig.kernel.fails = { _ in false }
        #expect(rig.program().isComplete)
        #expect(generation(rig, 1) == 2)
    }

    @Test("A policy that does not fit leaves the endpoint's old one in force and harms no Service")
    func fullMap() {
        var (rig, world) = isolated()
        let before = rig.kernel.endpoint(1)?.ingress_policy
        rig.kernel.limits[.policyPages] = rig.kernel.hashes[.policyPages]?.count
        rig.tables.apply(world.apply([PolicyWorld.policy(1, to: "red", from: "blue", port: 81)]) + [service(1, [1])])
        let report = rig.program()
        #expect(rig.kernel.endpoint(1)?.ingress_policy == before)
        #expect(rig.kernel.hashes[.services]?.count == 1)
        #expect(report.problems.map(\.description).contains { $0.hasPrefix("policy NetworkPolicy/shop/n1/ingress/0") })
        rig.kernel.limits = [:]
        #expect(rig.program().isComplete)
        #expect(rig.kernel.endpoint(1)?.ingress_policy != before)
    }
    @Test("A policy that does not fit takes no room from those that do, and none when it is gone")
    func roomForOthers() throws {
        for table in [DatapathTable.policyPeers, .policySinglePorts] {
            var (rig, world) = isolated()
            let before = rig.kernel.hashes[table]?.count ?? 0
            rig.kernel.limits[table] = before + 2
            let many = (1...5).map { PolicyWorld.policy(10 + $0, to: "red", from: "c\($0)", port: 100 + UInt16($0)) }
            let peers = (1...5).map { PolicyWorld.pod(10 + $0, labels: ["color": "c\($0)"], isLocal: false) }
            rig.tables.apply(world.apply(many + peers))
            for _ in 0..<6 { rig.program() }
            #expect(!rig.program().isComplete && (rig.kernel.hashes[table]?.count ?? 0) <= before, "\(table)")

            // Another pod's small policy finds room, while the large one still waits.
            rig.tables.apply(
                world.apply([
                    PolicyWorld.pod(2, labels: ["color": "blue"]),
                    PolicyWorld.policy(2, to: "blue", from: "c1", port: 90),
                ]) + [.endpoint(.upsert(endpoint(2)))])
            for _ in 0..<6 { rig.program() }
            #expect(rig.tables.isProgrammed(pod(2)), "\(table)")
            let blue = try #require(rig.kernel.endpoint(2)?.ingress_policy)
            #expect(blue != 0 && !rig.tables.policies.absent.contains(blue), "\(table)")
            let peer = IPAddress(v4: 0x0a01_0000 + 11).key  // of both policies
            #expect(rig.kernel.peer(.peerClasses, peer) == rig.tables.policies.classes[peer], "\(table)")
            let closed = rig.program().problems.filter { if case .closed = $0.reason { true } else { false } }
            #expect(closed.map(\.object) == ["endpoint shop/p1"], "\(table)")

            rig.tables.apply(
                world.apply((1...5).map { PolicyInput.policyRemoved(namespace: "shop", name: "n\(10 + $0)") }))
            #expect(rig.settle().isComplete, "\(table)")
        }
    }
}
