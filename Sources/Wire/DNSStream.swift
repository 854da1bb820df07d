/// Cuts what a TCP connection carries into messages: each has its length before it, two bytes (RFC 1035 §4.2.2).
///
/// What waits is less than one message and its length, when every append is followed by `next` until that is nil.
public struct DNSStream: Sendable {
    private var buffer: [UInt8] = []
    private var taken = 0

    public init() {}

    /// Bytes that wait for the rest of their message.
    public var pendingBytes: Int { buffer.count - taken }

    /// Adds what came next on the connection.
    public mutating func append(_ bytes: borrowing RawSpan) {
        // Only here, so that taking many messages of one segment does not move the rest each time.
        buffer.removeFirst(taken)
        taken = 0
        bytes.withUnsafeBytes { buffer.append(contentsOf: $0) }
    }

    /// Takes the next whole message, without its length; nil when there is none yet.
    public mutating func next() -> [UInt8]? {
        let rest = buffer.dropFirst(taken)
        guard let high = rest.first, let low = rest.dropFirst().first else { return nil }
        let length = Int(high) << 8 | Int(low)
        let message = rest.dropFirst(2).prefix(length)
        guard message.count == length else { return nil }
        taken += 2 + length
        return Array(message)
    }
}
