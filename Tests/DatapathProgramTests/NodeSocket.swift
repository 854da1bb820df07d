internal import Glibc
internal import TestSupport

/// A socket of this process, on a port that the kernel chose, for both families.
struct NodeSocket: ~Copyable {
    private let descriptor: Int32
    let port: UInt16

    init(_ transport: Transport) throws {
        let descriptor = socket(AF_INET6, Int32((transport == .tcp ? SOCK_STREAM : SOCK_DGRAM).rawValue), 0)
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0 && getsockname(descriptor, generic, &length) == 0
            }
        }
        guard isBound, transport == .udp || listen(descriptor, 1) == 0 else {
            close(descriptor)
            throw LabError("listen", "errno \(errno)")
        }
        self.descriptor = descriptor
        port = UInt16(bigEndian: address.sin6_port)
    }

    deinit { close(descriptor) }
}
