/// The bytes of a map's key or value as the kernel keeps them.
package typealias Bytes = [UInt8]

extension [UInt8] {
    /// The bytes of a trivial value; types of the ABI have no implicit padding, so equal values give equal bytes.
    init<Value: BitwiseCopyable>(of value: Value) {
        self = Swift.withUnsafeBytes(of: value) { Array($0) }
    }

    /// The trivial value whose bytes start at `offset`; nil when there are too few.
    ///
    /// Only for types of which every bit pattern is a value: integers and structs of integers.
    func load<Value: BitwiseCopyable>(_ type: Value.Type, at offset: Int = 0) -> Value? {
        guard offset >= 0, offset <= count, count - offset >= MemoryLayout<Value>.size else { return nil }
        return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }

    /// Whether every byte is zero.
    var isZero: Bool { allSatisfy { $0 == 0 } }
}

/// The order of keys in plans and dumps: memory order.
func memoryOrder(_ left: Bytes, _ right: Bytes) -> Bool { left.lexicographicallyPrecedes(right) }
