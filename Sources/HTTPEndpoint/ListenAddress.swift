internal import NIOCore

/// Where a server listens, as its flags write it: `:9990`, `127.0.0.1:9879`, `[::1]:9879`.
public struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// The IP address; nil for all of the host, of both families.
    public let host: String?
    public let port: Int

    /// Whether it stands for all addresses of the host.
    public var isEverywhere: Bool { host.map { $0 == "0.0.0.0" || $0 == "::" } ?? true }

    /// Whether only this host itself gets there.
    public var isLoopback: Bool { host.map { $0.hasPrefix("127.") || $0 == "::1" } ?? false }

    /// Parses an address; nil when it is none.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        self.port = Int(port)
        let head = text[..<colon]
        if head.isEmpty {
            host = nil
        } else if head.first == "[", head.last == "]" {
            host = String(head.dropFirst().dropLast())
        } else {
            guard !head.contains(":") else { return nil }
            host = String(head)
        }
        if let host, (try? SocketAddress(ipAddress: host, port: self.port)) == nil { return nil }
    }

    public var description: String {
        guard let host else { return ":\(port)" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
