internal import CLibBPF
internal import LinuxKernel

/// Single entries as raw bytes.
extension BPFMap {
    /// Copies the value of a key to `value`, all CPUs' values in per-CPU maps. Returns whether there is one.
    public func lookup(_ key: borrowing RawSpan, into value: inout MutableRawSpan) throws(BPFError) -> Bool {
        try requireSizes(key: key.byteCount, value: value.byteCount, "look up in map")
        let number = descriptor.number
        let result = key.withUnsafeBytes { key in
            value.withUnsafeMutableBytes { bpf_map_lookup_elem(number, key.baseAddress, $0.baseAddress) }
        }
        return try found(result, "look up in map")
    }

    /// Writes the value of a key, all CPUs' values in per-CPU maps.
    public func update(
        _ key: borrowing RawSpan, _ value: borrowing RawSpan, rule: BPFUpdateRule = .any
    ) throws(BPFError) {
        try requireSizes(key: key.byteCount, value: value.byteCount, "update map")
        let number = descriptor.number
        let result = key.withUnsafeBytes { key in
            value.withUnsafeBytes { bpf_map_update_elem(number, key.baseAddress, $0.baseAddress, rule.rawValue) }
        }
        try checkBPF(result, "update map", name)
    }

    /// Removes a key. Returns whether it was there.
    @discardableResult
    public func delete(_ key: borrowing RawSpan) throws(BPFError) -> Bool {
        try requireSizes(key: key.byteCount, "delete from map")
        let number = descriptor.number
        return try found(key.withUnsafeBytes { bpf_map_delete_elem(number, $0.baseAddress) }, "delete from map")
    }

    func found(_ result: Int32, _ operation: String) throws(BPFError) -> Bool {
        if result == -Errno.noEntry.rawValue { return false }
        try checkBPF(result, operation, name)
        return true
    }
}

/// Single entries as trivial types.
extension BPFMap {
    /// The value of a key, nil when there is none.
    public func lookup<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ key: Key, as type: Value.Type = Value.self
    ) throws(BPFError) -> Value? {
        try requireSizes(key: MemoryLayout<Key>.size, value: MemoryLayout<Value>.size, "look up in map")
        let (result, value) = read(key, Value.self) { bpf_map_lookup_elem($0, $1, $2) }
        return try found(result, "look up in map") ? value : nil
    }

    /// Removes a key and returns the value that it had, nil when there was none.
    public func lookupAndDelete<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ key: Key, as type: Value.Type = Value.self
    ) throws(BPFError) -> Value? {
        try requireSizes(key: MemoryLayout<Key>.size, value: MemoryLayout<Value>.size, "take from map")
        let (result, value) = read(key, Value.self) { bpf_map_lookup_and_delete_elem($0, $1, $2) }
        return try found(result, "take from map") ? value : nil
    }

    /// Writes the value of a key.
    public func update<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ key: Key, _ value: Value, rule: BPFUpdateRule = .any
    ) throws(BPFError) {
        try requireSizes(key: MemoryLayout<Key>.size, value: MemoryLayout<Value>.size, "update map")
        let number = descriptor.number
        let result = withUnsafeBytes(of: key) { key in
            withUnsafeBytes(of: value) { bpf_map_update_elem(number, key.baseAddress, $0.baseAddress, rule.rawValue) }
        }
        try checkBPF(result, "update map", name)
    }

    /// Removes a key. Returns whether it was there.
    @discardableResult
    public func delete<Key: BitwiseCopyable>(_ key: Key) throws(BPFError) -> Bool {
        try requireSizes(key: MemoryLayout<Key>.size, "delete from map")
        let number = descriptor.number
        return try found(
            withUnsafeBytes(of: key) { bpf_map_delete_elem(number, $0.baseAddress) }, "delete from map")
    }

    private func read<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ key: Key, _ type: Value.Type,
        _ call: (Int32, UnsafeRawPointer?, UnsafeMutableRawPointer?) -> Int32
    ) -> (result: Int32, value: Value?) {
        let number = descriptor.number
        return withUnsafeBytes(of: key) { key in
            withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { value in
                let result = call(number, key.baseAddress, value.baseAddress)
                return (result, result == 0 ? value.baseAddress?.pointee : nil)
            }
        }
    }
}

/// Maps that hold maps or programs.
extension BPFMap {
    /// Puts a map into a map of maps; programs see it or the one before, never neither. Its number is what `lookup` of
    /// the key gives.
    public func update<Key: BitwiseCopyable>(_ key: Key, toMap inner: borrowing BPFMap) throws(BPFError) {
        guard shape.type == .arrayOfMaps || shape.type == .hashOfMaps else { throw wrongContainer("map") }
        try update(key, inner.descriptor.number)
    }

    /// Puts a program into a program array, for tail calls.
    public func update<Key: BitwiseCopyable>(_ key: Key, toProgram program: borrowing BPFProgram) throws(BPFError) {
        guard shape.type == .programArray else { throw wrongContainer("program") }
        try update(key, program.descriptor.number)
    }

    private func wrongContainer(_ content: String) -> BPFError {
        BPFError(operation: "update map", errno: .invalid, detail: "\(name) (\(shape.type) takes no \(content))")
    }
}

/// Per-CPU maps.
extension BPFMap {
    /// Folds the values that all CPUs have under a key into one; nil when the key is not there.
    public func reducePerCPU<Key: BitwiseCopyable, Value: BitwiseCopyable, Result>(
        _ key: Key, as type: Value.Type, into initial: Result, _ combine: (inout Result, Value) -> Void
    ) throws(BPFError) -> Result? {
        try requirePerCPU(key: MemoryLayout<Key>.size, value: MemoryLayout<Value>.size)
        let (number, stride) = (descriptor.number, Self.stride(shape.valueSize))
        var result = initial
        let status = withUnsafeBytes(of: key) { key in
            withUnsafeTemporaryAllocation(byteCount: transferSize, alignment: 16) { values in
                let status = bpf_map_lookup_elem(number, key.baseAddress, values.baseAddress)
                guard status == 0 else { return status }
                for cpu in 0..<PossibleCPUs.count {
                    combine(&result, values.loadUnaligned(fromByteOffset: cpu * stride, as: Value.self))
                }
                return status
            }
        }
        return try found(status, "look up in map") ? result : nil
    }

    /// The values that all CPUs have under a key, in the order of the CPUs; nil when the key is not there.
    public func lookupPerCPU<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ key: Key, as type: Value.Type = Value.self
    ) throws(BPFError) -> [Value]? {
        try reducePerCPU(key, as: Value.self, into: []) { $0.append($1) }
    }

    /// The sum of the values that all CPUs have under a key, modulo the type's width; nil when it is not there.
    public func lookupSum<Key: BitwiseCopyable, Value: FixedWidthInteger & BitwiseCopyable>(
        _ key: Key, as type: Value.Type = Value.self
    ) throws(BPFError) -> Value? {
        try reducePerCPU(key, as: Value.self, into: 0) { $0 &+= $1 }
    }

    private func requirePerCPU(key: Int, value: Int) throws(BPFError) {
        guard shape.type.isPerCPU, value == shape.valueSize else {
            throw BPFError(
                operation: "look up in map", errno: .invalid,
                detail: "\(name) (per-CPU value of \(value) bytes from \(shape.type) of \(shape.valueSize))")
        }
        try requireSizes(key: key, "look up in map")
    }
}
