internal import Glibc
internal import SystemPackage

/// The socket that an agent left which is not there any more.
public enum StaleSocket {
    /// Removes the name of a socket on which nobody listens. A socket in use, and what is no socket, stays.
    /// - Returns: whether there was one.
    public static func remove(_ path: String) -> Bool {
        _ = removeOne(path + ".new")
        return removeOne(path)
    }

    private static func removeOne(_ path: String) -> Bool {
        guard let status = try? Stat(path, followTargetSymlink: false), status.type == .socket, isDeserted(path) else {
            return false
        }
        return unlink(path) == 0
    }

    /// Whether a connection is refused: nobody listens.
    private static func isDeserted(_ path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return result != 0 && errno == ECONNREFUSED
    }
}
