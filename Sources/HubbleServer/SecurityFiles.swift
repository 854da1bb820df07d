internal import Glibc

extension HubbleServer {
    /// Fails where a file can't be read.
    static func readable(_ path: String, _ flag: String) throws(HubbleServerError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw HubbleServerError(
                description: "--\(flag): \(path) can't be read: \(String(cString: strerror(errno)))")
        }
        close(descriptor)
    }
}
