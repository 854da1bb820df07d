internal import DatapathABI

/// An address that is held for a policy, with all its parts.
struct HeldAddress {
    /// Of its first part.
    let key: apus_learned_key
    private(set) var parts = 1
    /// Its names.
    private(set) var names: Int
    /// When the first and the last of its names ends.
    private(set) var firstEnd: UInt64
    private(set) var end: UInt64
    let used: UInt64

    private init(_ key: apus_learned_key, _ value: apus_learned_address) {
        self.key = key
        let ends = value.learned.map(\.end_ns)
        names = ends.count
        // One without names is of no use.
        firstEnd = ends.min() ?? 0
        end = ends.max() ?? 0
        used = value.used_ns
    }

    private mutating func add(_ part: apus_learned_address) {
        parts += 1
        for use in part.learned {
            names += 1
            firstEnd = min(firstEnd, use.end_ns)
            end = max(end, use.end_ns)
        }
    }

    /// The addresses of some entries. Parts whose first one is not among them are left out.
    static func list(_ entries: [(key: apus_learned_key, value: apus_learned_address)]) -> [HeldAddress] {
        var held = entries.filter { $0.key.part == 0 }.map { HeldAddress($0.key, $0.value) }
        let further = entries.filter { $0.key.part != 0 }
        if further.isEmpty { return held }
        let places = Dictionary(held.indices.map { (Bytes(of: held[$0].key), $0) }) { first, _ in first }
        for (key, value) in further {
            var first = key
            first.part = 0
            if let place = places[Bytes(of: first)] { held[place].add(value) }
        }
        return held
    }

    /// What the data path is to let go of: names that end by then, if no connection was judged by the address since.
    func leaving(at end: UInt64, unusedSince used: UInt64) -> apus_let_go {
        apus_let_go(key: key, end_ns: end, used_ns: used)
    }
}
