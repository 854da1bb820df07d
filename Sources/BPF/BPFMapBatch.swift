internal import CLibBPF
internal import LinuxKernel

/// Many entries per system call.
extension BPFMap {
    /// Writes entries, one system call for all where the map's type allows it.
    ///
    /// The entries before the one that fails stay written; the error's detail says how many those are.
    public func update<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        keys: [Key], values: [Value], rule: BPFUpdateRule = .any
    ) throws(BPFError) {
        try requireSizes(key: MemoryLayout<Key>.size, value: MemoryLayout<Value>.size, "update map")
        guard keys.count == values.count else {
            throw BPFError(
                operation: "update map", errno: .invalid, detail: "\(name) (\(keys.count) keys, \(values.count) values)"
            )
        }
        guard !keys.isEmpty else { return }
        if MemoryLayout<Key>.isDense, MemoryLayout<Value>.isDense, try updateTogether(keys, values, rule) { return }
        for index in keys.indices { try update(keys[index], values[index], rule: rule) }
    }

    /// Removes keys, one system call for all where the map's type allows it. Returns how many were there.
    @discardableResult
    public func delete<Key: BitwiseCopyable>(keys: [Key]) throws(BPFError) -> Int {
        try requireSizes(key: MemoryLayout<Key>.size, "delete from map")
        if MemoryLayout<Key>.isDense, let count = try deleteTogether(keys) { return count }
        var count = 0
        for key in keys where try delete(key) { count += 1 }
        return count
    }

    /// Writes entries that lie one behind the other, in order, and stops at the first that fails.
    ///
    /// - Parameters:
    ///   - keys: the keys, each of the map's key size.
    ///   - values: as many values, each of the map's value size.
    /// - Returns: how many were written, and why the next one was not.
    public func update(
        packedKeys keys: borrowing RawSpan, packedValues values: borrowing RawSpan, rule: BPFUpdateRule = .any
    ) -> (written: Int, failure: BPFError?) {
        let total = keys.byteCount / max(1, shape.keySize)
        guard total * shape.keySize == keys.byteCount, total * shape.valueSize == values.byteCount else {
            return (0, BPFError(operation: "update map", errno: .invalid, detail: "\(name) (sizes of keys and values)"))
        }
        guard total > 0 else { return (0, nil) }
        var options = bpf_map_batch_opts()
        options.sz = MemoryLayout<bpf_map_batch_opts>.size
        options.elem_flags = rule.rawValue
        var count = UInt32(total)
        let number = descriptor.number
        let result = keys.withUnsafeBytes { keys in
            values.withUnsafeBytes {
                bpf_map_update_batch(number, keys.baseAddress, $0.baseAddress, &count, &options)
            }
        }
        if result.isUnsupported { return updateSingly(keys, values, total, rule) }
        do throws(BPFError) {
            try checkBPF(result, "update map", name)
            return (total, nil)
        } catch {
            return (min(Int(count), total), error)
        }
    }

    private func updateSingly(
        _ keys: borrowing RawSpan, _ values: borrowing RawSpan, _ total: Int, _ rule: BPFUpdateRule
    ) -> (written: Int, failure: BPFError?) {
        for index in 0..<total {
            do throws(BPFError) {
                try update(
                    keys.extracting(index * shape.keySize..<(index + 1) * shape.keySize),
                    values.extracting(index * shape.valueSize..<(index + 1) * shape.valueSize), rule: rule)
            } catch {
                return (index, error)
            }
        }
        return (total, nil)
    }

    private func updateTogether<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ keys: [Key], _ values: [Value], _ rule: BPFUpdateRule
    ) throws(BPFError) -> Bool {
        var options = bpf_map_batch_opts()
        options.sz = MemoryLayout<bpf_map_batch_opts>.size
        options.elem_flags = rule.rawValue
        var count = UInt32(keys.count)
        let number = descriptor.number
        let result = keys.withUnsafeBytes { keys in
            values.withUnsafeBytes {
                bpf_map_update_batch(number, keys.baseAddress, $0.baseAddress, &count, &options)
            }
        }
        if result.isUnsupported { return false }
        try checkBPF(result, "update map", "\(name) (after \(count) of \(keys.count))")
        return true
    }

    /// Nil when the map's type can't.
    private func deleteTogether<Key: BitwiseCopyable>(_ keys: [Key]) throws(BPFError) -> Int? {
        var options = bpf_map_batch_opts()
        options.sz = MemoryLayout<bpf_map_batch_opts>.size
        let number = descriptor.number
        var (next, deleted) = (0, 0)
        while next < keys.count {
            var count = UInt32(keys.count - next)
            let result = keys[next...].withUnsafeBytes {
                bpf_map_delete_batch(number, $0.baseAddress, &count, &options)
            }
            if result.isUnsupported { return nil }
            deleted += Int(count)
            next += Int(count)
            // The kernel stops at a key that is not there; step over it.
            if result == -Errno.noEntry.rawValue { next += 1 } else { try checkBPF(result, "delete from map", name) }
        }
        return deleted
    }
}

extension MemoryLayout where T: BitwiseCopyable {
    /// Whether an array of the type is what the kernel takes for many: no bytes between the elements.
    fileprivate static var isDense: Bool { size == stride }
}

extension Int32 {
    fileprivate var isUnsupported: Bool {
        self == -Errno.kernelNotSupported.rawValue || self == -Errno.notSupported.rawValue
    }
}
