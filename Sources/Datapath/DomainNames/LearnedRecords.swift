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

    /// When the last of its names ends.
    var end: UInt64 { learned.map(\.end_ns).max() ?? 0 }

    /// Adds the names of another one, those that end last where there is no room for all. Returns whether it changed.
    mutating func merge(_ other: apus_learned_address) -> Bool {
        var ends = Dictionary(learned.map { ($0.name, $0.end_ns) }, uniquingKeysWith: max)
        let before = ends
        for use in other.learned { ends[use.name] = max(ends[use.name] ?? 0, use.end_ns) }
        let (wasUsed, wasJudged) = (used_ns, judged)
        used_ns = max(used_ns, other.used_ns)
        judged |= other.judged
        guard ends != before else { return (used_ns, judged) != (wasUsed, wasJudged) }
        learned = ends.map { apus_learned_use(name: $0.key, end_ns: $0.value) }.sorted { $0.end_ns > $1.end_ns }
        return true
    }
}
