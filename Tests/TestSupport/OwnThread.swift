import Dispatch

/// A thread for a task that computes without end, or that another one must not wait for.
///
/// Swift's own threads are as few as the cores, and hundreds of tests share them in turns: two tasks that are to meet
/// at any moment would take turns there, too, and always meet in the same one.
///
///     try await withTaskExecutorPreference(OwnThread("packets")) { … }
public final class OwnThread: TaskExecutor {
    private let queue: DispatchQueue

    public init(_ label: String) { queue = DispatchQueue(label: label) }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
