internal import Glibc

/// Nobody reads the output any more, as in `apus flow observe | head`: not a failure, only the end.
package struct OutputClosed: Error {}

/// Where a command writes.
package struct Console: Sendable {
    /// Writes to the output; throws ``OutputClosed`` when nobody reads it.
    package let write: @Sendable (String) throws -> Void
    /// Writes one line for the person, beside the output.
    package let note: @Sendable (String) -> Void
    /// Puts a line in the place of the one that was put there last, for a person at a terminal; an empty one takes it
    /// away. Nil where nobody sees what stands beside the output.
    package let renew: (@Sendable (String) -> Void)?
    /// Whether the output is a terminal.
    package let isTerminal: Bool
    /// Whether the output is a terminal that shows colours.
    package let usesColour: Bool

    package init(
        isTerminal: Bool = false, usesColour: Bool = false, write: @escaping @Sendable (String) throws -> Void,
        note: @escaping @Sendable (String) -> Void, renew: (@Sendable (String) -> Void)? = nil
    ) {
        self.write = write
        self.note = note
        self.renew = renew
        self.isTerminal = isTerminal
        self.usesColour = usesColour
    }

    /// The standard output and error of this process.
    ///
    /// - Parameter environment: `NO_COLOR` (of any value) and `TERM=dumb` switch colours off.
    package static func standard(_ environment: [String: String]) -> Console {
        let isPlain = environment["NO_COLOR"].map { !$0.isEmpty } ?? false || environment["TERM"] == "dumb"
        let isTerminal = isatty(STDOUT_FILENO) == 1
        // To the first column, and the rest of the line away (ECMA-48 EL).
        let renew: @Sendable (String) -> Void = { try? writeAll("\r\u{1b}[K" + $0, to: STDERR_FILENO) }
        let isSeen = isatty(STDERR_FILENO) == 1 && environment["TERM"] != "dumb"
        return Console(
            isTerminal: isTerminal, usesColour: isTerminal && !isPlain,
            write: { try writeAll($0, to: STDOUT_FILENO) }, note: { try? writeAll($0 + "\n", to: STDERR_FILENO) },
            renew: isSeen ? renew : nil)
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
