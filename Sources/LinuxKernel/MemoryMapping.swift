internal import CLinux
internal import Glibc

/// A memory mapping with one owner; it is unmapped when the owner goes away.
///
/// The memory is shared with the kernel or with other processes, so what is read may change at any time:
/// callers copy or load it, and never hold references into it across calls.
public struct MemoryMapping: ~Copyable, @unchecked Sendable {
    /// What the mapping allows.
    public enum Access: Sendable {
        case readOnly
        case readWrite
    }

    /// The first byte, for code of this package.
    package let base: UnsafeMutableRawPointer
    /// The size in bytes.
    public let size: Int

    /// Maps `size` bytes of a file, shared, from `offset` (a multiple of the page size).
    public init(
        of file: borrowing FileDescriptor, size: Int, offset: Int = 0, access: Access
    ) throws(KernelError) {
        let protection = access == .readOnly ? PROT_READ : PROT_READ | PROT_WRITE
        var address: UnsafeMutableRawPointer?
        try check(
            clinux_mmap(size, protection, MAP_SHARED, file.number, off_t(offset), &address), "map memory")
        guard let address else {
            throw KernelError(operation: "map memory", errno: .badAddress)
        }
        self.base = address
        self.size = size
    }

    deinit { _ = clinux_munmap(base, size) }

    /// The size of a page in bytes.
    public static let pageSize = Int(clinux_page_size())
}
