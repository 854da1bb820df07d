internal import Dispatch
internal import LinuxKernel
internal import Synchronization

/// Waits for programs that run.
public final class ProgramBarrier: Sendable {
    /// How many waits can be under way beside each other; more begin when one of them has ended.
    private static let parallelWaits = 4

    private let target: Target
    /// Threads of their own: a wait is a system call that sleeps.
    private let queues: [DispatchQueue]
    private let begun = Atomic(0)

    /// Makes the two small maps that it takes.
    public init() throws(BPFError) {
        target = try Target()
        queues = (0..<Self.parallelWaits).map { DispatchQueue(label: "program-barrier-\($0)") }
    }

    /// Begins to wait for every program that runs now, those that may sleep aside, and returns at once.
    public func begin() -> ProgramWait {
        let wait = ProgramWait()
        let number = begun.add(1, ordering: .relaxed).oldValue
        queues[number % queues.count].async { [target] in wait.end(target.awaitPrograms()) }
        return wait
    }

    /// Two maps of which one is in the other.
    ///
    /// The kernel promises of a change of a map of maps that when it returns every program has ended that ran when it was
    /// called (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c), so that the map which was in there may be thrown away.
    /// It takes some milliseconds; several at once take no longer.
    private final class Target: Sendable {
        private let outer: BPFMap
        private let inner: BPFMap

        init() throws(BPFError) {
            var shape = BPFMapShape(
                type: .array, keySize: MemoryLayout<UInt32>.size, valueSize: MemoryLayout<UInt32>.size, maxEntries: 1)
            inner = try BPFMap.create(shape, name: "barrier_inner")
            shape.type = .arrayOfMaps
            outer = try BPFMap.create(shape, name: "barrier", of: inner)
        }

        func awaitPrograms() -> BPFError? {
            do throws(BPFError) { try outer.update(UInt32(0), toMap: inner) } catch { return error }
            return nil
        }
    }
}

/// A wait that goes on beside what its caller does.
public final class ProgramWait: Sendable {
    private let group = DispatchGroup()
    private let failure = Mutex<BPFError?>(nil)

    fileprivate init() { group.enter() }

    fileprivate func end(_ error: BPFError?) {
        failure.withLock { $0 = error }
        group.leave()
    }

    /// Returns when every program has ended that ran when the wait began: what they read of maps counts no more.
    public func end() throws(BPFError) {
        group.wait()
        if let error = failure.withLock({ $0 }) { throw error }
    }
}
