internal import Glibc

/// A socket's name in the file system, and the socket that it stood for.
struct SocketName: Sendable {
    private let path: String
    private let device: UInt
    private let inode: UInt

    /// nil where there is nothing.
    init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.path = path
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
    }

    /// Removes the name, unless it stands for another agent's socket by now.
    func remove() {
        guard let now = SocketName(path), now.device == device, now.inode == inode else { return }
        unlink(path)
    }
}
