import Addressing
@testable import Datapath
import DatapathABI
import LoadBalancing
import NetworkPolicy
import PolicyGenerators
import Testing

@Suite struct AdoptionTests {
    /// A state made of random changes.
    private func grown(seed: UInt64) -> (Rig, RandomWorld) {
        var world = RandomWorld(seed: seed)
        var rig = Rig()
        for _ in 0..<40 {
            rig.tables.apply(world.change())
            rig.program(after: 12)
        }
        _ = rig.settle()
        return (rig, world)
    }

    /// The maps without generations and the number of the epoch, which a restart may change.
    private func timeless(_ kernel: FakeKernel) -> [DatapathTable: [Bytes]] {
        var result: [DatapathTable: [Bytes]] = [:]
        for table in DatapathTable.allCases {
            result[table] = kernel.entries(of: table).map { $0.key + $0.value } + [kernel.elements(of: table)]
        }
        result[.policyEpoch] = nil
        let size = DatapathTable.endpoints.valueSize
        result[.endpoints] = (0..<kernel.elements(of: .endpoints).count / size).compactMap {
            var endpoint = kernel.endpoint($0)
            endpoint?.generation = 0
            return endpoint.map { Bytes(of: $0) }
        }
        return result
    }

    @Test("A resolver's address that another pod has by now is not trusted any more, though the view has gaps")
    func formerResolver() throws {
        var rig = Rig()
        let prefixes = (1...2).map { CIDR(host: IPAddress(v4: 0x0a00_0000 + UInt32($0))) }
        rig.tables.setResolvers([prefixes[0]: .backend, prefixes[1]: .peer])
        rig.program()
        var other = try rig.restarted()
        other.tables.setResolvers([:])
        other.tables.keepStale()
        other.program()
        #expect(other.kernel.entries(of: .dnsResolvers).count == 2)
        other.tables.release(peers: [prefixes[0].address])
        other.program()
        #expect(other.kernel.entries(of: .dnsResolvers).map(\.key) == [prefixes[1].key])
    }

    @Test("A restarted agent with the same view changes nothing but generations", arguments: 1...10)
    func sameView(seed: UInt64) throws {
        let (rig, grown) = grown(seed: seed)
        var world = grown
        let before = timeless(rig.kernel)
        var other = try rig.restarted()
        other.tables.apply(world.everything())
        let isGeneration = other.tables.plan(now: other.now + 1).allSatisfy {
            [.endpoints, .policyEpoch].contains($0.write.table)
        }
        #expect(isGeneration, "\(text(of: other.tables.plan(now: other.now + 1)))")
        other.tables.removeStale()
        _ = other.settle()
        #expect(timeless(other.kernel) == before, "seed \(seed)")
        #expect(try other.tables.verify(other.kernel).isEmpty)
    }

    @Test("What changed while the agent was away is found, and only then removed", arguments: 1...10)
    func changedView(seed: UInt64) throws {
        let (rig, grown) = grown(seed: seed)
        var world = grown
        for _ in 0..<10 { _ = world.change() }
        var other = try rig.restarted()
        let before = ResolvedMaps(rig.kernel)
        other.tables.apply(world.everything())
        other.program()
        let kept = ResolvedMaps(other.kernel).services.keys
        #expect(before.services.keys.allSatisfy { name in kept.contains { $0.prefix(17) == name.prefix(17) } })
        other.tables.removeStale()
        #expect(other.settle().isComplete)
        var fresh = Rig()
        fresh.tables.apply(world.everything())
        _ = fresh.settle()
        #expect(ResolvedMaps(other.kernel).differences(from: ResolvedMaps(fresh.kernel)) == [], "seed \(seed)")
    }

    @Test("A pod that the agent does not know keeps its endpoint and policy until the view is full")
    func unknownPod() throws {
        var world = PolicyWorld()
        var rig = Rig()
        let edits = world.apply([
            PolicyWorld.pod(1, labels: ["color": "red"]), PolicyWorld.policy(1, to: "red", from: "green", port: 80),
        ])
        rig.tables.apply(edits + [.endpoint(.upsert(endpoint(1)))])
        rig.program()
        let before = rig.kernel.endpoint(1)
        var other = try rig.restarted()
        _ = other.settle()
        let kept = other.kernel.endpoint(1)
        #expect(kept?.ingress_policy == before?.ingress_policy && kept?.identity == before?.identity)
        #expect(try other.tables.verify(other.kernel).isEmpty)
        other.tables.removeStale()
        _ = other.settle()
        #expect(other.kernel.elements(of: .endpoints).isZero)
        let isEmpty = other.kernel.hashes.values.allSatisfy { $0.isEmpty }
        #expect(isEmpty)
    }

