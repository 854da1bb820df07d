internal import DatapathABI

/// The slots of a frontend: for clients inside, and for those outside. Where both get the same it is one range.
struct SlotRanges: Sendable, Equatable {
    var inside: Range<Int> = 0..<0
    var outside: Range<Int> = 0..<0
    /// How many slots at the end of those for clients outside are the table of places instead of one for each backend.
    var tableSize = 0

    /// The slots of the backends for clients outside, each once and in order.
    var outsideBackends: Range<Int> { outside.lowerBound..<outside.upperBound - tableSize }

    /// The ranges that hold anything, each once.
    var all: [Range<Int>] { (inside == outside ? [inside] : [inside, outside]).filter { !$0.isEmpty } }
}

/// What a frontend led to before.
struct FormerLead: Sendable {
    var ranges: [Range<Int>] = []
    /// Indexes of backends that got nothing new.
    var held: [Int] = []

    var isEmpty: Bool { ranges.isEmpty && held.isEmpty }

    mutating func add(_ other: FormerLead) {
        ranges += other.ranges
        held += other.held
    }
}

extension apus_service {
    /// The ranges as the value has them, possible or not.
    var ranges: SlotRanges {
        func range(_ first: UInt32, _ count: UInt32) -> Range<Int> { Int(first)..<Int(first) + Int(count) }
        // A table without a backend is no table.
        let table = outside_slot_count == 0 ? 0 : UInt32(table_size)
        return SlotRanges(
            inside: range(first_slot, slot_count),
            outside: range(outside_first_slot, outside_slot_count.addingReportingOverflow(table).partialValue),
            tableSize: Int(table))
    }
}
