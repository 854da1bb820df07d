internal import Glibc
internal import SystemPackage

/// A socket's name in the file system, and the socket that it stood for.
struct SocketName: Sendable {
    private let path: String
    private let device: DeviceID
    private let inode: Inode

    /// nil where there is nothing.
    init?(_ path: String) {
        guard let status = try? Stat(path, followTargetSymlink: false) else { return nil }
        self.path = path
        device = status.deviceID
        inode = status.inode
    }

    /// Removes the name, unless it stands for another agent's socket by now.
    func remove() {
        guard let now = SocketName(path), now.device == device, now.inode == inode else { return }
        unlink(path)
    }
}
