internal import Addressing
internal import Glibc
internal import HubbleAPI
internal import Synchronization

/// What a server says of itself and its node.
struct HubbleNodeDescription: Sendable {
    let name: String
    let version: String
    /// Where it listens.
    let place: String
    /// Whether it listens on all addresses, so that the place is no address to connect to.
    var isEverywhere: Bool
    /// Of that address; nil for a path.
    var port: Port?
    var usesTLS: Bool
    let started: UInt64

    /// Nanoseconds since 1970.
    var now: UInt64 { Self.now() }

    /// Nanoseconds since the start.
    var uptime: UInt64 {
        let now = now
        return now > started ? now - started : 0
    }

    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// What the servers have sent, for metrics.
public final class HubbleCounters: Sendable {
    /// The counts at one time.
    public struct Counts: Sendable, Equatable {
        /// Streams of flows that are open.
        public var streams = 0
        /// Flows sent.
        public var flows: UInt64 = 0
        /// Records that streams told to be missing, wherever they went missing.
        public var lost: UInt64 = 0
        /// How often a certificate or key that was to be read again could not be used.
        public var failedCertificates: UInt64 = 0
    }

    private let counts = Mutex(Counts())

    public init() {}

    public var current: Counts { counts.withLock { $0 } }

    func failedToReadCertificate() { counts.withLock { $0.failedCertificates += 1 } }

    func opened() { counts.withLock { $0.streams += 1 } }

    func closed() { counts.withLock { $0.streams -= 1 } }

    func sent(_ record: HubbleGetFlowsResponse) {
        counts.withLock { counts in
            if case .lostEvents(let loss) = record.responseTypes {
                counts.lost += loss.numEventsLost
            } else {
                counts.flows += 1
            }
        }
    }
}
