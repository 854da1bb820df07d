internal import DatapathABI

/// What of clients outside is answered by the backend's node itself.
public struct DirectReturn: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// TCP and SCTP.
    public static let connections = DirectReturn(rawValue: UInt8(APUS_DIRECT_RETURN_CONNECTIONS))
    public static let datagrams = DirectReturn(rawValue: UInt8(APUS_DIRECT_RETURN_DATAGRAMS))
}
