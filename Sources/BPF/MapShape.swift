internal import CLibBPF

/// The kind of a map, by the kernel's number (enum bpf_map_type).
public struct BPFMapType: RawRepresentable, Sendable, Hashable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let hash = BPFMapType(rawValue: BPF_MAP_TYPE_HASH.rawValue)
    public static let array = BPFMapType(rawValue: BPF_MAP_TYPE_ARRAY.rawValue)
    public static let programArray = BPFMapType(rawValue: BPF_MAP_TYPE_PROG_ARRAY.rawValue)
    public static let perCPUHash = BPFMapType(rawValue: BPF_MAP_TYPE_PERCPU_HASH.rawValue)
    public static let perCPUArray = BPFMapType(rawValue: BPF_MAP_TYPE_PERCPU_ARRAY.rawValue)
    public static let lruHash = BPFMapType(rawValue: BPF_MAP_TYPE_LRU_HASH.rawValue)
    public static let lruPerCPUHash = BPFMapType(rawValue: BPF_MAP_TYPE_LRU_PERCPU_HASH.rawValue)
    public static let longestPrefixTrie = BPFMapType(rawValue: BPF_MAP_TYPE_LPM_TRIE.rawValue)
    public static let arrayOfMaps = BPFMapType(rawValue: BPF_MAP_TYPE_ARRAY_OF_MAPS.rawValue)
    public static let hashOfMaps = BPFMapType(rawValue: BPF_MAP_TYPE_HASH_OF_MAPS.rawValue)
    public static let socketStorage = BPFMapType(rawValue: BPF_MAP_TYPE_SK_STORAGE.rawValue)
    public static let ringBuffer = BPFMapType(rawValue: BPF_MAP_TYPE_RINGBUF.rawValue)

    /// Whether every CPU has a value of its own under a key.
    public var isPerCPU: Bool { self == .perCPUHash || self == .perCPUArray || self == .lruPerCPUHash }

    /// Whether values are found by index and entries always exist.
    public var isArray: Bool { self == .array || self == .perCPUArray }
}

extension BPFMapType: CustomStringConvertible {
    private static let names: [(BPFMapType, String)] = [
        (.hash, "hash"), (.array, "array"), (.programArray, "prog_array"), (.perCPUHash, "percpu_hash"),
        (.perCPUArray, "percpu_array"), (.lruHash, "lru_hash"), (.lruPerCPUHash, "lru_percpu_hash"),
        (.longestPrefixTrie, "lpm_trie"), (.arrayOfMaps, "array_of_maps"), (.hashOfMaps, "hash_of_maps"),
        (.socketStorage, "sk_storage"), (.ringBuffer, "ringbuf"),
    ]

    /// bpftool's name of the type.
    public var description: String { Self.names.first { $0.0 == self }?.1 ?? "type \(rawValue)" }
}

/// Flags of a map's creation.
public struct BPFMapFlags: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Entries are allocated when they are made, not all in advance.
    public static let noPreallocation = BPFMapFlags(rawValue: UInt32(BPF_F_NO_PREALLOC))
    /// The values can be mapped into user space.
    public static let mappable = BPFMapFlags(rawValue: UInt32(BPF_F_MMAPABLE))
    /// An array that may stand in a map of maps for others of another length.
    public static let ofAnySize = BPFMapFlags(rawValue: UInt32(BPF_F_INNER_MAP))
}

/// What decides whether one map can stand in for another.
public struct BPFMapShape: Sendable, Hashable {
    public var type: BPFMapType
    /// Bytes of a key.
    public var keySize: Int
    /// Bytes of a value; of one CPU's value in per-CPU maps.
    public var valueSize: Int
    /// The most entries; the size in bytes of a ring buffer.
    public var maxEntries: Int
    public var flags: BPFMapFlags

    public init(type: BPFMapType, keySize: Int, valueSize: Int, maxEntries: Int, flags: BPFMapFlags = []) {
        self.type = type
        self.keySize = keySize
        self.valueSize = valueSize
        self.maxEntries = maxEntries
        self.flags = flags
    }

    /// How `other` differs from this shape, `type hash, not array`; empty when it does not.
    public func differences(from other: BPFMapShape) -> [String] {
        func compare<Value: Equatable>(_ name: String, _ path: KeyPath<BPFMapShape, Value>) -> String? {
            self[keyPath: path] == other[keyPath: path]
                ? nil : "\(name) \(other[keyPath: path]), not \(self[keyPath: path])"
        }
        return [
            compare("type", \.type), compare("key size", \.keySize), compare("value size", \.valueSize),
            compare("max entries", \.maxEntries), compare("flags", \.flags.rawValue),
        ].compactMap { $0 }
    }
}

/// What the kernel tells about a map.
public struct BPFMapInfo: Sendable, Hashable {
    public let shape: BPFMapShape
    /// The kernel's number of the map, unique while the machine runs.
    public let id: UInt32
    /// At most 15 bytes: the kernel cuts longer names.
    public let name: String
}
