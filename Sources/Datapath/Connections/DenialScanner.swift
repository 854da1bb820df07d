internal import Addressing
internal import BPF
internal import DatapathABI
internal import LinuxKernel

/// Tells of denied packets, and of audited openings, that no later packet makes the data path tell of.
///
/// The data path reports a denied flow at most once in an interval, and what comes after that report with the next packet
/// after the interval. When none comes, the rest waits in `denials` for this scanner.
public struct DenialScanner: ~Copyable, Sendable {
    private let denials: BPFMap
    /// Nanoseconds in which a denied flow is reported at most once.
    private let interval: UInt64

    /// Opens the pinned map under `<bpffs>/maps`.
    ///
    /// - Parameter interval: nanoseconds, as the data path was loaded with.
    public init(bpffs: String, interval: UInt64) throws(MapError) {
        let denials: BPFMap
        do throws(BPFError) {
            denials = try BPFMap.open(pinned: PinDirectory(root: bpffs).map(PinnedMap.denials.rawValue))
        } catch {
            throw MapError(error)
        }
        self.init(denials: denials, interval: interval)
    }

    init(denials: consuming BPFMap, interval: UInt64) {
        self.denials = denials
        self.interval = interval
    }

    /// Takes what has waited for the interval and lends it to `body` as events of the time `now`, which is in nanoseconds
    /// of the monotonic clock. They don't say which endpoints the ends are.
    ///
    /// An entry whose bytes make no sense stays where `apus map dump denials` shows it.
    /// - Returns: how many packets go on waiting.
    @discardableResult
    public func scan(now: UInt64, _ body: (DatapathEvent) -> Void) throws(MapError) -> UInt64 {
        var failure: BPFError?
        var waiting: UInt64 = 0
        do throws(BPFError) {
            try denials.forEachEntry { key, value in
                guard failure == nil, let entry = RawDenial(key, value) else { return }
                guard entry.isDue(now, interval) else {
                    waiting &+= entry.value.packets
                    return
                }
                do throws(BPFError) {
                    if let event = try take(entry, now) { body(event) }
                } catch { failure = error }
            }
            if let failure { throw failure }
        } catch {
            throw MapError(error)
        }
        return waiting
    }

    /// Takes the packets of an entry out of the map; nil when the data path was faster, or the entry makes no sense.
    private func take(_ entry: RawDenial, _ now: UInt64) throws(BPFError) -> DatapathEvent? {
        guard (try? DatapathEvent(entry, time: now)) != nil,
            let value = try denials.lookupAndDelete(entry.key, as: apus_denial.self)
        else { return nil }
        // The interval begins anew: without an entry the next packet would be reported at once.
        var rest = value
        (rest.reported_ns, rest.packets, rest.bytes) = (now, 0, 0)
        do throws(BPFError) {
            try denials.update(entry.key, rest, rule: .onlyNew)
        } catch  where error.errno == .exists {}  // the next packet came between the two calls, and was reported
        if value.packets == 0 { return nil }
        return try? DatapathEvent(RawDenial(key: entry.key, value: value), time: now)
    }
}

/// An entry as the map holds it.
struct RawDenial {
    let key: apus_denial_key
    let value: apus_denial

    init(key: apus_denial_key, value: apus_denial) {
        self.key = key
        self.value = value
    }

    /// Nil when the map's keys or values have another length.
    init?(_ key: borrowing RawSpan, _ value: borrowing RawSpan) {
        guard key.byteCount == MemoryLayout<apus_denial_key>.size, value.byteCount == MemoryLayout<apus_denial>.size
        else { return nil }
        // Integers only: every pattern of bits is a value.
        self.init(
            key: key.unsafeLoadUnaligned(as: apus_denial_key.self),
            value: value.unsafeLoadUnaligned(as: apus_denial.self))
    }

    fileprivate func isDue(_ now: UInt64, _ interval: UInt64) -> Bool {
        value.packets > 0 && now > value.reported_ns && now - value.reported_ns >= interval
    }
}

extension DatapathEvent {
    /// What an entry of `denials` holds, as the data path would report it.
    init(_ denial: RawDenial, time: UInt64) throws(RecordError) {
        let (key, value) = (denial.key, denial.value)
        guard let direction = TrafficDirection(rawValue: key.direction) else {
            throw RecordError(.unknown(field: .direction, key.direction))
        }
        guard let reason = DropReason(rawValue: key.reason) else {
            throw RecordError(.unknown(field: .reason, key.reason))
        }
        let tuple = FlowTuple(
            source: SocketAddress(key.source.address, value.source_port.bigEndian),
            destination: SocketAddress(key.destination.address, key.destination_port.bigEndian),
            ipProtocol: IPProtocol(rawValue: key.protocol))
        self.init(kind: key.audited == 0 ? .denied : .audited, time: time, tuple: tuple, direction: direction)
        self.reason = reason
        frontend = SocketAddress(frontend: value.frontend, value.frontend_port)
        tcpFlags = UInt8(truncatingIfNeeded: value.tcp_flags)
        icmp = ICMPTypeAndCode(tuple.ipProtocol, type: value.icmp_type, code: value.icmp_code)
        count = UInt32(clamping: value.packets)
        let sent = TrafficCount(packets: value.packets, bytes: value.bytes)
        if value.answers == 0 { forward = sent } else { reverse = sent }
        let decision = PolicyDecision(abiPolicy: value.policy, rule: value.rule)
        if direction == .egress { egress = decision } else { ingress = decision }
    }
}
