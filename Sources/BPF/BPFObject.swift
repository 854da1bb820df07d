internal import CLibBPF
internal import Glibc
internal import LinuxKernel

/// A compiled BPF object: first opened and prepared, then loaded.
///
/// Between `init` and `load` set constants, sizes, reused maps and which programs to load. After `load` take the maps
/// and programs out: their handles live on without the object.
public struct BPFObject: ~Copyable {
    private let object: OpaquePointer
    /// libbpf reads the image until the object is loaded.
    private let image: UnsafeMutableRawBufferPointer
    /// The name that errors show.
    public let name: String

    /// Opens an ELF image; the bytes are copied.
    public init(image bytes: borrowing RawSpan, name: String) throws(BPFError) {
        let image = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.byteCount, alignment: 16)
        bytes.withUnsafeBytes { image.copyMemory(from: $0) }
        let (object, errno, log) = Self.open(UnsafeRawBufferPointer(image), name)
        guard let object else {
            image.deallocate()
            throw BPFError(operation: "open object", errno: errno, detail: name, log: log)
        }
        self.object = object
        self.image = image
        self.name = name
    }

    /// Opens an ELF image that is embedded in the program.
    public init(image bytes: UnsafeRawBufferPointer, name: String) throws(BPFError) {
        try self.init(image: bytes.bytes, name: name)
    }

    deinit {
        bpf_object__close(object)
        image.deallocate()
    }

    private static func open(
        _ image: UnsafeRawBufferPointer, _ name: String
    ) -> (object: OpaquePointer?, errno: Errno, log: [String]) {
        let (opened, log) = LibraryLog.capture { () -> (OpaquePointer?, Int32) in
            name.withCString { name in
                let object = clibbpf_object_open(image.baseAddress, image.count, name)
                return (object, errno)
            }
        }
        if let object = opened.0 { setClassifierTypes(in: object) }
        return (opened.0, Errno(rawValue: opened.1), log)
    }

    /// libbpf 1.1 does not know the section name `tcx/…`, which means a classifier to later versions.
    private static func setClassifierTypes(in object: OpaquePointer) {
        var program = bpf_object__next_program(object, nil)
        while let current = program {
            if let section = bpf_program__section_name(current), String(cString: section).hasPrefix("tcx") {
                bpf_program__set_type(current, BPF_PROG_TYPE_SCHED_CLS)
            }
            program = bpf_object__next_program(object, current)
        }
    }

    /// The names of the object's programs, in its order.
    public var programNames: [String] {
        var names: [String] = []
        var program = bpf_object__next_program(object, nil)
        while let current = program {
            if let name = bpf_program__name(current) { names.append(String(cString: name)) }
            program = bpf_object__next_program(object, current)
        }
        return names
    }

    /// The names of the object's maps, in its order; sections of constants and globals are left out.
    public var mapNames: [String] {
        var names: [String] = []
        var map = bpf_object__next_map(object, nil)
        while let current = map {
            if !bpf_map__is_internal(current), let name = bpf_map__name(current) { names.append(String(cString: name)) }
            map = bpf_object__next_map(object, current)
        }
        return names
    }

    /// The shape that a map has or will have.
    public func shape(ofMap name: String) throws(BPFError) -> BPFMapShape {
        let map = try find(map: name)
        return BPFMapShape(
            type: BPFMapType(rawValue: bpf_map__type(map).rawValue), keySize: Int(bpf_map__key_size(map)),
            valueSize: Int(bpf_map__value_size(map)), maxEntries: Int(bpf_map__max_entries(map)),
            flags: BPFMapFlags(rawValue: bpf_map__map_flags(map)))
    }

    func find(map name: String) throws(BPFError) -> OpaquePointer {
        guard let map = bpf_object__find_map_by_name(object, name) else {
            throw BPFError(operation: "find map", errno: .noEntry, detail: "\(name) in \(self.name)")
        }
        return map
    }

    func find(program name: String) throws(BPFError) -> OpaquePointer {
        guard let program = bpf_object__find_program_by_name(object, name) else {
            throw BPFError(operation: "find program", errno: .noEntry, detail: "\(name) in \(self.name)")
        }
        return program
    }

    var handle: OpaquePointer { object }
}

/// Preparation, before `load`.
extension BPFObject {
    /// Sets the most entries of a map (the size in bytes of a ring buffer).
    public mutating func setMaxEntries(_ count: Int, ofMap name: String) throws(BPFError) {
        try checkBPF(bpf_map__set_max_entries(try find(map: name), UInt32(clamping: count)), "set max entries of", name)
    }

    /// Chooses whether `load` loads a program.
    public mutating func setAutoload(_ load: Bool, ofProgram name: String) throws(BPFError) {
        try checkBPF(bpf_program__set_autoload(try find(program: name), load), "set autoload of", name)
    }

    /// Lets the programs use an existing map; one of another shape is refused with the differences.
    public mutating func reuse(_ existing: borrowing BPFMap, asMap name: String) throws(BPFError) {
        let map = try find(map: name)
        let differences = try shape(ofMap: name).differences(from: existing.shape)
        guard differences.isEmpty else {
            throw BPFError(
                operation: "reuse map", errno: .invalid, detail: "\(name) (\(differences.joined(separator: "; ")))")
        }
        let (result, log) = LibraryLog.capture { bpf_map__reuse_fd(map, existing.descriptor.number) }
        try checkBPF(result, "reuse map", name, log: log)
    }

    /// Makes the maps and loads the programs; the error of a refused program carries the verifier's log.
    public mutating func load() throws(BPFError) {
        let (result, log) = LibraryLog.capture { bpf_object__load(object) }
        try checkBPF(result, "load object", name, log: log)
    }
}

/// What was loaded.
extension BPFObject {
    /// A handle of a map.
    public func map(_ name: String) throws(BPFError) -> BPFMap {
        let number = try checkBPF(bpf_map__fd(try find(map: name)), "get map", name)
        return try BPFMap(owning: kernel { () throws(KernelError) in try duplicate(number) })
    }

    /// A handle of a program.
    public func program(_ name: String) throws(BPFError) -> BPFProgram {
        let number = try checkBPF(bpf_program__fd(try find(program: name)), "get program", name)
        return BPFProgram(owning: try kernel { () throws(KernelError) in try duplicate(number) })
    }
}
