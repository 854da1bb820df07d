internal import BPF
internal import DatapathABI
internal import DatapathObjects
internal import Flows
internal import LinuxKernel

/// The data path in the kernel: its maps and programs, loaded, pinned and attached.
///
/// Pinned maps of the same shape are used again, so that nothing in them is lost. Maps of another shape (other sizes,
/// another ABI) are made beside the old ones; `activate` puts them in their place when they hold what is wanted.
public final class DatapathKernel {
    /// A map, in a box because a dictionary can't hold it otherwise.
    final class MapBox {
        let map: BPFMap
        init(_ map: consuming BPFMap) { self.map = map }
    }

    let pins: PinDirectory
    let options: DatapathOptions
    /// The maps that the loaded programs use.
    private(set) var maps: [String: MapBox] = [:]
    /// The maps that were in use before, where others are made beside them and the old ones can still be read.
    let previous: PinnedTables?
    /// The automaton that this object put in force; nil: none yet, or there are no names.
    var domainProgram: DomainProgram?
    /// Names of addresses that were not copied for another policy or to other maps, as those were full.
    public internal(set) var uncopiedNames: UInt64 = 0
    /// The data path's own maps in whose place others are made, as far as those can hold what is in them. They are kept
    /// open: their pins go before all of it is copied.
    private(set) var former: [String: MapBox] = [:]
    /// Whether what is in force is of another ABI version that has other endpoints or policies: these can't be taken over.
    public let replacesForeign: Bool
    /// Whether there are maps beside the ones in use.
    public private(set) var isBeside: Bool
    let programs: Programs
    /// Why what TCP sends again is not counted; nil: it is, or nothing is told of flows.
    public let tracingError: String?
    /// Why connected datagram sockets of the node are not ended when their backend serves no more; nil: they are.
    public let endingError: String?
    /// Why no uplink can have the shortcut at XDP; nil: the kernel takes it.
    public let shortcutError: String?
    /// The links that this object made or found alive; the controller forgets those whose interface goes.
    var attached: Set<Attachment> = []
    private let barrier: ProgramBarrier
    /// Waits for packets that nobody has asked about yet, by their numbers.
    private var waits: [UInt64: ProgramWait] = [:]
    private var lastWait: UInt64 = 0
    private let slots: MappedArray<UInt32>
    private let backends: MappedArray<apus_backend>

    /// The sizes of the maps.
    public var capacities: TableCapacities { options.capacities }

    /// How many entries each map can hold, by its name; the event ring and what belongs to sockets have no such number.
    public var mapCapacities: [String: Int] {
        maps.compactMapValues { box in
            let shape = box.map.shape
            return shape.type == .ringBuffer || shape.type == .socketStorage ? nil : shape.maxEntries
        }
    }

    /// Loads the programs. Nothing is attached and no pin in use is touched yet.
    public init(_ options: DatapathOptions) throws {
        self.options = options
        pins = PinDirectory(root: options.bpffs)
        try pins.prepare()
        pins.discardNextMaps()
        let images = [BPFObjectImage.pod, .uplink, .socket, .names, .retransmission, .ending, .xdp]
        let pinned = try PinnedShapes(pins, images: images, options: options)
        var loader = DatapathLoader(options: options, pins: pins, reusing: pinned.reusable)
        let pod = try loader.load(images[0])
        let uplink = try loader.load(images[1])
        let socket = try loader.load(images[2])
        let names = try loader.load(images[3])
        var (tracing, ending, shortcut): (String?, String?, String?)
        let retransmission =
            options.flowDetail == .none ? nil : Self.loadIfTaken(images[4], with: &loader, &tracing)
        let endingObject = Self.loadIfTaken(images[5], with: &loader, &ending)
        let xdp = Self.loadIfTaken(images[6], with: &loader, &shortcut)
        (tracingError, endingError, shortcutError) = (tracing, ending, shortcut)
        programs = try Programs(
            pod: pod, uplink: uplink, socket: socket, names: names, retransmission: retransmission,
            ending: endingObject, xdp: xdp)
        maps = loader.maps
        isBeside = !pinned.isComplete
        replacesForeign = pinned.isForeign
        previous = isBeside && pinned.kept.contains(.numbers) ? PinnedTables(pins, reading: pinned.kept) : nil
        barrier = try ProgramBarrier()
        slots = try MappedArray(try Self.box("slots", in: loader.maps).map)
        backends = try MappedArray(try Self.box("backends", in: loader.maps).map)
        if isBeside {
            if pinned.kept.contains(.connections) { keepFormer(Self.connectionMaps) }
            if pinned.kept.contains(.learned) { keepFormer(Self.learnedMaps) }
            try loader.pinBeside()
        }
        try seedNames()
    }

