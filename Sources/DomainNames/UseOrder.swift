/// Slots in the order of their last use: a list in two arrays, so that every step takes the same time.
struct UseOrder: Sendable {
    /// Neighbours of a slot that is in the list.
    private struct Links {
        var before: Int?
        var after: Int?
    }

    private var links: [Links?] = []
    /// The slot that was not used for the longest time.
    private(set) var oldest: Int?
    private var newest: Int?

    /// Puts a slot at the end, from wherever it was.
    mutating func use(_ slot: Int) {
        remove(slot)
        while links.count <= slot { links.append(nil) }
        links[slot] = Links(before: newest, after: nil)
        if let newest { links[newest]?.after = slot } else { oldest = slot }
        newest = slot
    }

    /// Takes a slot out; one that is not in the list stays so.
    mutating func remove(_ slot: Int) {
        guard slot < links.count, let old = links[slot] else { return }
        if let before = old.before { links[before]?.after = old.after } else { oldest = old.after }
        if let after = old.after { links[after]?.before = old.before } else { newest = old.before }
        links[slot] = nil
    }
}
