/// The wanted elements of an array map, and which of them the kernel does not hold yet.
package struct ArrayTable: Sendable {
    package let table: DatapathTable
    package let elementSize: Int
    package let capacity: Int
    /// The elements up to the highest that was ever set; those behind are zero.
    package private(set) var elements: Bytes = []
    private var dirty = DirtyIndexes()

    package init(_ table: DatapathTable, capacity: Int) {
        self.table = table
        self.elementSize = table.valueSize
        self.capacity = capacity
    }

    /// How many elements are held.
    package var count: Int { elements.count / elementSize }

    var hasDirty: Bool { !dirty.isEmpty }

    func isDirty(_ index: Int) -> Bool { dirty.contains(index) }

    /// The element as a trivial value; nil when it was never set.
    func load<Value: BitwiseCopyable>(_ type: Value.Type, at index: Int) -> Value? {
        elements.load(type, at: index * elementSize)
    }

    /// The bytes of an element.
    package func element(at index: Int) -> Bytes {
        let start = index * elementSize
        return start < elements.count ? Bytes(elements[start..<start + elementSize]) : Bytes(zeros: elementSize)
    }

    /// The bytes of an element that is held.
    func slice(_ index: Int) -> ArraySlice<UInt8> { elements[index * elementSize..<(index + 1) * elementSize] }

    /// The bytes of consecutive elements that are held.
    package func elements(in run: Range<Int>) -> Bytes {
        Bytes(elements[run.lowerBound * elementSize..<run.upperBound * elementSize])
    }

    /// Sets an element; `index` is below the capacity.
    mutating func set<Value: BitwiseCopyable>(_ index: Int, _ value: Value) {
        withUnsafeBytes(of: value) { set(index, bytes: $0) }
    }

    /// Sets an element to its bytes, as many as an element has.
    mutating func set(_ index: Int, bytes new: some Collection<UInt8>) {
        grow(to: index + 1)
        let place = index * elementSize..<(index + 1) * elementSize
        guard new.count == elementSize, !elements[place].elementsEqual(new) else { return }
        elements.replaceSubrange(place, with: new)
        dirty.insert(index)
    }

    /// The kernel took these elements.
    mutating func confirm(_ run: Range<Int>) {
        for index in run { dirty.remove(index) }
    }

    /// The kernel holds another value there.
    mutating func markDirty(_ index: Int) {
        grow(to: index + 1)
        dirty.insert(index)
    }

    /// Takes over an element that is held here from all elements of the kernel; missing ones are zero.
    mutating func observe(_ index: Int, in actual: Bytes) {
        let place = index * elementSize..<(index + 1) * elementSize
        guard place.upperBound <= actual.count else {
            return elements.replaceSubrange(place, with: repeatElement(0, count: elementSize))
        }
        if !elements[place].elementsEqual(actual[place]) { elements.replaceSubrange(place, with: actual[place]) }
    }

    /// Takes over what the kernel holds, up to the last element that is not zero.
    mutating func adopt(_ elements: Bytes) {
        let used = (elements.lastIndex { $0 != 0 } ?? -1) + 1
        let whole = min((used + elementSize - 1) / elementSize, elements.count / elementSize, capacity)
        self.elements = Bytes(elements[..<(whole * elementSize)])
        dirty = DirtyIndexes()
    }

    /// Runs of consecutive dirty elements of which `include` holds, in order.
    func pendingRuns(where include: (Int) -> Bool = { _ in true }) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        dirty.forEach { index in
            guard include(index) else { return }
            if let last = runs.last, last.upperBound == index {
                runs[runs.count - 1] = last.lowerBound..<index + 1
            } else {
                runs.append(index..<index + 1)
            }
        }
        return runs
    }

    private mutating func grow(to count: Int) {
        let missing = count * elementSize - elements.count
        if missing > 0 { elements.append(contentsOf: repeatElement(0, count: missing)) }
    }
}

extension [UInt8] {
    /// So many zero bytes.
    init(zeros count: Int) { self.init(repeating: 0, count: count) }
}

/// A set of indexes as one bit each.
struct DirtyIndexes: Sendable {
    private var words: [UInt64] = []
    private var count = 0

    var isEmpty: Bool { count == 0 }

    func contains(_ index: Int) -> Bool {
        index >> 6 < words.count && words[index >> 6] >> UInt64(index & 63) & 1 == 1
    }

    mutating func insert(_ index: Int) {
        while words.count <= index >> 6 { words.append(0) }
        guard !contains(index) else { return }
        words[index >> 6] |= 1 << UInt64(index & 63)
        count += 1
    }

    mutating func remove(_ index: Int) {
        guard contains(index) else { return }
        words[index >> 6] &= ~(1 << UInt64(index & 63))
        count -= 1
    }

    /// Calls `body` with each index in ascending order.
    func forEach(_ body: (Int) -> Void) {
        if isEmpty { return }
        for (position, word) in words.enumerated() where word != 0 {
            var rest = word
            while rest != 0 {
                body(position << 6 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
    }
}
