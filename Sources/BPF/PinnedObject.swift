internal import CLibBPF
internal import CLinux
internal import LinuxKernel

/// What a pin can hold; the raw value is how the kernel names its descriptor in /proc (kernel/bpf/syscall.c).
enum PinnedKind: String {
    case map = "anon_inode:bpf-map"
    case program = "anon_inode:bpf-prog"
    case link = "anon_inode:bpf-link"

    /// Opens a pin of this kind; one of another kind is `.invalid`, because the kernel opens them all alike and then
    /// answers questions about the wrong thing.
    func open(_ path: String, readOnly: Bool = false) throws(BPFError) -> FileDescriptor {
        LibraryLog.install()
        let operation = "open pinned \(self)"
        let flags = readOnly ? UInt32(BPF_F_RDONLY) : 0
        let descriptor = FileDescriptor(owning: try checkBPF(clibbpf_object_get(path, flags), operation, path))
        var buffer = [CChar](repeating: 0, count: 64)
        let count = try checkBPF(
            clinux_read_link("/proc/self/fd/\(descriptor.number)", &buffer, buffer.count), operation, path)
        let name = String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard String(name.map { $0 == "_" ? "-" : $0 }).hasSuffix(rawValue.dropFirst(11)) else {
            throw BPFError(operation: operation, errno: .invalid, detail: "\(path) (\(name))")
        }
        return descriptor
    }
}

/// Removes the pin of a map, program or link. Returns whether it was there.
@discardableResult
public func unpin(_ path: String) throws(BPFError) -> Bool {
    try kernel { () throws(KernelError) in try removeFile(path) }
}
