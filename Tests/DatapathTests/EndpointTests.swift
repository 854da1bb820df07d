import Addressing
@testable import Datapath
import DatapathABI
import LoadBalancing
import NetworkPolicy
import Testing

@Suite struct EndpointTests {
    private func identity(_ rig: Rig, _ number: Int) -> UInt32? {
        let key = IPAddress(v4: 0x0a01_0000 + UInt32(number)).key
        let slot = rig.kernel.hashes[.endpointAddresses]?[key]?.load(UInt32.self)
        return slot.flatMap { rig.kernel.endpoint(Int($0))?.identity }
    }

    @Test("A pod that takes over an address has another identity, even in a freed slot")
    func takeover() {
        var rig = Rig()
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        rig.program()
        let first = identity(rig, 1)
        rig.tables.apply([.endpoint(.remove(pod(1)))])
        _ = rig.settle()
        #expect(identity(rig, 1) == nil)
        #expect(rig.kernel.elements(of: .endpoints).isZero)
        rig.tables.apply([.endpoint(.upsert(endpoint(2, address: 1)))])
        rig.program()
        #expect(rig.kernel.endpoint(1)?.ifindex == 102)
        #expect(first == 1 && identity(rig, 1) == 2)
    }

    @Test("Another UID under the same name is another endpoint")
    func otherUID() {
        var rig = Rig()
        rig.tables.apply([.endpoint(.upsert(endpoint(1, uid: "a")))])
        rig.program()
        rig.tables.apply([.endpoint(.upsert(endpoint(1, uid: "b")))])
        rig.program()
        #expect(identity(rig, 1) == 2)
        _ = rig.settle()
        #expect(rig.kernel.endpoint(1)?.ifindex == 0)
    }

    @Test("A pod that gets another address keeps its identity, one that loses an address does not")
    func otherAddress() throws {
        var rig = Rig()
        var spec = endpoint(1)
        let (own, second) = (try #require(spec.addresses.first), try #require(IPAddress("fd00::99")))
        rig.tables.apply([.endpoint(.upsert(spec))])
        rig.program()
        for addresses in [[own, second], [second, own]] {
            spec.addresses = addresses
            rig.tables.apply([.endpoint(.upsert(spec))])
            #expect(rig.program().isComplete)
            #expect(identity(rig, 1) == 1 && rig.kernel.endpoint(1)?.addressList == addresses)
            #expect(Set((rig.kernel.hashes[.endpointAddresses] ?? [:]).keys) == Set(addresses.map(\.key)))
        }
        spec.addresses = [second]
        rig.tables.apply([.endpoint(.upsert(spec))])
        _ = rig.settle()
        #expect(rig.kernel.hashes[.endpointAddresses]?.keys.map { $0 } == [second.key])
        #expect(
            rig.kernel.hashes[.endpointAddresses]?[second.key]?.load(UInt32.self) == 2,
            "its connections by the other one must not find it")
        #expect(try rig.tables.verify(rig.kernel).isEmpty)
    }

    @Test("An identity is never given twice, also after a restart without endpoints")
    func identityAfterRestart() throws {
        var rig = Rig()
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        rig.program()
        rig.tables.apply([.endpoint(.remove(pod(1)))])
        _ = rig.settle()
        var other = try rig.restarted()
        other.tables.apply([.endpoint(.upsert(endpoint(1)))])
        other.program()
        #expect(identity(other, 1) == 2)
    }

    @Test("Without a free slot a pod is named in a problem and programmed when one is free")
    func exhausted() {
        var rig = Rig(TableCapacities(endpoints: 3))
        rig.tables.apply((1...3).map { .endpoint(.upsert(endpoint($0))) })
        let report = rig.program()
        #expect(report.problems == [DatapathProblem(object: "endpoint shop/p3", reason: .endpointsExhausted)])
        #expect(identity(rig, 1) != nil && identity(rig, 3) == nil)
        rig.tables.apply([.endpoint(.remove(pod(1)))])
        #expect(rig.settle().isComplete)
        #expect(identity(rig, 3) != nil)
    }

