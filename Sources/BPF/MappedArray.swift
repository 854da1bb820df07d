internal import Glibc
internal import LinuxKernel

/// The values of an array map as memory: a load or store instead of a system call.
///
/// Programs see a store at once. One aligned word of up to eight bytes is written whole; a larger value is not, so
/// publish it with one word that is written last.
public struct MappedArray<Element: BitwiseCopyable>: ~Copyable, Sendable {
    private let mapping: MemoryMapping
    /// The kernel rounds the place of a value up to eight bytes.
    private let stride: Int
    /// The number of elements.
    public let count: Int
    private let name: String

    /// Maps an array map that was made `.mappable` and whose values are `Element`s.
    public init(_ map: borrowing BPFMap, of type: Element.Type = Element.self, writable: Bool = true) throws(BPFError) {
        let shape = map.shape
        guard shape.type == .array, shape.flags.contains(.mappable), shape.valueSize == MemoryLayout<Element>.size
        else {
            throw BPFError(
                operation: "map array", errno: .invalid,
                detail:
                    "\(map.name) (\(shape.type) of \(shape.valueSize) bytes, elements of \(MemoryLayout<Element>.size))"
            )
        }
        let stride = BPFMap.stride(shape.valueSize)
        let page = MemoryMapping.pageSize
        let size = (stride * shape.maxEntries + page - 1) / page * page
        let access: MemoryMapping.Access = writable ? .readWrite : .readOnly
        let mapping = try kernel { () throws(KernelError) in
            try MemoryMapping(of: map.descriptor, size: size, access: access)
        }
        self.mapping = mapping
        self.stride = stride
        self.count = shape.maxEntries
        self.name = map.name
    }

    /// The element at an index.
    public func load(_ index: Int) throws(BPFError) -> Element {
        try address(index).load(as: Element.self)
    }

    /// Replaces the element at an index.
    public func store(_ value: Element, at index: Int) throws(BPFError) {
        try address(index).storeBytes(of: value, as: Element.self)
    }

    /// Replaces the elements from an index on.
    public func store(_ values: borrowing Span<Element>, from index: Int) throws(BPFError) {
        guard !values.isEmpty else { return }
        _ = try address(index + values.count - 1)
        var place = try address(index)
        if MemoryLayout<Element>.stride == stride {
            values.bytes.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(start: place, count: $0.count).copyMemory(from: $0)
            }
            return
        }
        for position in values.indices {
            place.storeBytes(of: values[position], as: Element.self)
            place += stride
        }
    }

    /// Replaces the elements from an index on by values that lie one behind the other in `bytes`.
    public func store(packed bytes: borrowing RawSpan, from index: Int) throws(BPFError) {
        let size = MemoryLayout<Element>.size
        let total = bytes.byteCount / size
        guard total > 0 else { return }
        _ = try address(index + total - 1)
        var place = try address(index)
        bytes.withUnsafeBytes { source in
            for position in 0..<total {
                let value = source.loadUnaligned(fromByteOffset: position * size, as: Element.self)
                place.storeBytes(of: value, as: Element.self)
                place += stride
            }
        }
    }

    /// The values of the elements, one behind the other, up to the last one that is not zero.
    public func packedBytes() -> [UInt8] {
        let size = MemoryLayout<Element>.size
        let used = usedCount
        return [UInt8](unsafeUninitializedCapacity: size * used) { buffer, initialized in
            for index in 0..<used {
                buffer.baseAddress?.advanced(by: index * size)
                    .initialize(from: (mapping.base + index * stride).assumingMemoryBound(to: UInt8.self), count: size)
            }
            initialized = size * used
        }
    }

    /// The number of elements up to the last one that is not zero, to within a page. Large arrays are mostly empty.
    private var usedCount: Int {
        let page = MemoryMapping.pageSize
        let zeros = [UInt8](repeating: 0, count: page)
        var end = (count * stride + page - 1) / page * page
        while end > 0, memcmp(mapping.base + (end - page), zeros, page) == 0 { end -= page }
        return min(count, (end + stride - 1) / stride)
    }

    private func address(_ index: Int) throws(BPFError) -> UnsafeMutableRawPointer {
        guard index >= 0, index < count else {
            throw BPFError(operation: "use array", errno: .outOfRange, detail: "\(name)[\(index)] of \(count)")
        }
        return mapping.base + index * stride
    }
}
