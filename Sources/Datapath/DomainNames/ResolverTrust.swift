internal import DatapathABI

/// As what an address is trusted to teach names.
public struct ResolverTrust: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// What comes from the address itself is believed.
    public static let peer = ResolverTrust(rawValue: APUS_RESOLVER_PEER.rawValue)
    /// What comes from the backends of a Service that has the address is believed, of those that are ``backend`` or
    /// ``peer``.
    public static let frontend = ResolverTrust(rawValue: APUS_RESOLVER_FRONTEND.rawValue)
    /// What comes from the address is believed where a ``frontend`` was asked: such a Service leads to it.
    public static let backend = ResolverTrust(rawValue: APUS_RESOLVER_BACKEND.rawValue)

    /// `trusted`, and as what.
    var text: String {
        let parts = [
            contains(.peer) ? "trusted" : nil,
            contains(.frontend) ? "the backends of its Service are trusted" : nil,
            contains(.backend) ? "trusted behind a resolvers' Service" : nil,
        ]
        return parts.compactMap { $0 }.joined(separator: ", ")
    }
}
