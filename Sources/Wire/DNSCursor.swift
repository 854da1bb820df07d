/// A place in a message, from which fields are taken; what does not fit is an error and never read.
///
/// It holds only the place. The bytes are lent to each call, so nothing outlives them.
struct DNSCursor {
    private(set) var offset: Int
    /// Where what may be taken ends.
    let end: Int

    /// The whole of a message.
    init(over message: borrowing RawSpan) {
        offset = 0
        end = message.byteCount
    }

    /// A part of a message; it has to be inside of it.
    init(offset: Int, end: Int) {
        self.offset = offset
        self.end = end
    }

    mutating func byte(_ message: borrowing RawSpan) throws(DNSError) -> UInt8 {
        // The second comparison is what keeps the load in range, whatever the cursor was made of.
        guard offset < end, offset < message.byteCount else { throw DNSError(.endOfMessage, at: offset) }
        defer { offset += 1 }
        return message.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
    }

    /// Takes two bytes in network order.
    mutating func short(_ message: borrowing RawSpan) throws(DNSError) -> UInt16 {
        let high = try byte(message)
        return UInt16(high) << 8 | UInt16(try byte(message))
    }

    /// Takes four bytes in network order.
    mutating func long(_ message: borrowing RawSpan) throws(DNSError) -> UInt32 {
        let high = try short(message)
        return UInt32(high) << 16 | UInt32(try short(message))
    }

    mutating func bytes(_ count: Int, _ message: borrowing RawSpan) throws(DNSError) -> [UInt8] {
        var result: [UInt8] = []
        for _ in 0..<count { result.append(try byte(message)) }
        return result
    }

    /// Takes `count` bytes, not negative, as a cursor of their own.
    mutating func part(_ count: Int) throws(DNSError) -> DNSCursor {
        guard count <= end - offset else { throw DNSError(.endOfMessage, at: offset) }
        defer { offset += count }
        return DNSCursor(offset: offset, end: offset + count)
    }
}
