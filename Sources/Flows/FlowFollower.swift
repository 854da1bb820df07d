internal import Synchronization

/// One follower's queue and the task that waits for it.
final class FlowFollower: Sendable {
    /// A task to resume once no lock is held.
    struct WakeUp {
        fileprivate let continuation: CheckedContinuation<Flow?, Never>
        fileprivate let flow: Flow?

        func resume() { continuation.resume(returning: flow) }
    }

    private struct State {
        var past: ArraySlice<Flow>
        var queue: FollowerQueue
        var waiting: CheckedContinuation<Flow?, Never>?
        var isFinished = false

        mutating func take() -> Flow? { past.popFirst() ?? queue.pop() }
    }

    private let filter: FlowFilter
    private let state: Mutex<State>

    init(filter: FlowFilter, past: [Flow], capacity: Int) {
        self.filter = filter
        state = Mutex(State(past: past[...], queue: FollowerQueue(capacity: capacity)))
    }

    var lost: UInt64 { state.withLock { $0.queue.lost } }

    func push(_ flow: Flow) {
        guard filter.matches(flow) else { return }
        state.withLock { $0.queue.push(flow) }
    }

    /// The waiting task with the flow it gets, when there are both.
    func wakeUp() -> WakeUp? {
        state.withLock { state in
            guard let waiting = state.waiting, let flow = state.take() else { return nil }
            state.waiting = nil
            return WakeUp(continuation: waiting, flow: flow)
        }
    }

    /// Ends the sequence after what is queued.
    func finish() -> WakeUp? {
        state.withLock { state in
            state.isFinished = true
            defer { state.waiting = nil }
            return state.waiting.map { WakeUp(continuation: $0, flow: nil) }
        }
    }

    func next() async -> Flow? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if let ready = enqueue(continuation) { ready.resume() }
            }
        } onCancel: {
            stopWaiting()
        }
    }

    /// Makes a task wait; answers a task that need not wait (this one, or one that waited before and must not hang).
    private func enqueue(_ continuation: CheckedContinuation<Flow?, Never>) -> WakeUp? {
        state.withLock { state in
            if Task.isCancelled { return WakeUp(continuation: continuation, flow: nil) }
            if let flow = state.take() { return WakeUp(continuation: continuation, flow: flow) }
            if state.isFinished { return WakeUp(continuation: continuation, flow: nil) }
            let former = state.waiting
            state.waiting = continuation
            return former.map { WakeUp(continuation: $0, flow: nil) }
        }
    }

    private func stopWaiting() {
        let waiting = state.withLock { state in
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume(returning: nil)
    }
}
