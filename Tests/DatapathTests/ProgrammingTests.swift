import Addressing
@testable import Datapath
import DatapathABI
import LoadBalancing
import NetworkPolicy
import PolicyGenerators
import Testing

@Suite struct ProgrammingTests {
    @Test("The plan of a first Service and pod is in the order of the documentation")
    func goldenPlan() {
        var rig = Rig()
        rig.tables.apply([service(1, [1, 2]), .endpoint(.upsert(endpoint(1)))])
        let expected = """
            content:
              datapath_info 0 = ABI 14 node node-1 next identity 2
              names endpoint 1 = shop/p1/a
              names service 1 = shop/s1/http
              backends 1 = TCP 10.0.0.1:8080
              backends 2 = TCP 10.0.0.2:8080
              slots 0 = backend 1
              slots 1 = backend 2
            pointers:
              services TCP 10.96.0.1:80 = slots 0-1 inside only service 1
              endpoints 1 = 10.1.0.1 interface 101 identity 1 generation 1 ingress 00000000 egress 00000000 \
            mac 00:00:00:00:00:01 host-mac 00:00:00:00:00:ee redirect
              endpoint_addresses 10.1.0.1 = endpoint 1
              interfaces interface 101 = endpoint 1
            """
        #expect(text(of: rig.tables.plan(now: 1)) == expected)
    }

    @Test("A changed Service gets fresh slots first, and its old backend ends then, and goes after the grace period")
    func goldenChange() {
        var rig = Rig()
        rig.tables.apply([service(1, [1, 2])])
        rig.program()
        rig.tables.apply([service(1, [2, 3])])
        let expected = """
            content:
              backends 3 = TCP 10.0.0.3:8080
              slots 2 = backend 2
              slots 3 = backend 3
            pointers:
              services TCP 10.96.0.1:80 = slots 2-3 inside only service 1
            removal of pointers:
              backends 1 = TCP 10.0.0.1:8080, serves no more
            """
        #expect(text(of: rig.tables.plan(now: 2)) == expected)
        let report = rig.program()
        #expect(report.nextDeadline == rig.now + 10)
        #expect(rig.tables.plan(now: rig.now + 9).isEmpty)
        let removal = """
            removal of content:
              backends 1 = free
            """
        #expect(text(of: rig.tables.plan(now: rig.now + 10)) == removal)
    }

    @Test("What a resolvers' Service is about to lead to is trusted before, and what it led to no longer than it does")
    func goldenResolvers() {
        var rig = Rig()
        let frontend = CIDR(host: IPAddress(v4: 0x0a60_0001))
        let backends = (1...2).map { CIDR(host: IPAddress(v4: 0x0a00_0000 + UInt32($0))) }
        rig.tables.apply([service(1, [1])])
        rig.tables.setResolvers([frontend: [.peer, .frontend], backends[0]: .backend])
        rig.program()
        rig.tables.apply([service(1, [2])])
        rig.tables.setResolvers([frontend: [.peer, .frontend], backends[1]: .backend])
        let expected = """
            content:
              backends 2 = TCP 10.0.0.2:8080
              slots 1 = backend 2
            pointers:
              dns_resolvers 10.0.0.2/32 = trusted behind a resolvers' Service
              services TCP 10.96.0.1:80 = slots 1-1 inside only service 1
            removal of pointers:
              backends 1 = TCP 10.0.0.1:8080, serves no more
              dns_resolvers 10.0.0.1/32 -
            """
        #expect(text(of: rig.tables.plan(now: 2)) == expected)
    }

    @Test("A pass writes exactly its plan, and a second one writes nothing")
    func planIsWhatIsWritten() {
        var world = RandomWorld(seed: 3)
        var rig = Rig()
        for _ in 0..<100 {
            rig.tables.apply(world.change())
            let plan = rig.tables.plan(now: rig.now + 1)
            let planned = plan.reduce(0) { sum, planned in
                guard case .store(_, let elements) = planned.write.change else { return sum + 1 }
                return sum + elements.count / planned.write.table.valueSize
            }
            let report = rig.program()
            #expect(report.written == planned)
            #expect(rig.tables.plan(now: rig.now).isEmpty)
        }
    }

