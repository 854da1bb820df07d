internal import CTestSupport
internal import Foundation
internal import Glibc
internal import Synchronization

/// A child process: its output is collected, its end is awaited without blocking a thread of the Swift runtime.
///
/// Two threads serve each child, one for its streams and one for its end, so that nothing polls while it runs.
public final class ChildProcess: Sendable {
    /// The command line.
    public let command: [String]
    /// The process id; another process's once this one was reaped.
    public let pid: Int32

    private let child: spawned_child
    private let state = Mutex(State())

    private struct State {
        var output: [UInt8] = []
        var errors: [UInt8] = []
        var inputIsOpen = true
        var reaped = false
        var result: ProcessResult?
        var waiters: [CheckedContinuation<ProcessResult, Never>] = []
    }

    /// What is kept of each stream, in bytes; a child that writes more is read but not remembered.
    private static let outputLimit = 16 << 20

    /// Starts a program, found along the path; `environment` is added to that of this process.
    public init(_ command: [String], environment: [String: String] = [:]) throws(LabError) {
        guard !command.isEmpty else { throw LabError("spawn", "the command is empty") }
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        self.command = command
        self.child = try spawnChild(command, environment: variables)
        self.pid = child.pid
        start()
    }

    deinit { _ = close(child.input) }  // not earlier: a late `write` must not hit a reused descriptor

    /// Everything written to the standard output so far.
    public var output: String { state.withLock { String(decoding: $0.output, as: UTF8.self) } }

    /// Everything written to the standard error so far.
    public var errors: String { state.withLock { String(decoding: $0.errors, as: UTF8.self) } }

    /// The complete lines of the standard output so far.
    public var lines: [String] {
        var lines = output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if !lines.isEmpty { lines.removeLast() }
        return lines
    }

    /// How it ended; nil while it runs.
    public var result: ProcessResult? { state.withLock { $0.result } }

    /// Waits until the process has ended.
    public func exit() async -> ProcessResult {
        await withCheckedContinuation { continuation in
            let done = state.withLock { state in
                if state.result == nil { state.waiters.append(continuation) }
                return state.result
            }
            if let done { continuation.resume(returning: done) }
        }
    }

    /// Waits until the process has ended, and kills it when that takes too long.
    public func exit(orKillAfter bound: Duration) async -> ProcessResult {
        let killer = Task {
            guard (try? await Task.sleep(for: bound)) != nil else { return }
            signal(SIGKILL)
        }
        defer { killer.cancel() }
        return await exit()
    }

    /// Sends a signal to the process; nothing happens once it has ended. What it left behind in its process group is
    /// killed when it ends.
    public func signal(_ number: Int32) {
        state.withLock { state in
            if !state.reaped { _ = kill(pid, number) }
        }
    }

    /// Asks the process to end (SIGTERM), kills it when it does not in time, and waits.
    @discardableResult
    public func stop(grace: Duration = .patience) async -> ProcessResult {
        signal(SIGTERM)
        return await exit(orKillAfter: grace)
    }

    /// Writes to the standard input; false when the process no longer reads. Blocks when the pipe is full.
    @discardableResult
    public func write(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { send(child.input, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent < 0 && errno == EINTR { continue }
            guard sent > 0 else { return false }
            rest = rest.dropFirst(sent)
        }
        return true
    }

    /// Ends the standard input.
    public func closeInput() {
        state.withLock { state in
            guard state.inputIsOpen else { return }
            state.inputIsOpen = false
            shutdown(child.input, Int32(SHUT_WR))
        }
    }
}

extension ChildProcess {
    /// The reader learns the child's end from a pipe: a grandchild may hold the child's streams open for ever.
    private func start() {
        Thread.detachNewThread { [self] in
            awaitEnd()
            _ = close(child.ended_writer)
        }
        Thread.detachNewThread { [self] in
            collect()
            finish()
        }
    }

    /// Blocks until the child is a zombie; it is reaped only under the lock, so that no signal hits a reused pid.
    private func awaitEnd() {
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR {}
    }

    private func collect() {
        for descriptor in [child.output, child.errors] {
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        }
        var waiting = [child.output, child.errors, child.ended_reader].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        while waiting[2].revents == 0 {
            _ = poll(&waiting, nfds_t(waiting.count), -1)
            for index in 0..<2 where waiting[index].revents != 0 {
                if !drain(waiting[index].fd) { waiting[index].fd = -1 }
            }
        }
        for index in 0..<2 where waiting[index].fd >= 0 { _ = drain(waiting[index].fd) }
    }

    /// Reads what is there; false at the end of the stream.
    private func drain(_ descriptor: Int32) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count <= 0 { return count < 0 && (errno == EAGAIN || errno == EINTR) }
            state.withLock { state in
                let path: WritableKeyPath<State, [UInt8]> = descriptor == child.output ? \.output : \.errors
                if state[keyPath: path].count < Self.outputLimit { state[keyPath: path] += chunk[..<count] }
            }
        }
    }

    private func finish() {
        let (result, waiters) = state.withLock { state in
            var status: Int32 = 0
            _ = kill(-pid, SIGKILL)  // what the child left behind in its group; the zombie leader keeps the id ours
            while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            let result = ProcessResult(waitStatus: status, output: state.output, errors: state.errors)
            state.reaped = true
            state.result = result
            let waiters = state.waiters
            state.waiters = []
            for descriptor in [child.output, child.errors, child.ended_reader] { _ = close(descriptor) }
            return (result, waiters)
        }
        for waiter in waiters { waiter.resume(returning: result) }
    }
}

/// Runs a program to its end.
///
/// - Parameters:
///   - input: What it reads from its standard input.
///   - bound: When it is killed.
public func run(
    _ command: [String], input: String = "", environment: [String: String] = [:], within bound: Duration = .patience
) async throws(LabError) -> ProcessResult {
    let process = try ChildProcess(command, environment: environment)
    Thread.detachNewThread {
        process.write(input)
        process.closeInput()
    }
    return await process.exit(orKillAfter: bound)
}
