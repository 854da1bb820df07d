internal import Glibc

/// Nobody reads the output any more, as in `apus flow observe | head`: not a failure, only the end.
package struct OutputClosed: Error {}

/// Where a command writes.
package struct Console: Sendable {
    /// Writes to the output; throws ``OutputClosed`` when nobody reads it.
    package let write: @Sendable (String) throws -> Void
    /// Writes one line for the person, beside the output.
    package let note: @Sendable (String) -> Void
    /// Whether the output is a terminal that shows colours.
    package let usesColour: Bool

    package init(
        usesColour: Bool = false, write: @escaping @Sendable (String) throws -> Void,
        note: @escaping @Sendable (String) -> Void
    ) {
        self.write = write
        self.note = note
        self.usesColour = usesColour
    }

    /// The standard output and error of this process.
    ///
    /// - Parameter environment: `NO_COLOR` (of any value) and `TERM=dumb` switch colours off.
    package static func standard(_ environment: [String: String]) -> Console {
        let isPlain = environment["NO_COLOR"].map { !$0.isEmpty } ?? false || environment["TERM"] == "dumb"
        return Console(usesColour: isatty(STDOUT_FILENO) == 1 && !isPlain) { text in
            try writeAll(text, to: STDOUT_FILENO)
        } note: { line in
            try? writeAll(line + "\n", to: STDERR_FILENO)
        }
    }

    /// Writes one line.
    package func line(_ text: String) throws { try write(text + "\n") }

    static func writeAll(_ text: String, to descriptor: CInt) throws {
        var text = text
        try text.withUTF8 { bytes in
            var rest = bytes[...]
            while let start = UnsafeBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
                let count = Glibc.write(descriptor, start, rest.count)
                if count >= 0 {
                    rest = rest.dropFirst(count)
                    continue
                }
                switch errno {
                case EINTR: continue
                case EAGAIN: waitUntilWritable(descriptor)
                case EPIPE: throw OutputClosed()
                default: throw CommandError("can't write the output: \(String(cString: strerror(errno)))")
                }
            }
        }
    }

    /// A pipe that another process made non-blocking may be full for a while.
    private static func waitUntilWritable(_ descriptor: CInt) {
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&request, 1, -1)
    }
}
