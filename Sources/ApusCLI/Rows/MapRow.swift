/// A pinned map.
package struct MapRow: TableRow, Codable, Equatable {
    enum CodingKeys: String, CodingKey {
        case name, type, entries
        case keyBytes = "key_bytes"
        case valueBytes = "value_bytes"
        case maximumEntries = "max_entries"
    }

    package var name: String
    package var type: String
    package var keyBytes: Int
    package var valueBytes: Int
    /// How many entries it holds; nil where every element always exists or there are none.
    package var entries: Int?
    /// How many it can hold; bytes for a ring buffer.
    package var maximumEntries: Int

    package init(
        name: String, type: String, keyBytes: Int, valueBytes: Int, entries: Int?, maximumEntries: Int
    ) {
        self.name = name
        self.type = type
        self.keyBytes = keyBytes
        self.valueBytes = valueBytes
        self.entries = entries
        self.maximumEntries = maximumEntries
    }

    package static let absence = "no maps"

    package static let columns: [Column<MapRow>] = [
        Column("NAME") { $0.name },
        Column("TYPE") { $0.type },
        Column("KEY", number: true) { "\($0.keyBytes) B" },
        Column("VALUE", number: true) { "\($0.valueBytes) B" },
        Column("ENTRIES", number: true) { $0.entries.map(String.init) ?? "" },
        Column("MAXIMUM", number: true) { "\($0.maximumEntries)" },
    ]
}

/// An entry of a map, as text.
package struct MapEntryRow: TableRow, Codable, Equatable {
    package var key: String
    package var value: String

    package init(key: String, value: String) {
        self.key = key
        self.value = value
    }

    package static let absence = "the map is empty"

    package static let columns: [Column<MapEntryRow>] = [
        Column("KEY") { $0.key },
        Column("VALUE") { $0.value },
    ]
}
