import BPF
import LinuxKernel
import Testing

private struct Key: BitwiseCopyable, Hashable {
    var a: UInt32
    var b: UInt32
}

private struct TrieKey: BitwiseCopyable, Hashable {
    var length: UInt32
    var address: UInt32
}

@Suite struct BPFMapTests {
    private static let types: [BPFMapType] = [.hash, .lruHash]

    @Test("A value that was written is read, replaced, taken and gone", arguments: types)
    func roundTrip(_ type: BPFMapType) throws {
        let map = try BPFMap.create(
            BPFMapShape(type: type, keySize: 8, valueSize: 8, maxEntries: 100), name: "round_trip")
        let key = Key(a: 1, b: 2)
        #expect(try map.lookup(key, as: UInt64.self) == nil)
        try map.update(key, UInt64(7))
        #expect(try map.lookup(key, as: UInt64.self) == 7)
        try map.update(key, UInt64(8), rule: .onlyExisting)
        #expect(throws: BPFError.self) { try map.update(key, UInt64(9), rule: .onlyNew) }
        #expect(try map.lookupAndDelete(key, as: UInt64.self) == 8)
        #expect(try map.delete(key) == false)
    }

    @Test("Bytes work like types")
    func rawBytes() throws {
        let map = try BPFMap.create(BPFMapShape(type: .hash, keySize: 3, valueSize: 5, maxEntries: 4), name: "raw")
        let (key, value): ([UInt8], [UInt8]) = ([1, 2, 3], [1, 2, 3, 4, 5])
        try map.update(key.span.bytes, value.span.bytes)
        var out = [UInt8](repeating: 0, count: 5)
        var span = out.mutableSpan
        var bytes = span.mutableBytes
        #expect(try map.lookup(key.span.bytes, into: &bytes))
        #expect(out == value)
        #expect(try map.delete(key.span.bytes))
    }

    @Test("A wrong size throws and names both sizes")
    func wrongSize() throws {
        let map = try BPFMap.create(BPFMapShape(type: .hash, keySize: 8, valueSize: 8, maxEntries: 4), name: "sizes")
        let error = #expect(throws: BPFError.self) { try map.update(UInt32(1), UInt64(1)) }
        #expect(error?.errno == .invalid)
        #expect(error?.description.contains("4 bytes, not 8") == true)
        #expect(throws: BPFError.self) { try map.lookup(UInt64(1), as: UInt32.self) }
    }

    @Test(
        "A batch writes, reads and deletes everything",
        arguments: [.hash, .lruHash, .longestPrefixTrie, .array] as [BPFMapType])
    func batches(_ type: BPFMapType) throws {
        let flags: BPFMapFlags = type == .longestPrefixTrie ? .noPreallocation : []
        let count = 3000
        let keySize = type == .array ? 4 : 8
        let map = try BPFMap.create(
            BPFMapShape(
                type: type, keySize: keySize, valueSize: 8, maxEntries: type == .lruHash ? 2 * count : count,
                flags: flags), name: "batch")
        let values = (0..<UInt64(count)).map { $0 * 3 }
        if type == .array {
            try map.update(keys: (0..<UInt32(count)).map { $0 }, values: values)
            let read = try map.entries(keys: UInt32.self, values: UInt64.self)
            #expect(read.count == count && read.allSatisfy { $0.value == UInt64($0.key) * 3 })
            return
        }
        let keys = (0..<UInt32(count)).map { TrieKey(length: 32, address: $0.byteSwapped) }
        try map.update(keys: keys, values: values)
        let read = try map.entries(keys: TrieKey.self, values: UInt64.self)
        #expect(read.count == count)
        #expect(read.allSatisfy { $0.value == UInt64($0.key.address.byteSwapped) * 3 })
        #expect(Set(try map.keys(as: TrieKey.self)) == Set(keys))
        let absent = TrieKey(length: 32, address: UInt32(count + 5).byteSwapped)
        #expect(try map.delete(keys: [absent] + keys[..<1000] + [absent]) == 1000)
        #expect(try map.entries(keys: TrieKey.self, values: UInt64.self).count == count - 1000)
        var taken = 0
        try map.takeEntries { _, _ in taken += 1 }
        #expect(taken == count - 1000)
        #expect(try map.keys(as: TrieKey.self).isEmpty)
    }

    @Test("The longest prefix wins")
    func trie() throws {
        let map = try BPFMap.create(
            BPFMapShape(type: .longestPrefixTrie, keySize: 8, valueSize: 4, maxEntries: 8, flags: .noPreallocation),
            name: "trie")
        let address: UInt32 = 0x0a01_0203
        try map.update(TrieKey(length: 8, address: UInt32(0x0a00_0000).byteSwapped), UInt32(8))
        try map.update(TrieKey(length: 16, address: UInt32(0x0a01_0000).byteSwapped), UInt32(16))
        #expect(try map.lookup(TrieKey(length: 32, address: address.byteSwapped), as: UInt32.self) == 16)
    }

