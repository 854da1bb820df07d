extension DNSCursor {
    /// Bytes of the longest name on the wire, the root's label among them (RFC 1035 §3.1).
    private static let longestName = 255
    /// A pointer without a label before it is of no use, and a name of this length has no more labels. Without a bound
    /// a message of 64 KiB could ask for millions of steps: each of its thousands of names a chain of thousands.
    private static let mostPointers = 126
    /// Names are not in the header, so no pointer leads there.
    private static let headerLength = 12

    /// Takes a name as text: lower case, without the trailing dot; the root is empty.
    ///
    /// Each pointer has to lead before the start of the labels that it ends, so places only decrease and the walk ends.
    mutating func name(_ message: borrowing RawSpan) throws(DNSError) -> String {
        var text: [UInt8] = []
        var reader = self
        var segment = offset
        var pointers = 0
        while true {
            let place = reader.offset
            let head = try reader.byte(message)
            switch head >> 6 {
            case 0 where head == 0:
                if pointers == 0 { self = reader }
                return String(decoding: text.dropLast(), as: UTF8.self)
            case 0:
                try reader.label(of: Int(head), into: &text, message)
            case 3:
                let target = Int(head & 0x3f) << 8 | Int(try reader.byte(message))
                guard target >= Self.headerLength, target < segment else {
                    throw DNSError(.pointer(to: target), at: place)
                }
                if pointers == 0 { self = reader }
                pointers += 1
                if pointers > Self.mostPointers { throw DNSError(.pointerCount, at: place) }
                segment = target
                // What was before may be outside of the record that this name is in.
                reader = DNSCursor(offset: target, end: message.byteCount)
            default:
                throw DNSError(.labelKind(head), at: place)
            }
        }
    }

    /// Takes a label and adds it to a text with a dot behind it.
    private mutating func label(
        of length: Int, into text: inout [UInt8], _ message: borrowing RawSpan
    ) throws(DNSError) {
        // On the wire a label has its length where the text has its dot, and the root's label follows.
        if text.count + length + 2 > Self.longestName { throw DNSError(.nameLength, at: offset) }
        for _ in 0..<length {
            let byte = try byte(message)
            guard (0x21...0x7e).contains(byte), byte != UInt8(ascii: ".") else {
                throw DNSError(.nameByte(byte), at: offset - 1)
            }
            text.append((UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte)
        }
        text.append(UInt8(ascii: "."))
    }
}
