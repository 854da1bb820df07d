internal import Datapath
internal import Synchronization

/// What the collector counts, shared with those who tell of it.
final class EvidenceCounters: Sendable {
    struct Counts: Sendable {
        /// Records of the ring whose bytes make no sense.
        var undecodable: UInt64 = 0
        /// DNS answers that the agent read itself and had no room for.
        var lostAnswers: UInt64 = 0
        /// The last look at all connections; nil before the first.
        var scan: ScanSummary?
        /// The node's ports as that look has found them, likewise.
        var ports: PortUse?
        /// Looks at connections or denied packets that failed.
        var failedScans: UInt64 = 0
        /// Ends of connections, and denied packets, that nobody will tell any more.
        var untoldConnections = UntoldCount()
        var untoldDenials = UntoldCount()
    }

    private let state = Mutex(Counts())

    var counts: Counts { state.withLock { $0 } }

    func edit(_ body: (inout Counts) -> Void) { state.withLock { body(&$0) } }
}
