internal import AsyncHTTPClient
internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// Errors of connections in words.
enum TransportProblem {
    static func text(_ error: any Error) -> String {
        switch error {
        case let error as HTTPClientError where error == .connectTimeout: "no connection could be made in time"
        case let error as HTTPClientError where error == .remoteConnectionClosed:
            "the server closed the connection without an answer"
        case let error as NIOConnectionError: text(error)
        case let error as IOError: "\(error)"
        case let error as NIOSSLError: "TLS: \(error)"
        case let error as NIOSSLExtraError: "TLS: \(error)"
        default: "\(error)"
        }
    }

    /// The first of the reasons why the addresses of a name could not be connected to.
    private static func text(_ error: NIOConnectionError) -> String {
        if let failure = error.connectionErrors.first {
            return "\(error.host):\(error.port) could not be connected to: \(failure.error)"
        }
        let lookup = error.dnsAError ?? error.dnsAAAAError
        return "\(error.host) has no address: \(lookup.map { "\($0)" } ?? "the name is not known")"
    }
}
