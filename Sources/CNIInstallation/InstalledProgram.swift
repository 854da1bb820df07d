internal import Glibc
internal import SystemPackage

/// The plugin and its copy as they were when they were found to be the same, by what the file system says of them.
///
/// They have megabytes, and are looked at every few seconds.
public struct InstalledProgram: Sendable, Hashable {
    private struct File: Sendable, Hashable {
        let device: DeviceID
        let number: Inode
        let size: Int64
        /// When its content, and what is said of it, changed last, in seconds and nanoseconds.
        let times: [Int]

        init?(_ path: String) {
            guard let found = try? Stat(path) else { return nil }
            device = found.deviceID
            number = found.inode
            size = found.size
            times = [
                found.st_mtim.tv_sec, found.st_mtim.tv_nsec, found.st_ctim.tv_sec, found.st_ctim.tv_nsec,
            ]
        }
    }

    private let program: File
    private let copy: File

    /// nil where one of them can't be looked at.
    init?(program: String, copy: String) {
        guard let first = File(program), let second = File(copy) else { return nil }
        self.program = first
        self.copy = second
    }
}
