internal import Dispatch
internal import Synchronization

/// A thread of its own for calls that may wait for a disk, so that those of Swift's pool, which are as few as there are
/// cores, don't.
final class BlockingQueue: Sendable {
    /// How long a call may still take once its task is cancelled.
    private static let grace: DispatchTimeInterval = .seconds(1)

    private let queue: DispatchQueue

    init(_ label: String) { queue = DispatchQueue(label: label) }

    /// Runs work after all that was given before. Returns nil when the task was cancelled and the work did not end soon;
    /// it goes on alone then.
    func run<Answer: Sendable>(_ work: @escaping @Sendable () -> Answer) async -> Answer? {
        let answer = OneAnswer<Answer>()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                answer.expect(continuation)
                queue.async { answer.give(work()) }
            }
        } onCancel: {
            DispatchQueue.global().asyncAfter(deadline: .now() + Self.grace) { answer.give(nil) }
        }
    }
}

/// The first of two answers counts.
private final class OneAnswer<Answer: Sendable>: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Answer?, Never>?
        /// The answer that came before anybody waited.
        var early: Answer??
        var isGiven = false
    }

    private let state = Mutex(State())

    func expect(_ continuation: CheckedContinuation<Answer?, Never>) {
        let early: Answer?? = state.withLock { state in
            if state.early == nil { state.continuation = continuation }
            return state.early
        }
        if let early { continuation.resume(returning: early) }
    }

    func give(_ answer: Answer?) {
        let waiting = state.withLock { state -> CheckedContinuation<Answer?, Never>? in
            if state.isGiven { return nil }
            state.isGiven = true
            if state.continuation == nil { state.early = .some(answer) }
            return state.continuation
        }
        waiting?.resume(returning: answer)
    }
}
