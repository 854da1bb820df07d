internal import CLinux

/// The kernel's clocks, in nanoseconds.
public enum KernelClock {
    /// CLOCK_MONOTONIC: the clock of `bpf_ktime_get_ns`.
    public static func monotonic() -> UInt64 {
        var nanoseconds: UInt64 = 0
        // Reading these clocks can't fail (clock_gettime(2)).
        _ = clinux_clock_monotonic(&nanoseconds)
        return nanoseconds
    }

    /// CLOCK_REALTIME: nanoseconds since 1970.
    public static func realtime() -> UInt64 {
        var nanoseconds: UInt64 = 0
        _ = clinux_clock_realtime(&nanoseconds)
        return nanoseconds
    }

    /// What to add to a monotonic time to get the real time of the same moment.
    public static func realtimeOffset() -> Int64 {
        // The middle of two monotonic readings halves the error that a preemption in between makes.
        let before = monotonic()
        let real = realtime()
        let after = monotonic()
        return Int64(bitPattern: real &- (before &+ (after &- before) / 2))
    }
}
