import Addressing
@testable import Datapath
import DatapathABI
import LoadBalancing
import Testing

@Suite("The table of a Service behind its slots")
struct MaglevTableTests {
    private static func edit(_ numbers: [Int], size: Int?, inside: [Int]? = nil) -> DatapathEdit {
        let program = ServiceProgram(
            service: ServiceName(namespace: "shop", name: "s1"), portName: "http", kind: .loadBalancer,
            backends: (inside ?? numbers).map(backend), outside: numbers.map(backend), maglevTableSize: size)
        return .service(.set(frontend(1), program))
    }

    private static func entry(_ rig: Rig) throws -> apus_service {
        try #require(rig.kernel.hashes[.services]?[frontend(1).key]?.load(apus_service.self))
    }

    /// The backend that each of so many slots leads to.
    private static func led(_ rig: Rig, from first: UInt32, _ count: Int) -> [Backend?] {
        (0..<count).map { offset in
            let index = rig.kernel.load(UInt32.self, .slots, Int(first) + offset) ?? 0
            return rig.kernel.load(apus_backend.self, .backends, Int(index)).map { Backend(address: $0.socketAddress) }
        }
    }

    @Test("It follows the slots of the backends, which stay in their order")
    func layout() throws {
        var rig = Rig()
        rig.tables.apply([Self.edit([1, 2, 3], size: 11)])
        _ = rig.settle()
        let entry = try Self.entry(rig)
        #expect(entry.slot_count == 3 && entry.outside_slot_count == 3 && entry.table_size == 11)
        let backends = [1, 2, 3].map(backend)
        #expect(Self.led(rig, from: entry.outside_first_slot, 3) == backends)
        let places = MaglevTable(backends, size: 11).places.map { Optional(backends[$0]) }
        #expect(Self.led(rig, from: entry.outside_first_slot + 3, 11) == places)
    }

    @Test("It goes with its Service, and so do its backends")
    func removal() throws {
        var rig = Rig()
        rig.tables.apply([Self.edit([1, 2, 3], size: 11)])
        _ = rig.settle()
        for (edit, size) in [(Self.edit([1, 2], size: 11), 11), (Self.edit([1, 2], size: nil), 0)] {
            rig.tables.apply([edit])
            _ = rig.settle()
            #expect(try Self.entry(rig).table_size == UInt16(size))
        }
        rig.tables.apply([.service(.remove(frontend(1)))])
        _ = rig.settle()
        let used = (0..<8).filter { rig.kernel.load(apus_backend.self, .backends, $0)?.in_use ?? 0 != 0 }
        #expect(used.isEmpty && rig.tables.services.usedSlots.isEmpty)
    }

    @Test("A restarted agent takes it over, and changes nothing")
    func adoption() throws {
        for inside in [nil, [1, 2, 3, 4]] {
            var rig = Rig()
            rig.tables.apply([Self.edit([1, 2, 3], size: 11, inside: inside)])
            _ = rig.settle()
            var other = try rig.restarted()
            other.tables.apply([Self.edit([1, 2, 3], size: 11, inside: inside)])
            other.tables.removeStale()
            #expect(other.tables.plan(now: other.now + 1).isEmpty, "\(text(of: other.tables.plan(now: other.now + 1)))")
            #expect(try other.tables.verify(other.kernel).isEmpty)
        }
    }

    @Test("Without room for it the right endpoints are led to by chance, and it comes when there is room")
    func noRoom() throws {
        var rig = Rig(TableCapacities(endpoints: 4, slots: 32))
        rig.tables.apply([service(2, 0..<16), Self.edit([1, 2, 3], size: 11)])
        for numbers in [[1, 2, 3], [2, 3, 4]] {
            rig.tables.apply([Self.edit(numbers, size: 11)])
            #expect(rig.program().problems.map(\.reason) == [.slotsExhausted])
            let entry = try Self.entry(rig)
            #expect(entry.table_size == 0 && entry.outside_slot_count == 3 && entry.slot_count == 3)
            #expect(Self.led(rig, from: entry.outside_first_slot, 3) == numbers.map(backend))
            #expect(rig.settle().problems.map(\.reason) == [.slotsExhausted])
        }
        rig.tables.apply([.service(.remove(frontend(2)))])
        #expect(rig.settle().isComplete)
        let entry = try Self.entry(rig)
        #expect(entry.table_size == 11 && entry.outside_slot_count == 3)
        #expect(Self.led(rig, from: entry.outside_first_slot, 3) == [2, 3, 4].map(backend))
    }

    @Test("Another size is another table")
    func otherSize() throws {
        var rig = Rig()
        for size in [11, 13] {
            rig.tables.apply([Self.edit([1, 2, 3], size: size)])
            _ = rig.settle()
            #expect(try Self.entry(rig).table_size == UInt16(size))
        }
    }
}
