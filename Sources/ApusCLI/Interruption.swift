internal import Dispatch
internal import Glibc

/// Runs `body` until it ends or the person types Ctrl-C; both are a good end.
func untilInterrupted(_ body: @escaping @Sendable () async throws -> Void) async throws {
    let (interruptions, signal) = AsyncStream.makeStream(of: Void.self)
    Glibc.signal(SIGINT, SIG_IGN)
    Glibc.signal(SIGTERM, SIG_IGN)
    let sources = [SIGINT, SIGTERM].map { number in
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { signal.yield() }
        source.resume()
        return source
    }
    defer {
        for source in sources { source.cancel() }
        Glibc.signal(SIGINT, SIG_DFL)
        Glibc.signal(SIGTERM, SIG_DFL)
    }
    try await withThrowingTaskGroup { group in
        group.addTask { try await body() }
        group.addTask {
            for await _ in interruptions {
                // A write to a reader that has stopped can't be cancelled: the next Ctrl-C ends the process.
                Glibc.signal(SIGINT, SIG_DFL)
                return
            }
        }
        defer { group.cancelAll() }
        try await group.next()
    }
}
