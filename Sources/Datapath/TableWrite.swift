/// One write of a plan.
package struct TableWrite: Sendable, Hashable {
    /// What is written.
    package enum Change: Sendable, Hashable {
        case put(TableEntry)
        case delete(key: Bytes)
        /// Consecutive elements of an array from index `first` on.
        case store(first: Int, elements: Bytes)
    }

    package let table: DatapathTable
    package let change: Change

    package init(_ table: DatapathTable, _ change: Change) {
        self.table = table
        self.change = change
    }
}

/// A writer that keeps the writes and never fails: what it saw is the plan.
package struct PlanRecorder: MapWriter {
    package private(set) var writes: [TableWrite] = []

    package init() {}

    package mutating func update(_ table: DatapathTable, _ entries: [TableEntry]) -> BatchResult {
        writes += entries.map { TableWrite(table, .put($0)) }
        return BatchResult(done: entries.count)
    }

    package mutating func delete(_ table: DatapathTable, _ keys: [Bytes]) -> BatchResult {
        writes += keys.map { TableWrite(table, .delete(key: $0)) }
        return BatchResult(done: keys.count)
    }

    package mutating func store(_ table: DatapathTable, first: Int, _ elements: Bytes) -> MapError? {
        writes.append(TableWrite(table, .store(first: first, elements: elements)))
        return nil
    }

    package mutating func beginWait() -> UInt64 { 1 }

    package mutating func endWait(_ number: UInt64) -> MapError? { nil }

    package mutating func install(_ program: DomainProgram?) -> DomainInstallation { .done }

    package mutating func copyLearned(from old: UInt32, to new: UInt32) -> MapError? { nil }
}
