internal import CLinux
internal import Glibc

/// A file descriptor with one owner; it is closed when the owner goes away.
public struct FileDescriptor: ~Copyable, Sendable {
    /// The number, for system calls of this package.
    package let number: Int32

    /// Takes over an open descriptor.
    package init(owning number: Int32) { self.number = number }

    deinit { _ = clinux_close(number) }

    /// A second descriptor for the same open file.
    public func duplicate() throws(KernelError) -> FileDescriptor {
        try LinuxKernel.duplicate(number)
    }

    /// Takes the lock of the open file (flock) until it is closed. Returns whether nobody else has it.
    public func lock() throws(KernelError) -> Bool {
        let result = clinux_lock(number)
        if result == -EWOULDBLOCK { return false }
        try check(result, "lock")
        return true
    }

    /// Opens a file for reading.
    public static func openFile(_ path: String) throws(KernelError) -> FileDescriptor {
        FileDescriptor(owning: try check(clinux_open(path, O_RDONLY, 0), "open", path))
    }

    /// Opens a directory, for example a cgroup to attach to.
    public static func openDirectory(_ path: String) throws(KernelError) -> FileDescriptor {
        FileDescriptor(owning: try check(clinux_open(path, O_RDONLY | O_DIRECTORY, 0), "open directory", path))
    }

    /// The number of descriptors that this process has open, for leak checks and metrics.
    public static func openCount() throws(KernelError) -> Int {
        guard let directory = opendir("/proc/self/fd") else {
            throw KernelError(operation: "open directory", errno: Errno(rawValue: errno), detail: "/proc/self/fd")
        }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) {
            if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
        }
        // The scan itself holds one.
        return count - 1
    }
}

/// A new owner for the open file behind a descriptor that a library keeps.
package func duplicate(_ number: Int32) throws(KernelError) -> FileDescriptor {
    FileDescriptor(owning: try check(clinux_duplicate(number), "duplicate a descriptor"))
}

/// Removes a file or a pin; one that is gone already is no error. Returns whether it was there.
@discardableResult
public func removeFile(_ path: String) throws(KernelError) -> Bool {
    let result = clinux_unlink(path)
    if result == -ENOENT { return false }
    try check(result, "remove", path)
    return true
}

/// Reads a whole file, for files of /proc and /sys whose size is not known before.
package func readFile(_ path: String) throws(KernelError) -> [UInt8] {
    let file = try FileDescriptor.openFile(path)
    var contents: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while true {
        let count = chunk.withUnsafeMutableBytes { clinux_read(file.number, $0.baseAddress, $0.count) }
        if count == -Int(EINTR) { continue }
        try check(count, "read", path)
        if count == 0 { return contents }
        contents.append(contentsOf: chunk[..<count])
    }
}