    @Test("No reader between two writes finds a pointer to something missing", arguments: 1...20)
    func orderIsSafe(seed: UInt64) {
        var world = RandomWorld(seed: seed)
        var rig = Rig()
        for _ in 0..<60 {
            rig.tables.apply(world.change())
            rig.kernel.afterWrite = { [world] in
                let faults = world.faults(in: $0)
                #expect(faults.isEmpty, "seed \(seed)")
            }
            rig.program(after: UInt64.random(in: 1...12, using: &world.random))
        }
    }

    @Test("With a tenth of the writes failing it stays order-safe and converges", arguments: 1...20)
    func faultsConverge(seed: UInt64) throws {
        var world = RandomWorld(seed: seed)
        var rig = Rig()
        rig.tables.fullPatience = 1000
        var faults = RandomSource(seed: seed &+ 1000)
        rig.kernel.fails = { _ in faults.next() % 10 == 0 }
        rig.kernel.failsNames = { faults.next() % 10 == 0 }
        for _ in 0..<60 {
            rig.tables.apply(world.change())
            rig.kernel.afterWrite = { [world] kernel in #expect(world.faults(in: kernel).isEmpty, "seed \(seed)") }
            rig.program(after: UInt64.random(in: 1...12, using: &world.random))
        }
        let report = rig.settle()
        #expect(report.isComplete && report.written == 0)
        var fresh = Rig()
        fresh.tables.apply(world.everything())
        #expect(fresh.settle().isComplete)
        #expect(ResolvedMaps(rig.kernel).differences(from: ResolvedMaps(fresh.kernel)) == [], "seed \(seed)")
        #expect(try rig.tables.verify(rig.kernel).isEmpty)
    }

    @Test("One change of a large state writes only what changes")
    func changeIsSmall() {
        var rig = Rig(TableCapacities())
        rig.tables.apply((0..<1000).map { service($0, $0..<$0 + 10) })
        rig.program()
        rig.tables.apply([service(500, 500..<509)])
        #expect(rig.program().written == 10)
    }

    @Test("Ten thousand Services with ten backends each are programmed at once")
    func scale() {
        var rig = Rig(TableCapacities())
        let edits = (0..<10_000).map { service($0, ($0 * 10..<$0 * 10 + 10)) }
        var writer = CountingWriter()
        rig.tables.apply(edits)
        _ = rig.tables.program(into: &writer, now: 1)
        #expect(writer.elements == 210_000 + 10_000 + 1)
        // Two array runs for 200,000 elements, one batch each for names and services.
        #expect(writer.calls == 5)
    }
}

/// Counts what it takes.
struct CountingWriter: MapWriter {
    var calls = 0
    var elements = 0

    mutating func update(_ table: DatapathTable, _ entries: [TableEntry]) -> BatchResult {
        if !entries.isEmpty { calls += 1 }
        elements += entries.count
        return BatchResult(done: entries.count)
    }

    mutating func delete(_ table: DatapathTable, _ keys: [Bytes]) -> BatchResult {
        if !keys.isEmpty { calls += 1 }
        elements += keys.count
        return BatchResult(done: keys.count)
    }

    mutating func store(_ table: DatapathTable, first: Int, _ bytes: Bytes) -> MapError? {
        calls += 1
        elements += bytes.count / table.valueSize
        return nil
    }

    mutating func beginWait() -> UInt64 { 1 }

    mutating func endWait(_ number: UInt64) -> MapError? { nil }

    mutating func install(_ program: DomainProgram?) -> DomainInstallation { .done }

    mutating func copyLearned(from old: UInt32, to new: UInt32) -> MapError? { nil }
}
