internal import Glibc
internal import HTTPEndpoint
internal import SystemPackage

/// Why a server can't be started.
public struct HubbleServerError: Error, CustomStringConvertible {
    public let description: String
}

/// A socket that listens before its server runs: an address that is taken is known before anything else is touched.
struct ListeningSocket: ~Copyable {
    /// Where it listens.
    enum Place: Sendable {
        case address(ListenAddress)
        case path(String)
    }

    private let descriptor: Int32
    /// What a path stands for now.
    let file: SocketName?

    init(_ place: Place) throws(HubbleServerError) {
        switch place {
        case .address(let address):
            descriptor = try Self.listen(address)
            file = nil
        case .path(let path):
            descriptor = try Self.listen(path)
            file = SocketName(path)
        }
    }

    deinit { close(descriptor) }

    /// Another descriptor of the same socket, to be given away.
    borrowing func duplicate() throws(HubbleServerError) -> Int {
        let number = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard number >= 0 else {
            throw HubbleServerError(
                description: "can't serve a socket that listens: \(String(cString: strerror(errno)))")
        }
        return Int(number)
    }

    /// The port that it listens on; 0 for a path.
    var port: Int {
        var storage = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let result = withUnsafeMutableBytes(of: &storage) { bytes in
            getsockname(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
        }
        // The port is at the same place in both families' addresses.
        return result == 0 && Int32(storage.sin6_family) != AF_UNIX ? Int(UInt16(bigEndian: storage.sin6_port)) : 0
    }

    private static func listen(_ address: ListenAddress) throws(HubbleServerError) -> Int32 {
        func failure() -> HubbleServerError {
            HubbleServerError(
                description: "can't listen on \(address): \(String(cString: strerror(errno))); end what listens there, "
                    + "or give another address or an empty one with --hubble-address")
        }
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        // "::" takes IPv4 as well.
        for host in address.host.map({ [$0] }) ?? ["::", "0.0.0.0"] {
            guard getaddrinfo(host, "\(address.port)", &hints, &found) == 0, let place = found?.pointee else {
                continue
            }
            defer { freeaddrinfo(found) }
            let descriptor = socket(place.ai_family, place.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
            if descriptor < 0 { continue }
            var (on, off): (Int32, Int32) = (1, 0)
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
            if address.host == nil, place.ai_family == AF_INET6 {
                setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &off, socklen_t(MemoryLayout<Int32>.size))
            }
            if bind(descriptor, place.ai_addr, place.ai_addrlen) == 0, Glibc.listen(descriptor, 128) == 0 {
                return descriptor
            }
            let reason = errno
            close(descriptor)
            errno = reason
            // A kernel without IPv6 has the other one.
            guard reason == EADDRNOTAVAIL || reason == EAFNOSUPPORT else { throw failure() }
        }
        throw failure()
    }

    /// Binds beside the path, sets the mode and renames: the name never stands for a socket with a wrong mode, and a
    /// stale one is replaced in one step.
    private static func listen(_ path: String) throws(HubbleServerError) -> Int32 {
        func failure(_ what: String) -> HubbleServerError {
            HubbleServerError(
                description:
                    "can't listen on \(path): \(what); name another path, or an empty one, with --hubble-socket")
        }
        let temporary = path + ".new"
        guard temporary.utf8.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else {
            throw failure("it is longer than 103 bytes")
        }
        if let status = try? Stat(path, followTargetSymlink: false) {
            guard status.type == .socket else { throw failure("it is no socket") }
            guard !isInUse(path) else { throw failure("somebody listens there") }
        }
        unlink(temporary)
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        let bound = withAddress(temporary) { bind(descriptor, $0, $1) }
        // The mode comes before anybody can connect.
        guard bound == 0, chmod(temporary, 0o660) == 0, Glibc.listen(descriptor, 128) == 0,
            rename(temporary, path) == 0
        else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            unlink(temporary)
            throw failure(reason)
        }
        return descriptor
    }

    /// Whether a connection to a path is accepted.
    private static func isInUse(_ path: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        return withAddress(path) { connect(descriptor, $0, $1) } == 0
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}
