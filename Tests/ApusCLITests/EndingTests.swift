import Glibc
import Testing

@testable import ApusCLI

@Suite struct `How commands end` {
    @Test func `a write into a pipe that nobody reads is the end of the output`() throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        close(ends[0])
        defer { close(ends[1]) }
        let writer = ends[1]
        #expect(throws: OutputClosed.self) { try Console.writeAll("text\n", to: writer) }
    }

    @Test func `a pipe that is full for a while takes all in the end`() throws {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        #expect(fcntl(writer, F_SETFL, O_NONBLOCK) == 0)
        let text = String(repeating: "0123456789", count: 50_000)
        let thread = ReaderThread(reader)
        try Console.writeAll(text, to: writer)
        close(writer)
        #expect(thread.count() == text.utf8.count)
    }

    @Test func `the first Ctrl-C ends following, and well`() async {
        await #expect(processExitsWith: .success) {
            try await untilInterrupted {
                kill(getpid(), SIGINT)
                try await Task.sleep(for: .seconds(60))
            }
        }
    }

    @Test(arguments: [["NO_COLOR": "1"], ["TERM": "dumb"], [:]]) func `no colours where nobody sees them`(
        _ environment: [String: String]
    ) {
        // The output of tests is no terminal.
        #expect(isatty(STDOUT_FILENO) == 1 || !Console.standard(environment).usesColour)
    }
}

/// Counts the bytes of a pipe until its end, on a thread of its own.
private final class ReaderThread: @unchecked Sendable {
    private var thread = pthread_t()
    private let descriptor: CInt
    private var total = 0

    init(_ descriptor: CInt) {
        self.descriptor = descriptor
        pthread_create(
            &thread, nil,
            { argument in
                argument.map { Unmanaged<ReaderThread>.fromOpaque($0).takeRetainedValue().read() }
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
    }

    private func read() {
        var chunk = [UInt8](repeating: 0, count: 1000)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count <= 0 { break }
            total += count
        }
        close(descriptor)
    }

    /// Waits for the end.
    func count() -> Int {
        pthread_join(thread, nil)
        return total
    }
}
