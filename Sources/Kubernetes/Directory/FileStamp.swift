internal import Glibc
internal import SystemPackage

/// What tells cheaply that a file has not been written since it was read.
struct FileStamp: Sendable, Hashable {
    struct Failure: Error {
        let code: Int32
    }

    private var device: UInt64 = 0
    private var inode: UInt64 = 0
    private var size: Int64 = 0
    private var modified: Int64 = 0
    private var changed: Int64 = 0
    /// When the stamp was taken, in nanoseconds of the wall clock that also stamps files.
    private var takenAt: Int64 = 0

    /// The stamp of a file that could not be read: no file is like it.
    static let unknown = FileStamp()

    /// Whether the file was not empty.
    var hasText: Bool { size > 0 }

    /// The stamp of the file that a path leads to over symbolic links; nil for anything but a regular file.
    static func read(_ path: String) -> Result<FileStamp?, Failure> {
        let now = nanoseconds(Self.now())
        let status: Stat
        do { status = try Stat(path) } catch { return .failure(Failure(code: error.rawValue)) }
        guard status.type == .regular else { return .success(nil) }
        var stamp = FileStamp()
        stamp.device = UInt64(status.deviceID.rawValue)
        stamp.inode = UInt64(status.inode.rawValue)
        stamp.size = status.size
        stamp.modified = nanoseconds(status.st_mtim)
        stamp.changed = nanoseconds(status.st_ctim)
        stamp.takenAt = now
        return .success(stamp)
    }

    /// Where a symbolic link leads, as it says itself; nil for anything else.
    static func linkTarget(_ path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Whether the two are of the same file in the same state, as far as the stamps go.
    func isSameFile(as other: FileStamp) -> Bool {
        device == other.device && inode == other.inode && size == other.size && modified == other.modified
            && changed == other.changed
    }

    /// Whether a file with the stamp `newer` surely has the text it had at this stamp.
    ///
    /// A file system stamps with the clock of its last tick (10 ms at most), so a write right after the reading may
    /// leave no trace: only a file that had been left alone for a second counts.
    func stillHolds(_ newer: FileStamp) -> Bool {
        isSameFile(as: newer) && takenAt - changed > 1_000_000_000
    }

    /// The words of an error number.
    static func reason(errno code: Int32) -> String {
        "can't be read: " + String(cString: strerror(code))
    }

    private static func now() -> timespec {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
