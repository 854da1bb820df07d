internal import BPF
internal import DatapathABI
internal import DatapathObjects

/// The maps of the programs compared with those that are pinned.
struct PinnedShapes {
    /// The pinned maps that can be used again.
    private(set) var reusable: Set<String> = []
    /// The groups of maps whose content can be taken over: all that are pinned by this ABI version, and those that
    /// another one has alike.
    let kept: Set<MapLayouts.Group>
    /// Whether something is pinned that judges by what can't be taken over.
    let isForeign: Bool
    /// Whether nothing has to be made beside: what is pinned fits, or nothing is pinned.
    let isComplete: Bool

    /// Maps that other maps' content points into or belongs to: they are used again all together or not at all.
    private static let agentMaps = Set(DatapathTable.allCases.map(\.rawValue))

    /// The second and third count what is in the first.
    private static let learnedMaps: Set<String> = ["learned_addresses", "learned_names", "learned_shares"]

    init(_ pins: PinDirectory, images: [BPFObjectImage], options: DatapathOptions) throws {
        let pinned = Set(pins.names(in: pins.maps))
        let found = Self.pinnedLayouts(pins)
        let isSame = found?.version == options.layouts.version
        kept = found.map { options.layouts.shared(with: $0) } ?? []
        isForeign = !pinned.isEmpty && !kept.isSuperset(of: [.numbers, .policies])
        // What was learned under other hashes is copied, by the text of the names.
        let hash = UInt32(APUS_NAME_HASH_SINCE)
        let hashesAnew = found.map { min($0.version, options.layouts.version) < hash } ?? false
        var fitting: Set<String> = []
        var others: Set<String> = []
        for (name, shape) in try Self.wantedShapes(images, options) {
            let isKept = isSame || Self.outlivesVersion(name, kept) && !(hashesAnew && Self.learnedMaps.contains(name))
            if pinned.contains(name), isKept, Self.isPinned(shape, at: pins.map(name)) {
                fitting.insert(name)
            } else {
                others.insert(name)
            }
        }
        for group in [Self.agentMaps, Self.learnedMaps] where !others.isDisjoint(with: group) {
            fitting.subtract(group)
        }
        reusable = fitting
        isComplete = others.isEmpty
    }

    /// What the data path writes is used on as it is, so that nothing is lost between two copies. What the agent writes
    /// is written anew, as the version that it says has to come with it.
    private static func outlivesVersion(_ name: String, _ kept: Set<MapLayouts.Group>) -> Bool {
        guard !agentMaps.contains(name), let group = MapLayouts.group(ofMap: name) else { return false }
        return kept.contains(group)
    }

    private static func wantedShapes(
        _ images: [BPFObjectImage], _ options: DatapathOptions
    ) throws -> [String: BPFMapShape] {
        var shapes: [String: BPFMapShape] = [:]
        for image in images {
            var object = try BPFObject(image)
            try object.configure(options)
            for name in object.sharedMapNames { shapes[name] = try object.shape(ofMap: name) }
        }
        return shapes
    }

    private static func isPinned(_ shape: BPFMapShape, at path: String) -> Bool {
        guard let map = try? BPFMap.open(pinned: path) else { return false }
        return map.shape.differences(from: shape).isEmpty
    }

    private static func pinnedLayouts(_ pins: PinDirectory) -> MapLayouts? {
        guard let map = try? BPFMap.open(pinned: pins.map("datapath_info")), let bytes = try? map.tableElements()
        else { return nil }
        return InfoRecord(bytes)?.layouts
    }
}

/// Loads objects one after the other; a map that one of them made is the next one's too.
struct DatapathLoader: ~Copyable {
    let options: DatapathOptions
    let pins: PinDirectory
    let reusable: Set<String>
    private(set) var maps: [String: DatapathKernel.MapBox] = [:]
    private var fresh: Set<String> = []

    init(options: DatapathOptions, pins: PinDirectory, reusing reusable: Set<String>) {
        self.options = options
        self.pins = pins
        self.reusable = reusable
    }

    mutating func load(_ image: BPFObjectImage) throws -> BPFObject {
        var object = try BPFObject(image)
        try object.configure(options)
        let names = object.sharedMapNames
        for name in names {
            if let made = maps[name] {
                try object.reuse(made.map, asMap: name)
            } else if reusable.contains(name) {
                let map = try BPFMap.open(pinned: pins.map(name))
                try object.reuse(map, asMap: name)
            }
        }
        try object.load()
        for name in names where maps[name] == nil {
            maps[name] = DatapathKernel.MapBox(try object.map(name))
            if !reusable.contains(name) { fresh.insert(name) }
        }
        return object
    }

    /// Pins the maps that were made anew beside those in use.
    func pinBeside() throws {
        try pins.make(pins.nextMaps)
        for name in fresh.sorted() { try maps[name]?.map.pin(at: pins.nextMap(name)) }
    }
}

extension BPFObject {
    /// Opens an embedded object.
    init(_ image: BPFObjectImage) throws(BPFError) {
        let bytes = image.bytes
        try self.init(image: bytes.span.bytes, name: image.name)
    }

    /// The maps that objects share by name; those of the compiler (`.rodata` and the like) are each object's own.
    var sharedMapNames: [String] { mapNames.filter { !$0.contains(".") } }

    /// Sets constants and sizes, before the object is loaded.
    mutating func configure(_ options: DatapathOptions) throws(BPFError) {
        try setConstant("config", to: options.constants)
        let present = Set(mapNames)
        for (name, count) in options.maxEntries where present.contains(name) { try setMaxEntries(count, ofMap: name) }
    }
}