    /// What one can do without: a kernel that does not take it is no reason not to start. Says why not.
    private static func loadIfTaken(
        _ image: BPFObjectImage, with loader: inout DatapathLoader, _ refusal: inout String?
    ) -> BPFObject? {
        do { return try loader.load(image) } catch {
            refusal = "\(error)"
            return nil
        }
    }

    private static func box(_ name: String, in maps: [String: MapBox]) throws(DatapathError) -> MapBox {
        guard let box = maps[name] else { throw DatapathError("no program uses map \(name)") }
        return box
    }

    func box(_ name: String) throws(DatapathError) -> MapBox { try Self.box(name, in: maps) }

    /// Takes over what the kernel holds from the start before this one; see `DatapathTables.adopt`.
    public func adopt(into tables: inout DatapathTables) throws {
        if let previous { try tables.adopt(previous) } else if !isBeside { try tables.adopt(self) }
        if isBeside { try keepAutomaton() }
        // New maps are empty: all that was taken over is missing in them, and is written with the next pass.
        if isBeside { _ = try tables.repair(self) }
    }

    /// Compares what is wanted with what the kernel holds.
    public func verify(_ tables: DatapathTables) throws -> [DriftItem] { try tables.verify(self) }

    /// Finds what differs from what is wanted and marks it, so that the next pass writes it again.
    public func repair(_ tables: inout DatapathTables) throws -> [DriftItem] { try tables.repair(self) }

    /// Writes what the kernel does not hold yet; see `DatapathTables.program`.
    public func program(_ tables: inout DatapathTables, now: UInt64) -> ProgrammingReport {
        var writer = self
        return tables.program(into: &writer, now: now)
    }

    /// Puts the loaded programs in the place of those that run, and the maps beside in the place of the old ones.
    ///
    /// With new maps, call it when they hold what is wanted: packets are judged by them from here on.
    public func activate() throws {
        guard isBeside else { return try updateLinks() }
        try switchMaps()
        finishCopies()
    }

    /// The programs and pins of an activation with new maps. From the first program that runs on them until their pins
    /// are in place, the next start would throw them away with all that they have seen: nothing is done in between.
    func switchMaps() throws {
        copyEntries()
        try copyLearnedFromFormer()
        try updateLinks()
        try pins.adoptNextMaps(with: maps)
        isBeside = false
    }

    /// Copies what came to the maps before these while the first copy ran.
    private func finishCopies() {
        copyEntries(onlyNew: true)
        // The new programs run already: a failure must not look like one of the switch.
        do { try copyLearnedFromFormer() } catch { uncopiedNames += 1 }
        former = [:]
    }

    private static let connectionMaps = [
        "connections", "half_open", "translations", "disposable_translations", "affinities", "network_namespaces",
        "dns_questions", "dns_streams",
    ]
    private static let learnedMaps = ["learned_addresses", "learned_names", "domain_automaton"]

    private func keepFormer(_ names: [String]) {
        for name in names {
            guard let old = try? BPFMap.open(pinned: pins.map(name)), let new = maps[name],
                old.info.id != new.map.info.id, old.shape.keySize == new.map.shape.keySize,
                old.shape.valueSize == new.map.shape.valueSize
            else { continue }
            former[name] = MapBox(old)
        }
    }

    /// Live connections keep their state, and clients their backends, when only the size of a map changed.
    private func copyEntries(onlyNew: Bool = false) {
        let rule: BPFUpdateRule = onlyNew ? .onlyNew : .any
        for name in Self.connectionMaps {
            guard let old = former[name], let new = maps[name] else { continue }
            try? old.map.forEachEntry { key, value in try? new.map.update(key, value, rule: rule) }
        }
    }

    /// Makes the directories for pins; fails where no bpf file system is mounted.
    public static func prepare(bpffs: String) throws { try PinDirectory(root: bpffs).prepare() }

