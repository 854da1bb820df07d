internal import LinuxKernel

/// Waits for programs that run.
public final class ProgramBarrier: Sendable {
    private let outer: BPFMap
    private let inner: BPFMap

    /// Makes the two small maps that it takes.
    public init() throws(BPFError) {
        var shape = BPFMapShape(
            type: .array, keySize: MemoryLayout<UInt32>.size, valueSize: MemoryLayout<UInt32>.size, maxEntries: 1)
        inner = try BPFMap.create(shape, name: "barrier_inner")
        shape.type = .arrayOfMaps
        outer = try BPFMap.create(shape, name: "barrier", of: inner)
    }

    /// Returns when every program has ended that ran when it was called, those that may sleep aside: what they read of
    /// maps before counts no more. It takes some milliseconds.
    ///
    /// The kernel promises that of a change of a map of maps (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c), so that
    /// the map which was in there may be thrown away.
    public func wait() throws(BPFError) { try outer.update(UInt32(0), toMap: inner) }
}