    @Test("Other maps take over endpoints with their slots, identities and higher generations", arguments: 1...5)
    func otherMaps(seed: UInt64) throws {
        let (rig, world) = grown(seed: seed)
        var other = try rig.restarted()
        other.kernel = FakeKernel()
        _ = try other.tables.repair(other.kernel)
        other.kernel.afterWrite = { kernel in #expect(world.faults(in: kernel).isEmpty, "seed \(seed)") }
        #expect(other.settle().isComplete)
        #expect(ResolvedMaps(other.kernel).differences(from: ResolvedMaps(rig.kernel)) == [], "seed \(seed)")
        for slot in 0..<rig.kernel.elements(of: .endpoints).count / DatapathTable.endpoints.valueSize {
            let old = rig.kernel.endpoint(slot)
            let new = other.kernel.endpoint(slot)
            #expect(new?.identity ?? 0 == old?.identity ?? 0 && new?.ifindex ?? 0 == old?.ifindex ?? 0)
            let isJudged = old?.ingress_policy != 0 || old?.egress_policy != 0
            #expect(!isJudged || new?.generation ?? 0 > old?.generation ?? 0)
        }
    }

    @Test("Broken maps are adopted without a trap and put right", arguments: 1...20)
    func brokenMaps(seed: UInt64) throws {
        let (rig, grown) = grown(seed: seed)
        var world = grown
        var random = RandomSource(seed: seed)
        for table in DatapathTable.allCases {
            if var bytes = rig.kernel.arrays[table], table != .info {
                for index in bytes.indices where random.next() % 7 == 0 { bytes[index] = UInt8.random(in: 0...255) }
                rig.kernel.arrays[table] = bytes
            }
            for (key, value) in rig.kernel.hashes[table] ?? [:] where random.next() % 3 == 0 {
                rig.kernel.hashes[table]?[key] = value.map { _ in UInt8.random(in: 0...255) }
                rig.kernel.hashes[table]?[key.map { _ in UInt8.random(in: 0...255) }] = value
            }
        }
        var other = try rig.restarted()
        other.tables.apply(world.everything())
        other.tables.removeStale()
        _ = other.settle()
        _ = try other.tables.repair(other.kernel)
        #expect(other.settle().isComplete)
        var fresh = Rig()
        fresh.tables.apply(world.everything())
        _ = fresh.settle()
        #expect(ResolvedMaps(other.kernel).differences(from: ResolvedMaps(fresh.kernel)) == [], "seed \(seed)")
    }

    @Test("Something in a free element is named and zeroed", arguments: [DatapathTable.endpoints, .backends], [0, 1])
    func strangers(table: DatapathTable, choice: Int) throws {
        var (rig, _) = grown(seed: 5)
        let size = table.valueSize
        let count = rig.kernel.elements(of: table).count / size
        let index = choice == 0 ? 0 : count + 3
        _ = rig.kernel.store(table, first: index, Bytes(repeating: 0xff, count: size))
        let found = try rig.tables.repair(rig.kernel)
        #expect(found.map(\.table) == [table] && found.map(\.kind) == [.unexpected])
        _ = rig.settle()
        #expect(Bytes(rig.kernel.elements(of: table)[index * size..<(index + 1) * size]).isZero)
        #expect(try rig.tables.verify(rig.kernel).isEmpty)
    }

    @Test("A wrong value in any map is named and repaired", arguments: DatapathTable.allCases)
    func drift(table: DatapathTable) throws {
        var (rig, _) = grown(seed: 5)
        #expect(try rig.tables.verify(rig.kernel).isEmpty)
        let before = timeless(rig.kernel)
        if table.isArray {
            let used = table == .slots ? rig.kernel.firstUsedSlot : rig.kernel.arrays[table]?.firstIndex { $0 != 0 }
            let index = (used ?? 0) / table.valueSize * table.valueSize
            rig.kernel.arrays[table]?[index] ^= 0xff
        } else if let key = rig.kernel.hashes[table]?.keys.sorted(by: memoryOrder).first {
            rig.kernel.hashes[table]?[key]?[0] ^= 0xff
        } else {
            rig.kernel.hashes[table] = [Bytes(zeros: table.keySize): Bytes(zeros: table.valueSize)]
        }
        let found = try rig.tables.repair(rig.kernel)
        #expect(found.map(\.table) == [table])
        _ = rig.settle()
        #expect(timeless(rig.kernel) == before)
        #expect(try rig.tables.verify(rig.kernel).isEmpty)
    }
}

extension FakeKernel {
    /// The byte at which the first slot of some Service starts; slots that no Service leads to may hold anything.
    fileprivate var firstUsedSlot: Int? {
        entries(of: .services).compactMap { $0.value.load(apus_service.self) }.first { $0.slot_count > 0 }
            .map { Int($0.first_slot) * DatapathTable.slots.valueSize }
    }
}
