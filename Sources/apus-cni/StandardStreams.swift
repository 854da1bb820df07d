internal import Glibc

/// The streams that a runtime talks by.
enum StandardStreams {
    /// More is no network configuration.
    private static let limit = 16 << 20

    /// Everything on the standard input; what can't be read is not there.
    static func input() -> [UInt8] {
        var input: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while input.count < limit {
            let count = read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            input += chunk[..<count]
        }
        return input
    }

    /// Writes a line; nothing when there is nothing to say.
    static func write(_ text: String, to descriptor: Int32) {
        if text.isEmpty { return }
        var rest = ArraySlice("\(text)\n".utf8)
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }
}
