internal import BPF
internal import DatapathABI
internal import DomainNames

/// The automaton that the kernel has, whoever made it: names are walked through it a look-up a character.
struct AutomatonInForce: ~Copyable, Sendable {
    private let automaton: BPFMap

    /// - Parameter automaton: the map `domain_automaton`.
    init(_ automaton: consuming BPFMap) { self.automaton = automaton }

    /// The set of the patterns in force that match a name; 0: none does.
    ///
    /// - Parameter name: in lower case, without a trailing dot.
    func set(matching name: String) throws(BPFError) -> UInt32 {
        // An array of maps tells the id of what is in a place.
        guard let id = try automaton.value(of: Bytes(of: UInt32(0)), as: UInt32.self), id != 0 else { return 0 }
        return try Self.set(matching: name, in: try BPFMap.open(id: id))
    }

    /// The sets that names can have.
    func sets() throws(BPFError) -> Set<UInt32> {
        guard let id = try automaton.value(of: Bytes(of: UInt32(0)), as: UInt32.self), id != 0 else { return [] }
        var found: Set<UInt32> = []
        try BPFMap.open(id: id).forEachEntry { number, state in
            // The first row has no set: it says where names begin.
            guard state.byteCount == MemoryLayout<apus_domain_state>.size,
                number.unsafeLoadUnaligned(as: UInt32.self) != 0
            else { return }
            found.insert(state.unsafeLoadUnaligned(as: apus_domain_state.self).set)
        }
        return found.subtracting([0])
    }

    private static func set(matching name: String, in states: borrowing BPFMap) throws(BPFError) -> UInt32 {
        func state(_ number: UInt32) throws(BPFError) -> apus_domain_state {
            try states.value(of: Bytes(of: number), as: apus_domain_state.self) ?? apus_domain_state()
        }
        var number = try state(0).set
        for byte in name.utf8 {
            number = try state(number).next(after: byte)
            if number == 0 { return 0 }
        }
        return number == 0 ? 0 : try state(number).set
    }
}

extension apus_domain_state {
    /// The state after a byte of a name.
    fileprivate func next(after byte: UInt8) -> UInt32 {
        withUnsafeBytes(of: next) { rows in
            let place = Int(DomainAlphabet.classOfByte[Int(byte)]) * MemoryLayout<UInt32>.size
            return rows.loadUnaligned(fromByteOffset: place, as: UInt32.self)
        }
    }
}
