internal import BPF
internal import DatapathABI

/// The maps as they are.
extension DatapathReader {
    /// Every map of the data path that is there.
    public func maps() throws(DatapathReadError) -> [MapSummary] {
        var summaries: [MapSummary] = []
        for name in PinnedMap.allCases {
            do {
                summaries.append(try summary(of: name))
            } catch  where error.reason == .noSuchMap {
                continue
            }
        }
        return summaries
    }

    private func summary(of name: PinnedMap) throws(DatapathReadError) -> MapSummary {
        let map = try open(name)
        let entries = try reading(name) { () throws(BPFError) in try map.countEntries() }
        return MapSummary(
            name: name.rawValue, type: "\(map.shape.type)", keySize: map.shape.keySize,
            valueSize: map.shape.valueSize, entries: entries, capacity: map.shape.maxEntries)
    }

    /// Every entry of a map for people, in the order of the keys; elements of arrays that are zero are left out.
    public func dump(map name: String) throws(DatapathReadError) -> [MapRow] {
        guard let map = PinnedMap(rawValue: name) else { throw DatapathReadError(.noSuchMap, name) }
        switch map {
        case .socketTranslations, .connectedSockets: throw DatapathReadError(.notListable, name)
        case .events: return try eventRows()
        case .dnsAnswers: return try answerRows()
        case .drops: return try dropRows()
        case .eventCounters: return try counterRows()
        case .xdpCounters:
            let counts = try shortcutCounts()
            return [
                MapRow(key: "forwarded", value: "\(counts.forwarded)"),
                MapRow(key: "passed", value: "\(counts.passed)"),
            ]
        case .dnsCounters:
            return try nameOutcomes().sorted { $0.key.rawValue < $1.key.rawValue }.map {
                MapRow(key: $0.key.text, value: "\($0.value)")
            }
        default: return try entries(of: map).map { map.row($0) }
        }
    }

    private func eventRows() throws(DatapathReadError) -> [MapRow] {
        try history(last: .max).enumerated().map { MapRow(key: "\($0.offset)", value: "\($0.element)") }
    }

    private func answerRows() throws(DatapathReadError) -> [MapRow] {
        try answerHistory(last: .max).enumerated().map { MapRow(key: "\($0.offset)", value: "\($0.element)") }
    }

    private func dropRows() throws(DatapathReadError) -> [MapRow] {
        try drops().filter { $0.dropped != TrafficCount() }.map {
            MapRow(
                key: "\($0.reason.text) \($0.direction.text)",
                value: "packets \($0.dropped.packets) bytes \($0.dropped.bytes)")
        }
    }

    private func counterRows() throws(DatapathReadError) -> [MapRow] {
        let counters = try eventCounters()
        return [
            MapRow(key: "submitted", value: "\(counters.submitted)"), MapRow(key: "lost", value: "\(counters.lost)"),
            MapRow(key: "audited", value: "\(counters.audited)"),
        ]
    }

    /// Every entry of a map in the order of its keys; elements of arrays that are zero are left out.
    func entries(of name: PinnedMap) throws(DatapathReadError) -> [TableEntry] {
        let map = try open(name)
        let isArray = map.shape.type.isArray
        var entries: [TableEntry] = []
        try reading(name) { () throws(BPFError) in
            try map.forEachEntry { key, value in
                if isArray, value.isZero { return }
                entries.append(TableEntry(key: Bytes(copying: key), value: Bytes(copying: value)))
            }
        }
        // The indexes of arrays come in order; as bytes they would be sorted by their lowest byte.
        return isArray ? entries : entries.sorted { memoryOrder($0.key, $1.key) }
    }
}

extension BPFMap {
    /// Entries in use; nil where the kernel can't tell.
    fileprivate func countEntries() throws(BPFError) -> Int? {
        if shape.type == .ringBuffer || shape.type == .socketStorage { return nil }
        let isArray = shape.type.isArray
        var count = 0
        try forEachEntry { _, value in
            if !isArray || !value.isZero { count += 1 }
        }
        return count
    }
}

extension RawSpan {
    fileprivate var isZero: Bool { withUnsafeBytes { $0.allSatisfy { $0 == 0 } } }
}

extension [UInt8] {
    init(copying span: borrowing RawSpan) { self = span.withUnsafeBytes { Array($0) } }
}
