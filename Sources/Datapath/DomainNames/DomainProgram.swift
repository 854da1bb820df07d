internal import DatapathABI
internal import DomainNames

/// The patterns of all policies as the kernel walks names through them.
///
/// A pattern set is told by an id that follows from its patterns, and that it keeps while it is in force where another one
/// has the same hash. So `(policy, set) → rules` keeps its meaning when other patterns come and go. It is a class of peers
/// beside those of addresses: those ids have another first bit.
package struct DomainProgram: Sendable {
    /// The bit that the ids of pattern sets have, and those of other classes have not.
    static let setBit: UInt32 = 1 << 31

    let automaton: DomainAutomaton
    /// The id of each of the automaton's sets; that of the empty one is 0.
    let setIDs: [UInt32]

    /// - Parameters:
    ///   - known: sets that have an id already: they keep it, and no other one gets it.
    ///   - identifier: what the id of another set follows from.
    init(
        _ automaton: DomainAutomaton, keeping known: [UInt32: [DomainPattern]] = [:],
        identifier: ([DomainPattern]) -> UInt32 = Self.identifier
    ) {
        self.automaton = automaton
        // Of two ids of one set the lower one, so that it does not depend on an order that nobody gives.
        let ids = Dictionary(known.map { (Set($0.value), $0.key) }, uniquingKeysWith: min)
        var used = Set(known.keys)
        setIDs = automaton.patternSets.map { set in
            if set.isEmpty { return 0 }
            let patterns = set.map { automaton.patterns[$0] }
            if let id = ids[Set(patterns)] { return id }
            var id = identifier(patterns) | Self.setBit
            while !used.insert(id).inserted { id = (id &+ 1) | Self.setBit }
            return id
        }
    }

    /// The sets that any name can have, with their patterns.
    var sets: [(id: UInt32, patterns: [DomainPattern])] {
        zip(setIDs, automaton.patternSets).dropFirst().map { id, set in (id, set.map { automaton.patterns[$0] }) }
    }

    /// The id of the patterns that match a name, 0: none does.
    package func set(matching name: some Collection<UInt8>) -> UInt32 {
        setIDs[automaton.patternSet(matching: name)]
    }

    /// The table as the kernel has it; row 0, which no name leaves, tells where names begin.
    var rows: Bytes {
        var rows: Bytes = []
        rows.reserveCapacity(automaton.byteCount)
        for state in 0..<automaton.stateCount {
            let first = state * DomainAlphabet.classCount
            for next in automaton.transitions[first..<first + DomainAlphabet.classCount] { rows += Bytes(of: next) }
            rows += Bytes(of: state == 0 ? automaton.start : setIDs[Int(automaton.acceptance[state])])
        }
        return rows
    }

    /// FNV-1a over the patterns, mixed at the end, as the ids of classes are.
    static func identifier(_ patterns: [DomainPattern]) -> UInt32 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for pattern in patterns {
            for byte in [UInt8(pattern.form.rawValue)] + Array(pattern.text.utf8) + [0] {
                hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
            }
        }
        hash = (hash ^ hash >> 33) &* 0xff51_afd7_ed55_8ccd
        return UInt32(truncatingIfNeeded: hash ^ hash >> 32) | setBit
    }
}
