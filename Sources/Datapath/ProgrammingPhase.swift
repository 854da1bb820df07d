/// The phases of `docs/datapath.md`, each only after the one before it.
package enum ProgrammingPhase: String, Sendable, CaseIterable {
    /// Content that nothing points to yet.
    case content
    /// What judges endpoints and what peers are, for the next epoch.
    case staging
    /// That epoch.
    case epoch
    /// Other pointers: of Services, and what leads to endpoints.
    case pointers
    /// Removal of pointers.
    case pointerRemoval = "removal of pointers"
    /// Removal of content that nothing has pointed to for the grace period.
    case contentRemoval = "removal of content"
}

/// What a pass over the tables did.
public struct ProgrammingReport: Sendable, Hashable {
    /// Entries and elements written.
    public internal(set) var written = 0
    /// Whether a backend serves no more that did before.
    public internal(set) var hasCutOff = false
    /// What failed, and what waits for it; all of it is tried again with the next pass.
    public internal(set) var problems: [DatapathProblem] = []
    /// When content may be removed at the earliest: the time of another pass, in monotonic nanoseconds.
    public internal(set) var nextDeadline: UInt64?

    /// Whether everything that is wanted is in the kernel, apart from removals that wait for their time.
    public var isComplete: Bool { problems.isEmpty }
}

/// One write of a plan with its phase.
package struct PlannedWrite: Sendable, Hashable {
    package let phase: ProgrammingPhase
    package let write: TableWrite
}

/// One run over the tables with one writer: performs batches and keeps what failed.
struct ProgrammingPass<Writer: MapWriter> {
    /// A write that did not happen.
    struct Miss {
        let table: DatapathTable
        let key: Bytes
        /// Nil when it waits for another write.
        let error: MapError?
    }

    var writer: Writer
    private(set) var written = 0
    /// Whether the kernel was told of a backend that serves no more.
    private(set) var hasCutOff = false
    private(set) var misses: [Miss] = []

    init(writer: Writer) { self.writer = writer }

    /// Writes entries and answers the keys that the kernel took.
    mutating func put(_ table: HashTable, _ keys: [Bytes]) -> [Bytes] {
        put(table.table, keys.compactMap { key in table[key].map { TableEntry(key: key, value: $0) } })
    }

    mutating func put(_ table: DatapathTable, _ entries: [TableEntry]) -> [Bytes] {
        run(table, entries.map(\.key)) { writer, range in writer.update(table, Array(entries[range])) }
    }

    /// Deletes entries and answers the keys that the kernel let go.
    mutating func delete(_ table: HashTable, _ keys: [Bytes]) -> [Bytes] {
        run(table.table, keys) { writer, range in writer.delete(table.table, Array(keys[range])) }
    }

    /// Runs a batch; after a failure it goes on behind the entry that failed.
    private mutating func run(
        _ table: DatapathTable, _ keys: [Bytes], _ body: (inout Writer, Range<Int>) -> BatchResult
    ) -> [Bytes] {
        var done: [Bytes] = []
        var next = 0
        while next < keys.count {
            let result = body(&writer, next..<keys.count)
            done += keys[next..<next + result.done]
            next += result.done
            if let error = result.error {
                misses.append(Miss(table: table, key: keys[next], error: error))
                next += 1
            } else if result.done == 0 {
                break
            }
        }
        written += done.count
        return done
    }

    /// Stores runs of elements and answers those that the kernel took.
    mutating func store(_ table: ArrayTable, _ runs: [Range<Int>]) -> [Range<Int>] {
        runs.filter { run in
            guard let error = writer.store(table.table, first: run.lowerBound, table.elements(in: run)) else {
                written += run.count
                return true
            }
            misses.append(Miss(table: table.table, key: Bytes(of: UInt32(run.lowerBound)), error: error))
            return false
        }
    }

    /// Stores one element.
    mutating func store(_ table: DatapathTable, _ index: Int, _ element: Bytes) -> Bool {
        if let error = writer.store(table, first: index, element) {
            misses.append(Miss(table: table, key: Bytes(of: UInt32(index)), error: error))
            return false
        }
        written += 1
        return true
    }

    mutating func noteBackendsGone() { hasCutOff = true }

    /// Notes a write that failed.
    mutating func miss(_ table: DatapathTable, _ key: Bytes, _ error: MapError) {
        misses.append(Miss(table: table, key: key, error: error))
    }

    /// Notes a write that waits for another one.
    mutating func hold(_ table: DatapathTable, _ key: Bytes) {
        misses.append(Miss(table: table, key: key, error: nil))
    }
}
