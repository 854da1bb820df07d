internal import CLibBPF
internal import LinuxKernel

/// Which entries an update may touch.
public enum BPFUpdateRule: UInt64, Sendable {
    /// Make the entry or replace its value.
    case any = 0
    /// Only make a new entry: `.exists` when there is one.
    case onlyNew = 1
    /// Only replace a value: `.noEntry` when there is none.
    case onlyExisting = 2
}

/// A map, held by a descriptor of its own.
///
/// Keys and values are either raw bytes or trivial types whose size must be the map's; a wrong size throws.
/// Calls may be made from any thread; each entry is read and written as the kernel orders it.
public struct BPFMap: ~Copyable, Sendable {
    let descriptor: FileDescriptor
    /// What the kernel told about the map when it was opened.
    public let info: BPFMapInfo

    /// The map's kind, sizes and flags.
    public var shape: BPFMapShape { info.shape }
    /// The kernel's name of the map, at most 15 bytes.
    public var name: String { info.name }

    init(owning descriptor: consuming FileDescriptor) throws(BPFError) {
        info = try Self.info(of: descriptor)
        self.descriptor = descriptor
    }

    /// Makes a new map.
    public static func create(_ shape: BPFMapShape, name: String) throws(BPFError) -> BPFMap {
        try create(shape, name: name, inner: 0)
    }

    /// Makes a map of maps; all maps that it takes have the shape of `template`.
    public static func create(
        _ shape: BPFMapShape, name: String, of template: borrowing BPFMap
    ) throws(BPFError) -> BPFMap {
        try create(shape, name: name, inner: UInt32(template.descriptor.number))
    }

    private static func create(_ shape: BPFMapShape, name: String, inner: UInt32) throws(BPFError) -> BPFMap {
        LibraryLog.install()
        var options = bpf_map_create_opts()
        options.sz = MemoryLayout<bpf_map_create_opts>.size
        options.map_flags = shape.flags.rawValue
        options.inner_map_fd = inner
        let shortName = String(decoding: name.utf8.prefix(15), as: UTF8.self)
        let result = bpf_map_create(
            bpf_map_type(rawValue: shape.type.rawValue), shortName, UInt32(clamping: shape.keySize),
            UInt32(clamping: shape.valueSize), UInt32(clamping: shape.maxEntries), &options)
        return try BPFMap(owning: FileDescriptor(owning: try checkBPF(result, "create map", name)))
    }

    /// Opens a pinned map; `readOnly` for those who only look, so that they can't do harm.
    ///
    /// Memory can't be mapped from a read-only handle: the kernel takes VM_SHARED away (mm/mmap.c) and then the map
    /// refuses. Open a map for `RingBufferHistory` or `MappedArray` without it; their mappings are read-only on demand.
    public static func open(pinned path: String, readOnly: Bool = false) throws(BPFError) -> BPFMap {
        try BPFMap(owning: try PinnedKind.map.open(path, readOnly: readOnly))
    }

    /// Opens the map with a number, for example one that lies in a map of maps.
    public static func open(id: UInt32) throws(BPFError) -> BPFMap {
        LibraryLog.install()
        return try BPFMap(
            owning: FileDescriptor(owning: try checkBPF(bpf_map_get_fd_by_id(id), "open map", "id \(id)")))
    }

    /// Another handle of the same map.
    public func duplicate() throws(BPFError) -> BPFMap {
        try BPFMap(owning: kernel { () throws(KernelError) in try descriptor.duplicate() })
    }

    /// Pins the map, so that it stays when the last handle is gone. The path must be on a bpf file system.
    public func pin(at path: String) throws(BPFError) {
        try checkBPF(bpf_obj_pin(descriptor.number, path), "pin map", "\(name) at \(path)")
    }

    /// Throws with `.invalid` and the differences when the map has another shape.
    public func requireShape(_ wanted: BPFMapShape) throws(BPFError) {
        let differences = wanted.differences(from: shape)
        guard differences.isEmpty else {
            throw BPFError(
                operation: "use map", errno: .invalid, detail: "\(name) (\(differences.joined(separator: "; ")))")
        }
    }

    private static func info(of descriptor: borrowing FileDescriptor) throws(BPFError) -> BPFMapInfo {
        var info = bpf_map_info()
        var size = UInt32(MemoryLayout<bpf_map_info>.size)
        try checkBPF(bpf_obj_get_info_by_fd(descriptor.number, &info, &size), "get map info")
        let name = withUnsafeBytes(of: info.name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return BPFMapInfo(
            shape: BPFMapShape(
                type: BPFMapType(rawValue: info.type), keySize: Int(info.key_size), valueSize: Int(info.value_size),
                maxEntries: Int(info.max_entries), flags: BPFMapFlags(rawValue: info.map_flags)),
            id: info.id, name: name)
    }

    /// Bytes that the kernel reads or writes for one value: all CPUs' in per-CPU maps, each rounded up to eight.
    var transferSize: Int {
        shape.type.isPerCPU ? Self.stride(shape.valueSize) * PossibleCPUs.count : shape.valueSize
    }

    static func stride(_ size: Int) -> Int { (size + 7) & ~7 }

    func requireSizes(key: Int, value: Int? = nil, _ operation: String) throws(BPFError) {
        if key != shape.keySize {
            throw BPFError(
                operation: operation, errno: .invalid, detail: "\(name) (key of \(key) bytes, not \(shape.keySize))")
        }
        if let value, value != transferSize {
            throw BPFError(
                operation: operation, errno: .invalid, detail: "\(name) (value of \(value) bytes, not \(transferSize))")
        }
    }
}

/// The CPUs that per-CPU maps have values for.
public enum PossibleCPUs {
    /// How many there are; it never changes while the machine runs.
    public static let count: Int = {
        LibraryLog.install()
        return max(1, Int(libbpf_num_possible_cpus()))
    }()
}
