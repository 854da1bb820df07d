/// Why the kernel did not take or give an entry.
public struct MapError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The positive error number, as in `errno`.
    public let code: Int32
    /// What happened, as one clause.
    public let description: String

    public init(code: Int32, description: String) {
        self.code = code
        self.description = description
    }

    /// Whether the map has no room: E2BIG is what a hash map answers, ENOSPC what a prefix map does.
    public var saysFull: Bool { code == 7 || code == 28 }
}

/// What became of an automaton that was to be put in force.
package struct DomainInstallation: Sendable, Hashable {
    /// Whether it is in the place of the one before.
    package let isInForce: Bool
    /// Why it is not; or, where it is, why names that are held may have the sets that they had before. Nil: all is done.
    package let failure: MapError?

    /// It is in force, and all names that are held have their sets in it.
    package static let done = DomainInstallation(isInForce: true, failure: nil)
    /// What was in force still is.
    package static func refused(_ failure: MapError) -> Self { .init(isInForce: false, failure: failure) }
    /// It is in force, but not all names that are held have their sets in it.
    package static func unfinished(_ failure: MapError) -> Self { .init(isInForce: true, failure: failure) }
}

/// How far a batch got.
package struct BatchResult: Sendable {
    /// Entries done before the first one that failed.
    package let done: Int
    /// Why the entry after them failed; nil when none did.
    package let error: MapError?

    package init(done: Int, error: MapError? = nil) {
        self.done = done
        self.error = error
    }
}

/// A key and its value.
package struct TableEntry: Sendable, Hashable {
    package let key: Bytes
    package let value: Bytes

    package init(key: Bytes, value: Bytes) {
        self.key = key
        self.value = value
    }
}

/// The kernel as the tables write it; tests put one in between that fails at times.
package protocol MapWriter {
    /// Makes or replaces entries of a hash or prefix map, in order, up to the first failure.
    mutating func update(_ table: DatapathTable, _ entries: [TableEntry]) -> BatchResult
    /// Deletes entries of a hash or prefix map, in order, up to the first failure; an absent one is no failure.
    mutating func delete(_ table: DatapathTable, _ keys: [Bytes]) -> BatchResult
    /// Stores consecutive elements of an array from index `first` on.
    mutating func store(_ table: DatapathTable, first: Int, _ elements: Bytes) -> MapError?
    /// Begins to wait for the packets that the programs have begun with, and returns at once with the wait's number:
    /// greater than those of the waits before, and than 0.
    mutating func beginWait() -> UInt64
    /// Returns when none of the packets is on its way any more that there were when a wait began. A number that this
    /// writer did not give stands for a wait that begins now.
    mutating func endWait(_ number: UInt64) -> MapError?
    /// Puts an automaton in the place of the one in force, and gives the names that are held their sets in it; nil: none.
    mutating func install(_ program: DomainProgram?) -> DomainInstallation
    /// Has what was learned for one policy count for another one, too.
    mutating func copyLearned(from old: UInt32, to new: UInt32) -> MapError?
}

/// The kernel as adoption and verification read it.
package protocol MapReader {
    /// Every entry of a hash or prefix map.
    func entries(of table: DatapathTable) throws(MapError) -> [TableEntry]
    /// The elements of an array from index 0 on; missing ones at the end are zero.
    func elements(of table: DatapathTable) throws(MapError) -> Bytes
}
