public import LinuxKernel

/// A failed operation on a BPF object, program, map, link or ring buffer.
public struct BPFError: Error, Sendable, Hashable {
    /// What was asked for, as a short phrase: `load object`, `look up in map`.
    public let operation: String
    /// Why it was refused.
    public let errno: Errno
    /// The object, map, program or path, and what did not fit; may be empty.
    public let detail: String
    /// All that libbpf and the verifier printed, line by line; empty when they had nothing to say.
    public let log: [String]

    public init(operation: String, errno: Errno, detail: String = "", log: [String] = []) {
        self.operation = operation
        self.errno = errno
        self.detail = detail
        self.log = log
    }

    /// The last twelve useful lines of the verifier's log: without its statistics and without empty lines.
    public var verifierTail: [String] {
        var lines = log[...]
        if let end = lines.lastIndex(where: { $0.hasSuffix(VerifierLog.end) }) { lines = lines[..<end] }
        if let begin = lines.lastIndex(where: { $0.hasSuffix(VerifierLog.begin) }) { lines = lines[(begin + 1)...] }
        return lines.filter { !VerifierLog.isNoise($0) }.suffix(12)
    }
}

extension BPFError: CustomStringConvertible {
    public var description: String {
        let subject = detail.isEmpty ? operation : "\(operation) \(detail)"
        return (["\(subject): \(errno)"] + verifierTail.map { "    \($0)" }).joined(separator: "\n")
    }
}

/// How libbpf and the verifier frame what they print.
enum VerifierLog {
    static let begin = "BEGIN PROG LOAD LOG --"
    static let end = "END PROG LOAD LOG --"

    static func isNoise(_ line: String) -> Bool {
        line.allSatisfy { $0.isWhitespace }
            || ["processed ", "verification time", "stack depth", "max_states"].contains { line.hasPrefix($0) }
    }
}

/// Passes a non-negative result of libbpf on and turns `-errno` into an error.
@discardableResult
func checkBPF<Number: SignedInteger>(
    _ result: Number, _ operation: @autoclosure () -> String, _ detail: @autoclosure () -> String = "",
    log: [String] = []
) throws(BPFError) -> Number {
    guard result < 0 else { return result }
    throw BPFError(operation: operation(), errno: Errno(rawValue: Int32(-result)), detail: detail(), log: log)
}

extension BPFError {
    /// The error of a system call below, as one of this module.
    init(_ error: KernelError) {
        self.init(operation: error.operation, errno: error.errno, detail: error.detail)
    }
}

/// Runs system calls of `LinuxKernel` with this module's error.
func kernel<Value: ~Copyable>(_ body: () throws(KernelError) -> Value) throws(BPFError) -> Value {
    do { return try body() } catch { throw BPFError(error) }
}
