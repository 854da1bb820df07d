internal import Addressing
internal import BPF
internal import DatapathABI
internal import LinuxKernel

/// What a scan found out about a connection.
public enum ConnectionFinding: Sendable, Hashable {
    /// It expired without the data path reporting its end, and its entry is deleted.
    case expired(ConnectionRecord, Ending)
    /// It lives, and its age passed a multiple of the report interval since the last scan.
    case active(ConnectionRecord)
}

/// What a scan did.
public struct ScanSummary: Sendable, Hashable {
    /// Entries seen in `connections` and in `half_open`.
    public var established = 0
    public var halfOpen = 0
    /// Entries that stay and whose end was not reported; one that moved to the other map meanwhile may count twice.
    public var live = 0
    /// Entries deleted, those whose end was reported before included.
    public var deleted = 0
    /// Entries that were expired when they were read, but had a packet before they were deleted.
    public var revived = 0
    /// Entries whose bytes make no sense.
    public var unreadable = 0
    /// How many of the node's ports live connections have towards each destination.
    public var portsInUse: [PortDestination: Int] = [:]

    public init() {}
}

/// Reads the connections from time to time: deletes what expired and reports what lives long.
///
/// It remembers nothing about single connections, only when it looked last.
public struct ConnectionScanner: ~Copyable, Sendable {
    private let established: BPFMap
    private let halfOpen: BPFMap
    private let timeouts: DatapathTimeouts
    /// Nanoseconds between two reports of a live connection.
    private let interval: UInt64
    private var lastScan: UInt64?

    /// Opens the pinned maps under `<bpffs>/maps`.
    ///
    /// - Parameters:
    ///   - timeouts: what the data path was loaded with.
    ///   - interval: nanoseconds between two reports of a live connection.
    public init(
        bpffs: String, timeouts: DatapathTimeouts = DatapathTimeouts(), interval: UInt64 = 60_000_000_000
    ) throws(MapError) {
        // Both or none: the compiler destroys no half-made value.
        let established = try Self.open(.connections, bpffs)
        let halfOpen = try Self.open(.halfOpen, bpffs)
        self.init(established: established, halfOpen: halfOpen, timeouts: timeouts, interval: interval)
    }

    init(
        established: consuming BPFMap, halfOpen: consuming BPFMap, timeouts: DatapathTimeouts, interval: UInt64
    ) {
        self.established = established
        self.halfOpen = halfOpen
        self.timeouts = timeouts
        self.interval = max(1, interval)
    }

    private static func open(_ map: PinnedMap, _ bpffs: String) throws(MapError) -> BPFMap {
        do throws(BPFError) {
            return try BPFMap.open(pinned: PinDirectory(root: bpffs).map(map.rawValue))
        } catch {
            throw MapError(error)
        }
    }

    /// Looks at every connection once and lends what it finds to `body`; `now` is in nanoseconds of the monotonic
    /// clock. The first scan reports no live connections.
    @discardableResult
    public mutating func scan(now: UInt64, _ body: (ConnectionFinding) -> Void) throws(MapError) -> ScanSummary {
        var summary = ScanSummary()
        let window = ScanWindow(last: lastScan, now: now, interval: interval, timeouts: timeouts)
        do throws(BPFError) {
            // What is answered meanwhile moves to the other map: in this order it is seen at least once.
            summary.halfOpen = try Self.scan(halfOpen, isHalfOpen: true, window, &summary, body)
            summary.established = try Self.scan(established, isHalfOpen: false, window, &summary, body)
        } catch {
            throw MapError(error)
        }
        lastScan = now
        return summary
    }

    /// Returns how many entries it saw.
    private static func scan(
        _ map: borrowing BPFMap, isHalfOpen: Bool, _ window: ScanWindow, _ summary: inout ScanSummary,
        _ body: (ConnectionFinding) -> Void
    ) throws(BPFError) -> Int {
        var count = 0
        var failure: BPFError?
        try map.forEachEntry { key, value in
            count += 1
            guard failure == nil else { return }
            guard let raw = RawConnection(key, value, isHalfOpen: isHalfOpen) else {
                summary.unreadable += 1
                summary.live += 1
                return
            }
            do throws(BPFError) { try examine(raw, in: map, window, &summary, body) } catch { failure = error }
        }
        if let failure { throw failure }
        return count
    }

    private static func examine(
        _ raw: RawConnection, in map: borrowing BPFMap, _ window: ScanWindow, _ summary: inout ScanSummary,
        _ body: (ConnectionFinding) -> Void
    ) throws(BPFError) {
        let judgement = window.judge(raw)
        if judgement != .expire, let destination = raw.portDestination {
            summary.portsInUse[destination, default: 0] += 1
        }
        if judgement != .expire, !raw.value.has(APUS_CONNECTION_CLOSED) { summary.live += 1 }
        switch judgement {
        case .leave: break
        case .report:
            if let record = raw.record { body(.active(record)) } else { summary.unreadable += 1 }
        case .expire:
            guard let last = try map.remove(raw) else {
                summary.revived += 1
                summary.live += 1
                return
            }
            summary.deleted += 1
            if last.value.has(APUS_CONNECTION_CLOSED) { return }
            if let record = last.record {
                body(.expired(record, record.endingWhenExpired))
            } else {
                summary.unreadable += 1
            }
        }
    }
}

