/// How a child process ended and what it wrote.
public struct ProcessResult: Sendable, Equatable {
    /// The end of a process.
    public enum Ending: Sendable, Equatable {
        /// It returned this status.
        case exited(Int32)
        /// This signal killed it.
        case killed(by: Int32)
    }

    /// How it ended.
    public var ending: Ending
    /// Everything it wrote to its standard output.
    public var output: String
    /// Everything it wrote to its standard error.
    public var errors: String

    /// Whether it returned 0.
    public var succeeded: Bool { ending == .exited(0) }

    /// The exit status; nil when a signal killed it.
    public var status: Int32? {
        if case .exited(let status) = ending { return status }
        return nil
    }

    public init(ending: Ending, output: String, errors: String) {
        self.ending = ending
        self.output = output
        self.errors = errors
    }

    /// Decodes the status word of `waitpid` (bits/waitstatus.h: the low seven bits are the signal).
    init(waitStatus: Int32, output: [UInt8], errors: [UInt8]) {
        let signal = waitStatus & 0x7f
        self.ending = signal == 0 ? .exited(waitStatus >> 8 & 0xff) : .killed(by: signal)
        self.output = String(decoding: output, as: UTF8.self)
        self.errors = String(decoding: errors, as: UTF8.self)
    }
}
