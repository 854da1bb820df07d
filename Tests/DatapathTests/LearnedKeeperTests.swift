import Addressing
import BPF
import DatapathABI
import NetworkPolicy
import Testing

@testable import Datapath

/// The maps that the keeper looks at, outside of any data path.
private struct HeldMaps: ~Copyable {
    static let policy: UInt32 = 7
    let addresses: BPFMap
    let names: BPFMap
    let connections: BPFMap
    let halfOpen: BPFMap
    let counters: BPFMap

    init(capacity: Int = 64, nameCapacity: Int = 64) throws {
        func make<Key, Value>(_ key: Key.Type, _ value: Value.Type, _ count: Int) throws -> BPFMap {
            try BPFMap.create(
                BPFMapShape(
                    type: .hash, keySize: MemoryLayout<Key>.size, valueSize: MemoryLayout<Value>.size,
                    maxEntries: count, flags: .noPreallocation),
                name: "held")
        }
        let addresses = try make(apus_learned_key.self, apus_learned_address.self, capacity)
        let names = try make(UInt64.self, apus_learned_name.self, nameCapacity)
        let connections = try make(apus_connection_key.self, apus_connection.self, 64)
        let halfOpen = try make(apus_connection_key.self, apus_connection.self, 64)
        let counters = try BPFMap.create(
            BPFMapShape(
                type: .perCPUArray, keySize: MemoryLayout<UInt32>.size, valueSize: MemoryLayout<UInt64>.size,
                maxEntries: Int(apus_dns_counter.APUS_DNS_COUNTERS.rawValue)),
            name: "counters")
        self.addresses = addresses
        self.names = names
        self.connections = connections
        self.halfOpen = halfOpen
        self.counters = counters
    }

    func keeper() throws -> LearnedKeeper {
        LearnedKeeper(
            addresses: try addresses.duplicate(), names: try names.duplicate(),
            established: try connections.duplicate(), halfOpen: try halfOpen.duplicate(),
            counters: try counters.duplicate())
    }

    static func address(_ number: UInt64) -> apus_address { apus_address(IPAddress(v4: 0x0a00_0000 | UInt32(number))) }

    func learn(_ number: UInt64, end: UInt64, used: UInt64 = 0, policy: UInt32 = Self.policy) throws {
        var value = apus_learned_address()
        value.learned = [apus_learned_use(name: number, end_ns: end)]
        value.used_ns = used
        try addresses.update(apus_learned_key(address: Self.address(number), policy: policy, padding: 0), value)
        var name = apus_learned_name()
        name.seen_ns = 1
        try names.update(number, name)
    }

    func count(_ counter: apus_dns_counter, _ number: UInt64) throws {
        let values = [number] + [UInt64](repeating: 0, count: PossibleCPUs.count - 1)
        try withUnsafeBytes(of: counter.rawValue) { try counters.update($0.bytes, values.span.bytes) }
    }

    func connect(_ number: UInt64) throws {
        var key = apus_connection_key()
        key.low = Self.address(number)
        try connections.update(key, apus_connection())
    }

    var held: Set<UInt64> {
        get throws {
            Set(try addresses.keys(as: apus_learned_key.self).map { $0.address.address.low & 0xffff })
        }
    }
}

@Suite("What is kept of learned addresses")
struct LearnedKeeperTests {
    private let policies: Set<PolicyID> = [PolicyID(rawValue: HeldMaps.policy)]

    @Test("What has ended goes, unless a connection leads to it; so does what was learned for a policy that is gone")
    func ended() throws {
        let maps = try HeldMaps()
        try maps.learn(1, end: 100)
        try maps.learn(2, end: 10)
        try maps.learn(3, end: 10)
        try maps.learn(4, end: 100, policy: 8)
        try maps.connect(3)
        try maps.connect(4)
        var keeper = try maps.keeper()
        try keeper.sweep(now: 50, policies: policies)
        #expect(try maps.held == [1, 3])
        #expect(keeper.counts.expired == 2 && keeper.counts.addresses == 2 && keeper.counts.evicted == 0)
    }

    @Test("Names that are nearly too many let go of addresses, too")
    func manyNames() throws {
        let maps = try HeldMaps(nameCapacity: 16)
        for number in 1...15 { try maps.learn(UInt64(number), end: .max, used: UInt64(number)) }
        var keeper = try maps.keeper()
        try keeper.sweep(now: 50_000_000_000, policies: policies)
        #expect(try maps.held == Set(4...15))
        #expect(keeper.counts.evicted == 3 && keeper.counts.names == 12)
    }

    @Test("It is pressing to look when an eighth of a map was learned since the last look")
    func pressing() throws {
        let maps = try HeldMaps()
        var keeper = try maps.keeper()
        for counter in [apus_dns_counter.APUS_DNS_COUNT_ADDRESSES, .APUS_DNS_COUNT_LEARNED] {
            let before = keeper.isPressing
            try maps.count(counter, 9)
            let after = keeper.isPressing
            #expect(!before && after)
            try keeper.sweep(now: 50, policies: policies)
        }
    }

    @Test("Names go a while after their addresses")
    func names() throws {
        let maps = try HeldMaps()
        try maps.learn(1, end: .max)
        try maps.learn(2, end: 10)
        var keeper = try maps.keeper()
        try keeper.sweep(now: 50, policies: policies)
        #expect(keeper.counts.names == 2)
        try keeper.sweep(now: 100_000_000_000, policies: policies)
        #expect(try maps.names.keys(as: UInt64.self) == [1])
    }

    @Test("A map that is nearly full lets go of what was not used for the longest time, and of nothing live")
    func nearlyFull() throws {
        let maps = try HeldMaps(capacity: 16)
        for number in 1...15 { try maps.learn(UInt64(number), end: .max, used: UInt64(number)) }
        try maps.connect(2)
        var keeper = try maps.keeper()
        try keeper.sweep(now: 50, policies: policies)
        #expect(try maps.held == Set(2...15).subtracting([3, 4]))
        #expect(keeper.counts.evicted == 3)
    }

    @Test("An address takes the names of two, and keeps the later end of each")
    func merging() {
        var value = apus_learned_address()
        value.learned = [apus_learned_use(name: 1, end_ns: 10), apus_learned_use(name: 2, end_ns: 20)]
        var other = apus_learned_address()
        other.learned = [apus_learned_use(name: 1, end_ns: 30), apus_learned_use(name: 3, end_ns: 5)]
        let first = value.merge(other)
        let second = value.merge(other)
        #expect(first && !second)
        #expect(value.learned.map(\.name) == [1, 2, 3] && value.learned.map(\.end_ns) == [30, 20, 5])
    }

    @Test("An address without room for it is an error, and one that is held takes more names")
    func fullMap() throws {
        let maps = try HeldMaps(capacity: 1)
        try maps.learn(1, end: 100)
        var value = apus_learned_address()
        value.learned = [apus_learned_use(name: 2, end_ns: 200)]
        value.judged = 1
        let known = apus_learned_key(address: HeldMaps.address(1), policy: HeldMaps.policy, padding: 0)
        try maps.addresses.learn(known, value)
        let merged = try #require(try maps.addresses.lookup(known, as: apus_learned_address.self))
        #expect(Set(merged.learned.map(\.name)) == [1, 2] && merged.judged == 1)
        let other = apus_learned_key(address: HeldMaps.address(2), policy: HeldMaps.policy, padding: 0)
        #expect(throws: BPFError.self) { try maps.addresses.learn(other, value) }
    }
}
