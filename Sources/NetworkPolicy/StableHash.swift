/// A hash that is the same in every process and on every machine: FNV-1a, mixed at the end.
///
/// `Hasher` is seeded per process, and ids must survive a restart of the agent.
struct StableHash {
    private var state: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func combine(_ byte: UInt8) {
        state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
    }

    mutating func combine(_ number: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) { combine(UInt8(truncatingIfNeeded: number >> UInt64(shift))) }
    }

    mutating func combine(_ number: Int) { combine(UInt64(bitPattern: Int64(number))) }

    /// Adds a text and its length, so that neighbours can't flow into each other.
    mutating func combine(_ text: String) {
        combine(text.utf8.count)
        for byte in text.utf8 { combine(byte) }
    }

    /// 64 well-mixed bits (the finalizer of MurmurHash3).
    func finalize() -> UInt64 {
        var value = state
        value = (value ^ value >> 33) &* 0xff51_afd7_ed55_8ccd
        value = (value ^ value >> 33) &* 0xc4ce_b9fe_1a85_ec53
        return value ^ value >> 33
    }

    /// An id: 32 of the bits, never 0.
    func identifier() -> UInt32 {
        let value = finalize()
        let folded = UInt32(truncatingIfNeeded: value ^ value >> 32)
        return folded == 0 ? 1 : folded
    }
}
