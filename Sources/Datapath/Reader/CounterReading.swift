internal import BPF
internal import DatapathABI

/// What the data path counts, summed over all CPUs.
extension DatapathReader {
    /// Drops by reason and direction, those that never happened included.
    public func drops() throws(DatapathReadError) -> [DropCount] {
        let map = try open(.drops)
        return try reading(.drops) { () throws(BPFError) in
            var counts: [DropCount] = []
            for reason in DropReason.allCases {
                for direction in TrafficDirection.allCases {
                    let index = UInt32(reason.rawValue) * 2 + UInt32(direction.rawValue)
                    let sum = try map.reducePerCPU(index, as: apus_drop_counter.self, into: TrafficCount()) {
                        $0.packets &+= $1.packets
                        $0.bytes &+= $1.bytes
                    }
                    counts.append(DropCount(reason: reason, direction: direction, dropped: sum ?? TrafficCount()))
                }
            }
            return counts
        }
    }

    /// How many records the ring buffer took and how many it had no room for.
    public func eventCounters() throws(DatapathReadError) -> EventCounters {
        let map = try open(.eventCounters)
        return try reading(.eventCounters) { () throws(BPFError) in
            func sum(_ counter: apus_event_counter) throws(BPFError) -> UInt64 {
                try map.lookupSum(UInt32(counter.rawValue), as: UInt64.self) ?? 0
            }
            return EventCounters(
                submitted: try sum(.APUS_EVENTS_SUBMITTED), lost: try sum(.APUS_EVENTS_LOST),
                audited: try sum(.APUS_EVENTS_AUDITED))
        }
    }

    /// What became of the frames that the shortcut at XDP has seen.
    public func shortcutCounts() throws(DatapathReadError) -> ShortcutCounts {
        let map = try open(.xdpCounters)
        return try reading(.xdpCounters) { () throws(BPFError) in
            func sum(_ counter: apus_xdp_counter) throws(BPFError) -> UInt64 {
                try map.lookupSum(UInt32(counter.rawValue), as: UInt64.self) ?? 0
            }
            return ShortcutCounts(forwarded: try sum(.APUS_XDP_FORWARDED), passed: try sum(.APUS_XDP_PASSED))
        }
    }
}

/// Frames that the shortcut at XDP has seen.
public struct ShortcutCounts: Sendable, Hashable {
    /// Forwarded by it.
    public var forwarded: UInt64
    /// Left to the kernel as they came.
    public var passed: UInt64

    public init(forwarded: UInt64, passed: UInt64) {
        self.forwarded = forwarded
        self.passed = passed
    }
}
