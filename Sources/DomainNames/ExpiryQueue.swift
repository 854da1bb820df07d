/// Slots by the moment at which they end: a binary heap that knows where each slot is, so any of them can be moved or
/// taken out in logarithmic time. A search through all would cost a full table that much with every answer.
struct ExpiryQueue: Sendable {
    private struct Item {
        let slot: Int
        let end: UInt64
    }

    private var heap: [Item] = []
    /// Where each slot is in the heap; nil when it is not.
    private var places: [Int?] = []

    /// The slot that ends first, when that is not after `now`.
    func ended(at now: UInt64) -> Int? {
        guard let first = heap.first, first.end <= now else { return nil }
        return first.slot
    }

    /// Puts a slot in, or moves it to where its new end belongs.
    mutating func set(_ slot: Int, end: UInt64) {
        remove(slot)
        while places.count <= slot { places.append(nil) }
        heap.append(Item(slot: slot, end: end))
        rise(from: heap.count - 1)
    }

    /// Takes a slot out; one that is not there stays so.
    mutating func remove(_ slot: Int) {
        guard slot < places.count, let place = places[slot] else { return }
        places[slot] = nil
        let last = heap.removeLast()
        if last.slot == slot { return }
        heap[place] = last
        // The last one may belong above or below the hole; only one of these moves it.
        sink(from: place)
        rise(from: place)
    }

    private mutating func rise(from start: Int) {
        let item = heap[start]
        var place = start
        while place > 0, item.end < heap[(place - 1) / 2].end {
            put(heap[(place - 1) / 2], at: place)
            place = (place - 1) / 2
        }
        put(item, at: place)
    }

    private mutating func sink(from start: Int) {
        let item = heap[start]
        var place = start
        while true {
            var child = 2 * place + 1
            if child + 1 < heap.count, heap[child + 1].end < heap[child].end { child += 1 }
            guard child < heap.count, heap[child].end < item.end else { break }
            put(heap[child], at: place)
            place = child
        }
        put(item, at: place)
    }

    private mutating func put(_ item: Item, at place: Int) {
        heap[place] = item
        places[item.slot] = place
    }
}