    @Test("A pod counts as programmed only while everything that concerns it is written")
    func isProgrammed() {
        var world = PolicyWorld()
        var rig = Rig()
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        #expect(!rig.tables.isProgrammed(pod(1)))
        rig.kernel.fails = { $0 == .interfaces }
        rig.program()
        #expect(!rig.tables.isProgrammed(pod(1)))
        rig.kernel.fails = { $0 == .policyPages }
        rig.program()
        #expect(rig.tables.isProgrammed(pod(1)))
        let edits = world.apply([
            PolicyWorld.pod(1, labels: ["color": "red"]), PolicyWorld.policy(1, to: "red", from: "green", port: 80),
        ])
        rig.tables.apply(edits)
        #expect(!rig.tables.isProgrammed(pod(1)))
        rig.program()
        #expect(!rig.tables.isProgrammed(pod(1)), "its policy could not be written")
        rig.kernel.fails = { _ in false }
        rig.program()
        #expect(rig.tables.isProgrammed(pod(1)))
        rig.tables.apply([.endpoint(.remove(pod(1)))])
        rig.program()
        #expect(!rig.tables.isProgrammed(pod(1)))
    }

    @Test("A pod whose policies come with it is never there without them")
    func policyBeforeEndpoint() {
        var world = PolicyWorld()
        var rig = Rig()
        let edits = world.apply([
            PolicyWorld.pod(1, labels: ["color": "red"]), PolicyWorld.policy(1, to: "red", from: "green", port: 80),
        ])
        rig.kernel.afterWrite = { kernel in
            guard let endpoint = kernel.endpoint(1), endpoint.ifindex != 0 else { return }
            #expect(endpoint.ingress_policy != 0)
        }
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))] + edits)
        rig.program()
        #expect(identity(rig, 1) == 1)
    }
}

@Suite struct ServiceCapacityTests {
    @Test("A Service without room keeps its old backends, a new one refuses, and both are named")
    func slotsExhausted() {
        var rig = Rig(TableCapacities(endpoints: 4, slots: 8))
        rig.tables.apply([service(1, 0..<3), service(2, 0..<3)])
        #expect(rig.program().isComplete)
        rig.tables.apply([service(1, 0..<4), service(3, 0..<6)])
        let report = rig.program()
        #expect(
            report.problems.map(\.description) == [
                "service shop/s1/http (TCP 10.96.0.1:80): no room in map slots for its backends (--map-size-slots)",
                "service shop/s3/http (TCP 10.96.0.3:80): no room in map slots for its backends (--map-size-slots)",
            ])
        let maps = ResolvedMaps(rig.kernel)
        #expect(maps.services["TCP 10.96.0.1:80 shop/s1/http"]?.count == 3)
        #expect(maps.services["TCP 10.96.0.3:80 shop/s3/http"] == [])
        rig.tables.apply([.service(.remove(frontend(2))), .service(.remove(frontend(3)))])
        #expect(rig.settle().isComplete)
        #expect(ResolvedMaps(rig.kernel).services["TCP 10.96.0.1:80 shop/s1/http"]?.count == 4)
    }

    @Test("A full map of frontends names the one that does not fit and lets the others in")
    func servicesFull() {
        var rig = Rig()
        rig.kernel.limits[.services] = 2
        rig.tables.apply([service(1, [1]), service(2, [2]), service(3, [3])])
        let report = rig.program()
        #expect(
            report.problems.map(\.description) == [
                "service shop/s3/http (TCP 10.96.0.3:80): map services is full (--map-size-services)"
            ])
        rig.tables.apply([.service(.remove(frontend(1))), service(2, [2, 3])])
        _ = rig.settle()
        #expect(ResolvedMaps(rig.kernel).services.values.map(\.count).sorted() == [1, 2])
    }

    @Test("Backends that don't fit leave nothing behind")
    func backendsExhausted() {
        var rig = Rig(TableCapacities(endpoints: 4, slots: 64, backends: 5))
        rig.tables.apply([service(1, 0..<6)])
        #expect(rig.program().problems.map(\.reason) == [.backendsExhausted])
        rig.tables.apply([service(1, 0..<4)])
        #expect(rig.settle().isComplete)
        #expect(ResolvedMaps(rig.kernel).services.values.map(\.count) == [4])
    }
}
