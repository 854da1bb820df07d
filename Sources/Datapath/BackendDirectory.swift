internal import Addressing

/// Which index each backend has, and how many slots lead to it.
struct BackendDirectory: Sendable {
    private struct Key: Hashable {
        let address: SocketAddress
        let ipProtocol: IPProtocol
    }

    private struct Holder {
        let key: Key
        var references: Int
    }

    private var allocator: RangeAllocator
    private var indexes: [Key: Int] = [:]
    /// By index, nil where that is free; few are below the highest, as the lowest free one is always the next.
    private var holders: [Holder?] = []

    init(capacity: Int) {
        // A slot that was never written holds 0, which must lead nowhere.
        allocator = RangeAllocator(1..<max(1, capacity))
    }

    /// The index of a backend, with one more reference; nil when all are taken.
    mutating func acquire(_ address: SocketAddress, _ ipProtocol: IPProtocol) -> Int? {
        let key = Key(address: address, ipProtocol: ipProtocol)
        if let index = indexes[key] {
            retain(index)
            return index
        }
        guard let index = allocator.allocate() else { return nil }
        indexes[key] = index
        set(index, Holder(key: key, references: 1))
        return index
    }

    mutating func retain(_ index: Int) {
        if holders.indices.contains(index) { holders[index]?.references += 1 }
    }

    /// Gives a reference back; true when it was the last and the index is free.
    mutating func release(_ index: Int) -> Bool {
        guard holders.indices.contains(index), let holder = holders[index] else { return false }
        if holder.references > 1 {
            holders[index]?.references -= 1
            return false
        }
        drop(index, holder)
        return true
    }

    /// Takes over an index without references; of two with the same backend only the first is found again.
    mutating func adopt(_ index: Int, _ address: SocketAddress, _ ipProtocol: IPProtocol) {
        guard allocator.reserve(index..<index + 1) else { return }
        let key = Key(address: address, ipProtocol: ipProtocol)
        set(index, Holder(key: key, references: 0))
        if indexes[key] == nil { indexes[key] = index }
    }

    /// Frees the adopted indexes that nothing leads to, and answers them in order.
    mutating func removeUnused() -> [Int] {
        let unused = holders.indices.filter { holders[$0]?.references == 0 }
        for index in unused { if let holder = holders[index] { drop(index, holder) } }
        return unused
    }

    private mutating func set(_ index: Int, _ holder: Holder) {
        while holders.count <= index { holders.append(nil) }
        holders[index] = holder
    }

    private mutating func drop(_ index: Int, _ holder: Holder) {
        holders[index] = nil
        if indexes[holder.key] == index { indexes[holder.key] = nil }
        allocator.release(index..<index + 1)
    }
}
