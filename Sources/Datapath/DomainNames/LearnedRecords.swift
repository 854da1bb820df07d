internal import DatapathABI

/// A name that is held, as the kernel has it.
struct LearnedNameRecord {
    let value: apus_learned_name
    /// Lower case, no trailing dot.
    let name: String

    var set: UInt32 { value.set }
    var seenAt: UInt64 { value.seen_ns }

    /// Nil when there are too few bytes.
    init?(_ bytes: Bytes) {
        guard let value = bytes.load(apus_learned_name.self) else { return nil }
        self.init(value)
    }

    init(_ value: apus_learned_name) {
        self.value = value
        let length = min(Int(value.length), Int(APUS_DNS_NAME_MAX))
        name = withUnsafeBytes(of: value.text) { String(decoding: $0.prefix(length), as: UTF8.self) }
    }
}

extension apus_learned_address {
    /// The names of an address with their ends; free places are left out.
    var learned: [apus_learned_use] {
        get { withUnsafeBytes(of: uses) { Array($0.bindMemory(to: apus_learned_use.self)) }.filter { $0.name != 0 } }
        set {
            var kept = newValue.prefix(Int(APUS_LEARNED_NAMES))
            withUnsafeMutableBytes(of: &uses) { bytes in
                for place in 0..<Int(APUS_LEARNED_NAMES) {
                    bytes.storeBytes(
                        of: kept.popFirst() ?? apus_learned_use(),
                        toByteOffset: place * MemoryLayout<apus_learned_use>.stride, as: apus_learned_use.self)
                }
            }
        }
    }
}