    /// Removes everything that Apus pinned under a directory; packets are no longer touched. Returns what it removed.
    public static func removeAll(bpffs: String) throws -> [String] {
        try PinDirectory(root: bpffs).removeAll()
    }
}

extension DatapathKernel: MapWriter {
    package func update(_ table: DatapathTable, _ entries: [TableEntry]) -> BatchResult {
        guard let box = maps[table.rawValue] else { return BatchResult(done: 0, error: .missing(table)) }
        var keys: Bytes = []
        var values: Bytes = []
        keys.reserveCapacity(entries.count * table.keySize)
        values.reserveCapacity(entries.count * table.valueSize)
        for entry in entries {
            keys += entry.key
            values += entry.value
        }
        let result = box.map.update(packedKeys: keys.span.bytes, packedValues: values.span.bytes)
        return BatchResult(done: result.written, error: result.failure.map { MapError($0) })
    }

    package func delete(_ table: DatapathTable, _ keys: [Bytes]) -> BatchResult {
        guard let box = maps[table.rawValue] else { return BatchResult(done: 0, error: .missing(table)) }
        for (index, key) in keys.enumerated() {
            do throws(BPFError) { try box.map.delete(key.span.bytes) } catch {
                return BatchResult(done: index, error: MapError(error))
            }
        }
        return BatchResult(done: keys.count)
    }

    package func store(_ table: DatapathTable, first: Int, _ elements: Bytes) -> MapError? {
        do throws(BPFError) {
            switch table {
            case .slots: try slots.store(packed: elements.span.bytes, from: first)
            case .backends: try backends.store(packed: elements.span.bytes, from: first)
            default: return try storeSingly(table, first, elements)
            }
            return nil
        } catch {
            return MapError(error)
        }
    }

    package func beginWait() -> UInt64 {
        lastWait += 1
        waits[lastWait] = barrier.begin()
        return lastWait
    }

    package func endWait(_ number: UInt64) -> MapError? {
        let wait = waits[number] ?? barrier.begin()
        // Who has waited for one has waited for those before it.
        waits = waits.filter { $0.key > number }
        do throws(BPFError) {
            try wait.end()
            return nil
        } catch {
            return MapError(error)
        }
    }

    private func storeSingly(_ table: DatapathTable, _ first: Int, _ elements: Bytes) throws(BPFError) -> MapError? {
        guard let box = maps[table.rawValue] else { return .missing(table) }
        let size = table.valueSize
        let bytes = elements.span.bytes
        for position in 0..<elements.count / size {
            let key = Bytes(of: UInt32(first + position))
            try box.map.update(key.span.bytes, bytes.extracting(position * size..<(position + 1) * size))
        }
        return nil
    }
}

extension DatapathKernel: MapReader {
    package func entries(of table: DatapathTable) throws(MapError) -> [TableEntry] {
        guard let box = maps[table.rawValue] else { throw .missing(table) }
        return try box.map.tableEntries()
    }

    package func elements(of table: DatapathTable) throws(MapError) -> Bytes {
        switch table {
        case .slots: return slots.packedBytes()
        case .backends: return backends.packedBytes()
        default:
            guard let box = maps[table.rawValue] else { throw .missing(table) }
            return try box.map.tableElements()
        }
    }
}

extension MapError {
    init(_ error: BPFError) {
        self.init(code: error.errno.rawValue, description: error.description)
    }

    static func missing(_ table: DatapathTable) -> MapError {
        MapError(code: 2, description: "there is no map \(table.rawValue)")
    }
}

extension BPFMap {
    /// All entries as bytes.
    borrowing func tableEntries() throws(MapError) -> [TableEntry] {
        var result: [TableEntry] = []
        do throws(BPFError) {
            try forEachEntry { key, value in
                result.append(
                    TableEntry(
                        key: key.withUnsafeBytes { Bytes($0) }, value: value.withUnsafeBytes { Bytes($0) }))
            }
        } catch {
            throw MapError(error)
        }
        return result
    }

    /// All elements of an array, one behind the other.
    borrowing func tableElements() throws(MapError) -> Bytes {
        var result: Bytes = []
        let size = shape.valueSize
        do throws(BPFError) {
            try forEachEntry { _, value in
                result += value.withUnsafeBytes { Bytes($0.prefix(size)) }
            }
        } catch {
            throw MapError(error)
        }
        return result
    }
}
