internal import Foundation

/// Lends a TCP port of 127.0.0.1 where nobody listens. It stays one's own until `body` returns: an `HTTPServer` can
/// listen there, and again, and no other socket of the machine gets it in between.
public func withReservedPort<Result>(_ body: (Int) async throws -> Result) async throws -> Result {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw POSIXError(.init(rawValue: errno) ?? .EMFILE) }
    defer { close(descriptor) }
    // A socket that is bound and does not listen refuses connections, and lets one that listens have the same port.
    var reuse: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout.size(ofValue: reuse)))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
    var length = socklen_t(MemoryLayout.size(ofValue: address))
    let status = withUnsafeMutableBytes(of: &address) { bytes -> Int32 in
        guard let name = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress else { return -1 }
        return bind(descriptor, name, length) == 0 ? getsockname(descriptor, name, &length) : -1
    }
    guard status == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EADDRINUSE) }
    return try await body(Int(UInt16(bigEndian: address.sin_port)))
}