    @Test(
        "A per-CPU value is one value for each CPU and sums up", arguments: [.perCPUArray, .perCPUHash] as [BPFMapType])
    func perCPU(_ type: BPFMapType) throws {
        let map = try BPFMap.create(BPFMapShape(type: type, keySize: 4, valueSize: 4, maxEntries: 4), name: "percpu")
        let key = UInt32(1)
        let values = (0..<PossibleCPUs.count).map { UInt64($0 + 1) }
        try withUnsafeBytes(of: key) { try map.update($0.bytes, values.span.bytes) }
        #expect(try map.lookupPerCPU(key, as: UInt32.self) == (0..<PossibleCPUs.count).map { UInt32($0 + 1) })
        let sum = UInt32(PossibleCPUs.count * (PossibleCPUs.count + 1) / 2)
        #expect(try map.lookupSum(key, as: UInt32.self) == sum)
        var visited: UInt64 = 0
        try map.forEachEntry { _, value in
            for cpu in 0..<PossibleCPUs.count {
                visited += UInt64(value.unsafeLoadUnaligned(fromByteOffset: cpu * 8, as: UInt32.self))
            }
        }
        #expect(visited == UInt64(sum))
    }

    @Test("A mapped array is the map's memory, and its bounds hold")
    func mapped() throws {
        struct Slot: BitwiseCopyable, Equatable { var a: UInt32, b: UInt32, c: UInt32 }
        let map = try BPFMap.create(
            BPFMapShape(type: .array, keySize: 4, valueSize: 12, maxEntries: 1000, flags: .mappable), name: "mapped")
        let array = try MappedArray(map, of: Slot.self)
        try array.store(Slot(a: 1, b: 2, c: 3), at: 999)
        try array.store([Slot(a: 4, b: 5, c: 6), Slot(a: 7, b: 8, c: 9)].span, from: 10)
        #expect(try map.lookup(UInt32(999), as: Slot.self) == Slot(a: 1, b: 2, c: 3))
        #expect(try map.lookup(UInt32(11), as: Slot.self) == Slot(a: 7, b: 8, c: 9))
        try map.update(UInt32(5), Slot(a: 9, b: 9, c: 9))
        #expect(try array.load(5) == Slot(a: 9, b: 9, c: 9))
        #expect(throws: BPFError.self) { try array.load(1000) }
        #expect(throws: BPFError.self) { try array.store(Slot(a: 0, b: 0, c: 0), at: -1) }
        #expect(throws: BPFError.self) {
            try array.store([Slot(a: 0, b: 0, c: 0), Slot(a: 0, b: 0, c: 0)].span, from: 999)
        }
    }

    @Test("A pinned map is found again with its shape; another shape is refused by name")
    func pinning() throws {
        let directory = try PinDirectory()
        let shape = BPFMapShape(type: .hash, keySize: 4, valueSize: 4, maxEntries: 16)
        let path = directory.path + "/pinned"
        try BPFMap.create(shape, name: "a_name_longer_than_15").pin(at: path)
        let map = try BPFMap.open(pinned: path)
        #expect(map.name == "a_name_longer_t")
        try map.requireShape(shape)
        var other = shape
        other.maxEntries = 32
        let error = #expect(throws: BPFError.self) { try map.requireShape(other) }
        #expect(error?.detail.contains("max entries 16, not 32") == true)
        #expect(try unpin(path))
        #expect(try !unpin(path))
        let gone = #expect(throws: BPFError.self) { _ = try BPFMap.open(pinned: path) }
        #expect(gone?.errno == .noEntry)
    }

    @Test("A map that was opened to read can be read and not written")
    func readOnly() throws {
        let directory = try PinDirectory()
        let path = directory.path + "/pinned"
        let map = try BPFMap.create(BPFMapShape(type: .hash, keySize: 4, valueSize: 4, maxEntries: 4), name: "read")
        try map.update(UInt32(1), UInt32(2))
        try map.pin(at: path)
        let reader = try BPFMap.open(pinned: path, readOnly: true)
        #expect(try reader.lookup(UInt32(1), as: UInt32.self) == 2)
        #expect(try reader.entries(keys: UInt32.self, values: UInt32.self).count == 1)
        let error = #expect(throws: BPFError.self) { try reader.update(UInt32(1), UInt32(3)) }
        #expect(error?.errno == .notPermitted)
        #expect(try BPFMap.open(id: map.info.id).info == map.info)
    }

    @Test("A map of maps takes maps of its template's shape")
    func mapOfMaps() throws {
        let inner = BPFMapShape(type: .array, keySize: 4, valueSize: 8, maxEntries: 8)
        let first = try BPFMap.create(inner, name: "first")
        let outer = try BPFMap.create(
            BPFMapShape(type: .arrayOfMaps, keySize: 4, valueSize: 4, maxEntries: 2), name: "outer", of: first)
        try outer.update(UInt32(0), toMap: first)
        #expect(try outer.lookup(UInt32(0), as: UInt32.self) == first.info.id)
        let other = try BPFMap.create(
            BPFMapShape(type: .array, keySize: 4, valueSize: 16, maxEntries: 8), name: "other")
        #expect(throws: BPFError.self) { try outer.update(UInt32(0), toMap: other) }
        #expect(throws: BPFError.self) { try first.update(UInt32(0), toMap: other) }
    }
}
