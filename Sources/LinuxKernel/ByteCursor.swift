/// Reads fields off the front of a message of the kernel; what does not fit is nil and takes nothing.
struct ByteCursor {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// Takes a number in host order.
    mutating func take<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type = Number.self) -> Number? {
        take(count: MemoryLayout<Number>.size)?.withUnsafeBytes { $0.loadUnaligned(as: Number.self) }
    }

    /// Takes bytes.
    mutating func take(count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    /// Drops up to `count` bytes; the end of a message may lack its padding.
    mutating func skip(upTo count: Int) { rest = rest.dropFirst(count) }
}
