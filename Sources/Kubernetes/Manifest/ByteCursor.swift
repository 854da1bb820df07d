/// A place in bytes from outside that can't leave them.
struct ByteCursor {
    private let bytes: ArraySlice<UInt8>
    /// The index of the next byte, counted in the array the slice is of.
    private(set) var offset: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        offset = bytes.startIndex
    }

    /// The next byte, nil at the end.
    var peek: UInt8? { offset < bytes.endIndex ? bytes[offset] : nil }

    /// Moves on by one byte, at the end not at all.
    mutating func advance() {
        if offset < bytes.endIndex { offset += 1 }
    }

    /// Moves over `text` if it is next.
    mutating func take(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { wanted in
            guard bytes.endIndex - offset >= wanted.count else { return false }
            for (index, byte) in wanted.enumerated() where bytes[offset + index] != byte { return false }
            offset += wanted.count
            return true
        }
    }

    /// Moves over the longest run of bytes that satisfy `condition`, and returns it.
    mutating func takeWhile(_ condition: (UInt8) -> Bool) -> String {
        let start = offset
        while offset < bytes.endIndex, condition(bytes[offset]) { offset += 1 }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    /// Moves over spaces, tabs and line ends.
    mutating func skipSpace() {
        while offset < bytes.endIndex {
            switch bytes[offset] {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): offset += 1
            default: return
            }
        }
    }

    /// Moves over a JSON value without checking it: to the comma or the bracket behind it, or to the end.
    mutating func skipValue() {
        var depth = 0
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""): skipString()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                advance()
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return }
                depth -= 1
                advance()
            case UInt8(ascii: ",") where depth == 0: return
            default: advance()
            }
        }
    }

    private mutating func skipString() {
        advance()
        while let byte = peek {
            advance()
            switch byte {
            case UInt8(ascii: "\\"): advance()
            case UInt8(ascii: "\""): return
            default: break
            }
        }
    }
}
