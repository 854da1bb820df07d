import Addressing
@testable import Datapath
import DatapathABI
import LoadBalancing
import Testing

@Suite("Clients that a Service does not admit any more are kept out, whatever is full")
struct SourceRangeTests {
    private let kernel = FakeKernel()
    private var tables: DatapathTables

    init() { tables = DatapathTables(node: "node-1", startedAt: 1) }

    private static let office = CIDR("198.51.100.0/24")!
    private static let home = CIDR("203.0.113.0/24")!

    private static func edit(_ backends: Range<Int>, _ ranges: Set<CIDR>, service: String = "s1") -> DatapathEdit {
        let ends = backends.map(backend)
        let program = ServiceProgram(
            service: ServiceName(namespace: "shop", name: service), portName: "http", kind: .loadBalancer,
            backends: ends, outside: ends, sourceRanges: ranges, admitsNode: false)
        return .service(.set(frontend(1), program))
    }

    private mutating func program(_ edits: DatapathEdit..., at time: UInt64 = 1) -> [DatapathProblem] {
        var writer = kernel
        tables.apply(edits)
        return tables.program(into: &writer, now: time).problems
    }

    private var entry: apus_service? { kernel.hashes[.services]?[frontend(1).key]?.load(apus_service.self) }

    private var admitted: Set<CIDR> {
        Set((kernel.hashes[.sourceRanges] ?? [:]).keys.compactMap { SourceRange(key: $0)?.range })
    }

    @Test("Narrower ranges count at once where there is no room for other backends")
    mutating func noSlots() throws {
        tables = DatapathTables(node: "node-1", startedAt: 1, capacities: TableCapacities(slots: 4))
        #expect(program(Self.edit(1..<4, [])).isEmpty)
        #expect(entry?.source_ranges == 0)
        let problems = program(Self.edit(1..<9, [Self.office]))
        #expect(problems.map(\.reason) == [.slotsExhausted])
        let limited = try #require(entry)
        #expect(limited.source_ranges != 0 && admitted == [Self.office])
        #expect(limited.flags & UInt8(APUS_SERVICE_NODE_DENIED.rawValue) != 0)
        #expect(limited.slot_count == 3 && limited.outside_slot_count == 3, "it keeps the backends that it had")
        #expect(program(Self.edit(2..<3, [Self.office])).isEmpty)
        #expect(entry?.slot_count == 1)
    }

    @Test("… but another Service does not get the backends of the former one")
    mutating func otherService() throws {
        tables = DatapathTables(node: "node-1", startedAt: 1, capacities: TableCapacities(slots: 4))
        #expect(program(Self.edit(1..<4, [])).isEmpty)
        #expect(program(Self.edit(1..<9, [], service: "s2")).map(\.reason) == [.slotsExhausted])
        #expect(entry?.slot_count == 0)
    }

    @Test("Ranges that the kernel does not take admit nobody, and do not leave the Service open")
    mutating func noRanges() throws {
        #expect(program(Self.edit(1..<4, [])).isEmpty)
        kernel.limits[.sourceRanges] = 0
        #expect(program(Self.edit(1..<4, [Self.office])).map(\.map) == ["source_ranges"])
        #expect(try #require(entry).source_ranges != 0 && admitted.isEmpty)
        kernel.limits[.sourceRanges] = nil
        #expect(program().isEmpty && admitted == [Self.office])
    }

    @Test("What found no room and is not wanted any more does not come when there is some")
    mutating func outdatedRange() {
        kernel.limits[.sourceRanges] = 0
        _ = program(Self.edit(1..<4, [Self.office]))
        _ = program(Self.edit(1..<4, [Self.home]))
        kernel.limits[.sourceRanges] = nil
        var seen: Set<CIDR> = []
        kernel.afterWrite = { kernel in
            for key in (kernel.hashes[.sourceRanges] ?? [:]).keys {
                SourceRange(key: key).map { _ = seen.insert($0.range) }
            }
        }
        #expect(program(at: 10_000_000_000).isEmpty)
        #expect(seen == [Self.home])
    }

    @Test("A Service that gets no id for its ranges refuses")
    mutating func noNames() {
        tables = DatapathTables(node: "node-1", startedAt: 1, capacities: TableCapacities(names: 2))
        #expect(program(Self.edit(1..<4, [])).isEmpty)
        #expect(program(Self.edit(1..<4, [Self.office])).map(\.reason) == [.namesExhausted])
        #expect(entry?.slot_count == 0 && entry?.outside_slot_count == 0)
    }
}
