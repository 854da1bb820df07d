internal import CLibBPF
internal import CLinux
internal import Glibc
internal import Synchronization

/// Catches what libbpf prints, so that nothing goes to stderr and an error can carry it.
enum LibraryLog {
    /// Lines by thread: libbpf prints on the thread that called it.
    private static let captures = Mutex<[pthread_t: [UInt8]]>([:])

    /// Set once for the process, before the first use of libbpf.
    private static let installed: Void = {
        _ = libbpf_set_print { level, format, arguments in
            guard level != LIBBPF_DEBUG, let format, let arguments else { return 0 }
            LibraryLog.append(format, arguments)
            return 0
        }
    }()

    /// Makes sure that libbpf is silent; for calls whose messages nobody needs.
    static func install() { installed }

    /// Runs `body` and returns what libbpf printed on this thread meanwhile.
    static func capture<Value>(_ body: () -> Value) -> (value: Value, log: [String]) {
        install()
        let thread = pthread_self()
        captures.withLock { $0[thread] = [] }
        let value = body()
        let bytes = captures.withLock { $0.removeValue(forKey: thread) } ?? []
        return (value, lines(of: bytes))
    }

    private static func append(_ format: UnsafePointer<CChar>, _ arguments: CVaListPointer) {
        // A verifier log can be megabytes; the C library tells the size by allocating.
        var text: UnsafeMutablePointer<CChar>?
        let count = clinux_format(&text, format, arguments)
        guard count >= 0, let text else { return }
        defer { free(text) }
        let bytes = UnsafeRawBufferPointer(start: text, count: Int(count))
        captures.withLock { $0[pthread_self()]?.append(contentsOf: bytes) }
    }

    private static func lines(of bytes: [UInt8]) -> [String] {
        bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { line in
                let text = String(decoding: line, as: UTF8.self)
                return text.hasPrefix("libbpf: ") ? String(text.dropFirst(8)) : text
            }
            .filter { !$0.isEmpty }
    }
}
