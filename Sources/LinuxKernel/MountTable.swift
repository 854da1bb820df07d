internal import CLinux

/// One line of /proc/self/mounts.
public struct Mount: Sendable, Hashable {
    public let source: String
    public let path: String
    public let type: String
    public let options: [Substring]
}

/// What is mounted in this process's mount namespace.
public struct MountTable: Sendable {
    public let mounts: [Mount]

    /// Reads the table of this process.
    public static func current() throws(KernelError) -> MountTable {
        MountTable(parsing: String(decoding: try readFile("/proc/self/mounts"), as: UTF8.self))
    }

    /// Parses the text of /proc/self/mounts (fstab(5)); lines of another shape are left out.
    public init(parsing text: String) {
        mounts = text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 4 else { return nil }
            return Mount(
                source: Self.unescaped(fields[0]), path: Self.unescaped(fields[1]), type: String(fields[2]),
                options: fields[3].split(separator: ","))
        }
    }

    /// Where the cgroup v2 hierarchy is mounted, nil when it is not.
    public var cgroup2Path: String? { mounts.first { $0.type == "cgroup2" }?.path }

    /// The mount that holds an absolute path: of the longest matching ones the newest.
    public func mount(holding path: String) -> Mount? {
        mounts.reversed().filter { mount in
            mount.path == "/" || path == mount.path || path.hasPrefix(mount.path + "/")
        }.max { $0.path.utf8.count < $1.path.utf8.count }
    }

    /// Undoes the octal escapes for space, tab, newline and backslash.
    private static func unescaped(_ text: Substring) -> String {
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ (48...55).contains($0) }) {
                result.append(digits.reduce(0) { $0 << 3 | ($1 - 48) })
                rest = rest.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// The file system for pins of BPF objects.
public enum BPFFileSystem {
    /// BPF_FS_MAGIC (include/uapi/linux/magic.h).
    private static let magic: Int64 = 0xcafe_4a11

    /// Whether an existing path lies on a bpf file system.
    public static func holds(_ path: String) throws(KernelError) -> Bool {
        var type: Int64 = 0
        try check(clinux_statfs_type(path, &type), "statfs", path)
        return type & 0xffff_ffff == magic
    }

    /// Mounts a new bpf file system on an existing directory.
    public static func mount(at path: String) throws(KernelError) {
        try check(clinux_mount("bpf", path, "bpf", 0, "mode=0700"), "mount a bpf file system on", path)
    }

    /// Unmounts the file system at a path as soon as nobody uses it.
    public static func unmount(_ path: String) throws(KernelError) {
        try check(clinux_unmount(path), "unmount", path)
    }
}

/// Has two files or directories of one file system change places, at once.
public func exchange(_ one: String, _ other: String) throws(KernelError) {
    try check(clinux_exchange(one, other), "exchange", "\(one) and \(other)")
}
