internal import DatapathABI

/// As what an address is trusted to teach names.
public struct ResolverTrust: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// What comes from the address itself is believed.
    public static let peer = ResolverTrust(rawValue: APUS_RESOLVER_PEER.rawValue)
    /// What comes from the backends of a Service that has the address is believed.
    public static let frontend = ResolverTrust(rawValue: APUS_RESOLVER_FRONTEND.rawValue)

    /// `trusted`, and as what.
    var text: String {
        switch self {
        case [.peer, .frontend]: "trusted, and the backends of its Service"
        case .frontend: "the backends of its Service are trusted"
        default: "trusted"
        }
    }
}
