/// After how long without a packet a connection is over, in nanoseconds. The programs have the same as constants.
public struct DatapathTimeouts: Sendable, Hashable {
    /// Nobody has answered yet.
    public var halfOpen: UInt64 = 60_000_000_000
    /// TCP and SCTP that were answered.
    public var established: UInt64 = 8_000_000_000_000
    /// TCP and SCTP after their end, while stragglers may come.
    public var closing: UInt64 = 10_000_000_000
    /// Every other protocol that was answered.
    public var datagram: UInt64 = 60_000_000_000
    /// How long the ports of a first fragment are kept for the later ones.
    public var fragment: UInt64 = 30_000_000_000
    /// How long a question to a resolver waits for its answer: the longest that a client can wait (resolv.conf(5)).
    public var question: UInt64 = 30_000_000_000

    public init() {}
}
