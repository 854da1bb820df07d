internal import CLibBPF
internal import LinuxKernel

extension BPFObject {
    /// Sets a `const volatile` variable before `load`, so that the verifier sees it as a constant.
    ///
    /// The variable is found by name in the object's type information, and its size must be the value's.
    public mutating func setConstant<Value: BitwiseCopyable>(_ name: String, to value: Value) throws(BPFError) {
        let range = try variable(name)
        guard range.count == MemoryLayout<Value>.size else {
            throw BPFError(
                operation: "set constant", errno: .invalid,
                detail: "\(name) (value of \(MemoryLayout<Value>.size) bytes, not \(range.count))")
        }
        var size = 0
        guard let section = bpf_map__initial_value(try find(map: ".rodata"), &size), range.upperBound <= size else {
            throw BPFError(operation: "set constant", errno: .outOfRange, detail: name)
        }
        // libbpf hands out the section's own memory as const, but before `load` it is there to be written.
        UnsafeMutableRawPointer(mutating: section).storeBytes(of: value, toByteOffset: range.lowerBound, as: Value.self)
    }

    /// BTF_KIND_DATASEC (include/uapi/linux/btf.h), which the C header names twice, so that Swift can't tell which.
    private static let sectionKind: UInt32 = 15

    /// Where a variable lies in `.rodata`.
    private func variable(_ name: String) throws(BPFError) -> Range<Int> {
        guard let types = bpf_object__btf(handle) else {
            throw BPFError(operation: "find constant", errno: .noEntry, detail: "\(name) (no type information)")
        }
        let section = btf__find_by_name_kind(types, ".rodata", Self.sectionKind)
        guard section > 0, let type = btf__type_by_id(types, UInt32(section)), let entries = btf_var_secinfos(type)
        else {
            throw BPFError(operation: "find constant", errno: .noEntry, detail: "\(name) (no .rodata)")
        }
        for entry in UnsafeBufferPointer(start: entries, count: Int(btf_vlen(type))) {
            guard let variable = btf__type_by_id(types, entry.type),
                let text = btf__name_by_offset(types, variable.pointee.name_off), String(cString: text) == name
            else { continue }
            return Int(entry.offset)..<Int(entry.offset) + Int(entry.size)
        }
        throw BPFError(operation: "find constant", errno: .noEntry, detail: name)
    }
}