/// An entry as the map holds it.
private struct RawConnection {
    let key: apus_connection_key
    let value: apus_connection
    /// Which of the two maps it is in.
    let isHalfOpen: Bool

    var isUnanswered: Bool { isHalfOpen || value.has(APUS_CONNECTION_UNANSWERED) }

    init(key: apus_connection_key, value: apus_connection, isHalfOpen: Bool) {
        self.key = key
        self.value = value
        self.isHalfOpen = isHalfOpen
    }

    /// Nil when the map's keys or values have another length.
    init?(_ key: borrowing RawSpan, _ value: borrowing RawSpan, isHalfOpen: Bool) {
        guard key.byteCount == MemoryLayout<apus_connection_key>.size,
            value.byteCount == MemoryLayout<apus_connection>.size
        else { return nil }
        // Integers only: every pattern of bits is a value.
        self.init(
            key: key.unsafeLoadUnaligned(as: apus_connection_key.self),
            value: value.unsafeLoadUnaligned(as: apus_connection.self), isHalfOpen: isHalfOpen)
    }

    /// Where to it has a port of the node; nil where it has none, or does not need it any more.
    var portDestination: PortDestination? {
        guard value.source_port != 0, !value.has(APUS_CONNECTION_CLOSED) else { return nil }
        let other =
            value.opener == 1
            ? SocketAddress(key.low.address, key.low_port.bigEndian)
            : SocketAddress(key.high.address, key.high_port.bigEndian)
        return PortDestination(IPProtocol(rawValue: key.protocol), other)
    }

    /// Decoded only when it is reported; nil when its bytes make no sense.
    var record: ConnectionRecord? { try? ConnectionRecord(key, value, isHalfOpen: isHalfOpen) }
}

/// What one scan needs to know to judge an entry.
private struct ScanWindow {
    enum Judgement { case leave, report, expire }

    let last: UInt64?
    let now: UInt64
    let interval: UInt64
    let timeouts: DatapathTimeouts

    func judge(_ raw: RawConnection) -> Judgement {
        let value = raw.value
        if timeouts.isOver(value, raw.key.protocol, isHalfOpen: raw.isHalfOpen, now: now) { return .expire }
        guard let last, !raw.isUnanswered, !value.has(APUS_CONNECTION_CLOSED) else { return .leave }
        // An idle connection has nothing new to report.
        guard now < value.last_seen_ns &+ interval else { return .leave }
        return periods(from: value.opened_ns, to: now) > periods(from: value.opened_ns, to: last) ? .report : .leave
    }

    /// Whole report intervals between two times.
    private func periods(from start: UInt64, to end: UInt64) -> UInt64 { end > start ? (end - start) / interval : 0 }
}

extension DatapathTimeouts {
    /// Whether a connection had no packet for so long that the next one opens it anew.
    ///
    /// - Parameter isHalfOpen: whether it is in the map of those.
    func isOver(_ connection: apus_connection, _ ipProtocol: UInt8, isHalfOpen: Bool, now: UInt64) -> Bool {
        connection.isSilent(for: timeout(connection, ipProtocol, isHalfOpen: isHalfOpen), at: now)
    }

    private func timeout(_ connection: apus_connection, _ ipProtocol: UInt8, isHalfOpen: Bool) -> UInt64 {
        if connection.has(APUS_CONNECTION_CLOSED) { return closing }
        if isHalfOpen || connection.has(APUS_CONNECTION_UNANSWERED) { return halfOpen }
        return answered(IPProtocol(rawValue: ipProtocol))
    }
}

extension BPFMap {
    /// Deletes an expired entry and returns what it held; nil when it is gone or had a packet since it was read.
    fileprivate func remove(_ raw: RawConnection) throws(BPFError) -> RawConnection? {
        guard let current = try lookup(raw.key, as: apus_connection.self), current.isUnchanged(since: raw.value),
            let taken = try lookupAndDelete(raw.key, as: apus_connection.self)
        else { return nil }
        if taken.isUnchanged(since: raw.value) {
            return RawConnection(key: raw.key, value: taken, isHalfOpen: raw.isHalfOpen)
        }
        // A packet came between the two calls: put it back, unless the next packet opened it anew by now.
        do throws(BPFError) {
            try update(raw.key, taken, rule: .onlyNew)
        } catch  where error.errno == .exists {}
        return nil
    }
}

extension apus_connection {
    /// Whether it had no packet for longer than so many nanoseconds.
    func isSilent(for time: UInt64, at now: UInt64) -> Bool { now > last_seen_ns && now - last_seen_ns > time }

    fileprivate func isUnchanged(since other: apus_connection) -> Bool {
        last_seen_ns == other.last_seen_ns && opened_ns == other.opened_ns
    }
}
