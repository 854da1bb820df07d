/// How many states a tree of exact names has, while names come in any order.
struct NameTreeSize {
    /// The names of the tree, sorted.
    private var names: [[UInt8]] = []
    /// Places of the tree, its root among them; none while it is empty.
    private(set) var states = 0

    /// Adds a name if the tree then has no more states than `limit`. Returns whether it has it.
    mutating func add(_ name: [UInt8], limit: Int) -> Bool {
        let place = place(of: name)
        // What a name shares with any other one it shares with one of its neighbours.
        let neighbours = names[max(0, place - 1)..<min(names.count, place + 1)]
        let shared = neighbours.map { zip($0, name).prefix { $0 == $1 }.count }.max()
        let needed = name.count - (shared ?? -1)
        if states + needed > limit { return false }
        states += needed
        names.insert(name, at: place)
        return true
    }

    /// Where a name belongs.
    private func place(of name: [UInt8]) -> Int {
        var (low, high) = (0, names.count)
        while low < high {
            let middle = low + (high - low) / 2
            if names[middle].lexicographicallyPrecedes(name) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
