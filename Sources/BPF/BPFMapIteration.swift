internal import CLibBPF
internal import LinuxKernel

/// All entries.
extension BPFMap {
    /// Lends every entry to `body`, hundreds per system call where the map's type allows it.
    ///
    /// Entries that come or go meanwhile may be seen or missed. In per-CPU maps a value is the values of all CPUs,
    /// each rounded up to eight bytes.
    public func forEachEntry(_ body: (borrowing RawSpan, borrowing RawSpan) -> Void) throws(BPFError) {
        if try !visit("read map", bpf_map_lookup_batch, body) { try forEachSingly(body) }
    }

    /// Takes every entry out of the map and lends it to `body`; for hash maps.
    public func takeEntries(_ body: (borrowing RawSpan, borrowing RawSpan) -> Void) throws(BPFError) {
        if try !visit("take from map", bpf_map_lookup_and_delete_batch, body) { try takeSingly(body) }
    }

    /// All entries as trivial types, in no order.
    public func entries<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        keys: Key.Type = Key.self, values: Value.Type = Value.self
    ) throws(BPFError) -> [(key: Key, value: Value)] {
        try requireSizes(key: MemoryLayout<Key>.size, value: MemoryLayout<Value>.size, "read map")
        var result: [(key: Key, value: Value)] = []
        try forEachEntry { key, value in
            result.append(
                (key.unsafeLoadUnaligned(as: Key.self), value.unsafeLoadUnaligned(as: Value.self)))
        }
        return result
    }

    /// All keys as a trivial type, in no order.
    public func keys<Key: BitwiseCopyable>(as type: Key.Type = Key.self) throws(BPFError) -> [Key] {
        try requireSizes(key: MemoryLayout<Key>.size, "read map")
        var result: [Key] = []
        try forEachKey { result.append($0.unsafeLoadUnaligned(as: Key.self)) }
        return result
    }

    /// Lends every key to `body`, one system call each.
    public func forEachKey(_ body: (borrowing RawSpan) -> Void) throws(BPFError) {
        var key = [UInt8](repeating: 0, count: shape.keySize)
        var more = try nextKey(&key, isFirst: true)
        // A key that is deleted under the walk restarts it: the bound keeps a busy map from holding us for ever.
        var steps = 0
        while more, steps <= 2 * shape.maxEntries {
            body(key.span.bytes)
            steps += 1
            more = try nextKey(&key, isFirst: false)
        }
    }

    private func nextKey(_ key: inout [UInt8], isFirst: Bool) throws(BPFError) -> Bool {
        let number = descriptor.number
        let result = key.withUnsafeMutableBytes {
            bpf_map_get_next_key(number, isFirst ? nil : UnsafeRawPointer($0.baseAddress), $0.baseAddress)
        }
        return try found(result, "read map")
    }

    private func forEachSingly(_ body: (borrowing RawSpan, borrowing RawSpan) -> Void) throws(BPFError) {
        var value = [UInt8](repeating: 0, count: transferSize)
        var failure: BPFError?
        try forEachKey { key in
            guard failure == nil else { return }
            do throws(BPFError) {
                var span = value.mutableSpan
                var bytes = span.mutableBytes
                if try lookup(key, into: &bytes) { body(key, bytes.bytes) }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    private func takeSingly(_ body: (borrowing RawSpan, borrowing RawSpan) -> Void) throws(BPFError) {
        var taken: [[UInt8]] = []
        try forEachSingly { key, value in
            body(key, value)
            taken.append(key.withUnsafeBytes { Array($0) })
        }
        for key in taken { try delete(key.span.bytes) }
    }
}

/// A system call that reads a batch of entries.
private typealias BatchRead = (
    Int32, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?,
    UnsafeMutablePointer<UInt32>?, UnsafePointer<bpf_map_batch_opts>?
) -> Int32

/// Room for one batch and the kernel's place in the map.
private struct BatchBuffer {
    var capacity: Int
    var keys: [UInt8]
    var values: [UInt8]
    /// Hash maps keep a bucket number here, the others a key.
    var position: [UInt8]
    var isFirst = true

    init(capacity: Int, keySize: Int, valueSize: Int) {
        self.capacity = capacity
        keys = [UInt8](repeating: 0, count: capacity * keySize)
        values = [UInt8](repeating: 0, count: capacity * valueSize)
        position = [UInt8](repeating: 0, count: max(8, keySize))
    }

    mutating func grow(keySize: Int, valueSize: Int) {
        let (position, isFirst) = (position, isFirst)
        self = BatchBuffer(capacity: capacity * 2, keySize: keySize, valueSize: valueSize)
        self.position = position
        self.isFirst = isFirst
    }

    mutating func fill(_ number: Int32, _ call: BatchRead) -> (result: Int32, count: Int) {
        var count = UInt32(capacity)
        var options = bpf_map_batch_opts()
        options.sz = MemoryLayout<bpf_map_batch_opts>.size
        let isFirst = isFirst
        let result = position.withUnsafeMutableBytes { position in
            keys.withUnsafeMutableBytes { keys in
                values.withUnsafeMutableBytes { values in
                    call(
                        number, isFirst ? nil : position.baseAddress, position.baseAddress, keys.baseAddress,
                        values.baseAddress, &count, &options)
                }
            }
        }
        return (result, min(Int(count), capacity))
    }
}

extension BPFMap {
    /// Returns false when the map's type has no batches.
    private func visit(
        _ operation: String, _ call: BatchRead, _ body: (borrowing RawSpan, borrowing RawSpan) -> Void
    ) throws(BPFError) -> Bool {
        let (keySize, valueSize) = (shape.keySize, transferSize)
        var batch = BatchBuffer(capacity: min(512, max(1, shape.maxEntries)), keySize: keySize, valueSize: valueSize)
        while true {
            let (result, count) = batch.fill(descriptor.number, call)
            switch Errno(rawValue: -result) {
            case .kernelNotSupported, .notSupported:
                return false
            case .noSpace:
                // One hash bucket holds more than the batch; nothing was read.
                batch.grow(keySize: keySize, valueSize: valueSize)
                continue
            case .noEntry:
                lend(batch, count, body)
                return true
            case .interrupted:
                break
            default:
                try checkBPF(result, operation, name)
            }
            lend(batch, count, body)
            batch.isFirst = false
        }
    }

    private func lend(
        _ batch: borrowing BatchBuffer, _ count: Int, _ body: (borrowing RawSpan, borrowing RawSpan) -> Void
    ) {
        let (keySize, valueSize) = (shape.keySize, transferSize)
        let (keys, values) = (batch.keys.span.bytes, batch.values.span.bytes)
        for index in 0..<count {
            body(
                keys.extracting(index * keySize..<(index + 1) * keySize),
                values.extracting(index * valueSize..<(index + 1) * valueSize))
        }
    }
}
