/// Gives out ranges of indexes, first fit; neighbouring free ranges are one.
package struct RangeAllocator: Sendable {
    /// Free ranges in ascending order, never empty and never touching.
    package private(set) var free: [Range<Int>]
    /// All indexes that it may give out.
    package let bounds: Range<Int>

    package init(_ bounds: Range<Int>) {
        self.bounds = bounds
        free = bounds.isEmpty ? [] : [bounds]
    }

    /// How many indexes are free.
    package var freeCount: Int { free.reduce(0) { $0 + $1.count } }

    /// A range of `count` indexes; nil when no free range is long enough. An empty range is always to be had.
    package mutating func allocate(_ count: Int) -> Range<Int>? {
        if count == 0 { return bounds.lowerBound..<bounds.lowerBound }
        guard count > 0, let position = free.firstIndex(where: { $0.count >= count }) else { return nil }
        let found = free[position]
        let taken = found.lowerBound..<found.lowerBound + count
        if found.count == count {
            free.remove(at: position)
        } else {
            free[position] = taken.upperBound..<found.upperBound
        }
        return taken
    }

    /// One index.
    package mutating func allocate() -> Int? { allocate(1)?.lowerBound }

    /// Takes a certain range; false when it is out of bounds or a part of it is taken.
    package mutating func reserve(_ range: Range<Int>) -> Bool {
        if range.isEmpty { return true }
        let position = firstFree(endingAfter: range.lowerBound)
        guard position < free.count else { return false }
        let found = free[position]
        guard found.lowerBound <= range.lowerBound, found.upperBound >= range.upperBound else { return false }
        let rest = [found.lowerBound..<range.lowerBound, range.upperBound..<found.upperBound].filter { !$0.isEmpty }
        free.replaceSubrange(position...position, with: rest)
        return true
    }

    /// Gives a range back; ranges that are free or out of bounds already are a mistake of the caller and are ignored.
    package mutating func release(_ range: Range<Int>) {
        guard !range.isEmpty, bounds.lowerBound <= range.lowerBound, range.upperBound <= bounds.upperBound else {
            return
        }
        let position = firstFree(endingAfter: range.lowerBound)
        if position < free.count, free[position].lowerBound < range.upperBound { return }
        var merged = range
        var replaced = position..<position
        if position < free.count, free[position].lowerBound == range.upperBound {
            merged = merged.lowerBound..<free[position].upperBound
            replaced = position..<position + 1
        }
        if position > 0, free[position - 1].upperBound == range.lowerBound {
            merged = free[position - 1].lowerBound..<merged.upperBound
            replaced = position - 1..<replaced.upperBound
        }
        free.replaceSubrange(replaced, with: CollectionOfOne(merged))
    }

    /// Where the first free range is whose end is above `index`.
    private func firstFree(endingAfter index: Int) -> Int {
        var low = 0
        var high = free.count
        while low < high {
            let middle = (low + high) / 2
            if free[middle].upperBound <= index { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
