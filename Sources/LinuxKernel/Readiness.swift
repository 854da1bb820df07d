internal import CLinux
internal import Glibc
internal import Synchronization

/// Waits for descriptors to become readable, for all tasks, on one thread of its own.
///
/// One task at a time may wait for one descriptor; the kernel answers a second one with `EEXIST`.
public final class Readiness: Sendable {
    private enum Outcome {
        case readable
        case cancelled
        case failed(Errno)
    }

    private struct State {
        var nextToken: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<Outcome, Never>] = [:]
        /// Tokens whose task was cancelled before it began to wait.
        var cancelled: Set<UInt64> = []
    }

    /// The instance that everything shares.
    public static let shared = Readiness()

    private let epoll: Int32
    private let state = Mutex(State())

    private init() {
        let created = clinux_epoll_create()
        epoll = created
        guard created >= 0 else { return }
        let retained = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Readiness>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, retained.toOpaque())
        guard result == 0 else {
            retained.release()
            // Without a thread every wait fails with EBADF instead of lasting for ever.
            _ = clinux_close(created)
            return
        }
        pthread_detach(thread)
    }

    /// Returns when `descriptor` can be read; throws with `.cancelled` when the task is cancelled before that.
    public func waitUntilReadable(_ descriptor: borrowing FileDescriptor) async throws(KernelError) {
        try await wait(descriptor.number)
    }

    /// Returns true when `descriptor` can be read and false when `limit` passed before that; throws with `.cancelled`
    /// when the task is cancelled.
    public func waitUntilReadable(
        _ descriptor: borrowing FileDescriptor, atMost limit: Duration
    ) async throws(KernelError) -> Bool {
        let number = descriptor.number
        let first = await withTaskGroup(of: Result<Bool, KernelError>.self) { group in
            group.addTask {
                do throws(KernelError) {
                    try await self.wait(number)
                    return .success(true)
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                do { try await Task.sleep(for: limit) } catch { return .failure(Self.cancelled) }
                return .success(false)
            }
            defer { group.cancelAll() }
            return await group.next() ?? .failure(Self.cancelled)
        }
        return try first.get()
    }

    private static let cancelled = KernelError(operation: "wait for a descriptor", errno: .cancelled)

    private func wait(_ number: Int32) async throws(KernelError) {
        let token = state.withLock { state in
            state.nextToken += 1
            return state.nextToken
        }
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { register(token, number, $0) }
        } onCancel: {
            cancel(token)
        }
        state.withLock { _ = $0.cancelled.remove(token) }
        switch outcome {
        case .readable:
            _ = clinux_epoll_remove(epoll, number)
        case .cancelled:
            _ = clinux_epoll_remove(epoll, number)
            throw Self.cancelled
        case .failed(let errno):
            throw KernelError(operation: "wait for a descriptor", errno: errno)
        }
    }

    private func register(_ token: UInt64, _ number: Int32, _ continuation: CheckedContinuation<Outcome, Never>) {
        // Under the lock, so that a cancellation either sees the waiter or is seen here.
        let early: Outcome? = state.withLock { state in
            if state.cancelled.remove(token) != nil { return .cancelled }
            let result = clinux_epoll_add_readable(epoll, number, token)
            if result < 0 { return .failed(Errno(rawValue: -result)) }
            state.waiting[token] = continuation
            return nil
        }
        if let early { continuation.resume(returning: early) }
    }

    private func cancel(_ token: UInt64) {
        let continuation = state.withLock { state in
            let found = state.waiting.removeValue(forKey: token)
            if found == nil { state.cancelled.insert(token) }
            return found
        }
        continuation?.resume(returning: .cancelled)
    }

    private func run() {
        var tokens = [UInt64](repeating: 0, count: 64)
        while true {
            let count = clinux_epoll_wait(epoll, &tokens, Int32(tokens.count), -1)
            guard count >= 0 || count == -EINTR else { return }
            for token in tokens.prefix(Int(max(count, 0))) {
                // The kernel can't report a token before `register` lets go of the lock that it added it under.
                state.withLock { $0.waiting.removeValue(forKey: token) }?.resume(returning: .readable)
            }
        }
    }
}
