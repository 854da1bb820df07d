/// A parser of JSON (RFC 8259) for bodies and files of megabytes, where YAML would be slow.
///
/// It takes several values after each other, as kubectl does. Of a name that an object repeats, the last one counts.
struct JSONParser {
    /// What is wrong, and the byte where.
    struct Failure: Error {
        let message: String
        let offset: Int
    }

    /// Deeper nesting is refused, so that outside data can't exhaust the stack.
    private static let maximumDepth = 256

    /// A member that is passed over without being looked at: its name, and how deep the object around it is.
    struct Skipped {
        let name: String
        let depth: Int
    }

    private var cursor: ByteCursor
    private let skipped: Skipped?

    /// A parser of bytes that are known to be UTF-8.
    init(_ bytes: ArraySlice<UInt8>, skipping skipped: Skipped? = nil) {
        cursor = ByteCursor(bytes)
        self.skipped = skipped
    }

    /// The next value, nil at the end of the text.
    mutating func next() throws(Failure) -> ManifestValue? {
        cursor.skipSpace()
        return cursor.peek == nil ? nil : try value(depth: 0)
    }

    private func failure(_ message: String) -> Failure {
        Failure(message: message, offset: cursor.offset)
    }

    private mutating func value(depth: Int) throws(Failure) -> ManifestValue {
        if depth > Self.maximumDepth { throw failure("nested more than \(Self.maximumDepth) levels deep") }
        cursor.skipSpace()
        switch cursor.peek {
        case UInt8(ascii: "{"): return .object(try object(depth: depth))
        case UInt8(ascii: "["): return .list(try list(depth: depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t") where cursor.take("true"): return .boolean(true)
        case UInt8(ascii: "f") where cursor.take("false"): return .boolean(false)
        case UInt8(ascii: "n") where cursor.take("null"): return .null
        case let byte? where byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte):
            return try number()
        case nil: throw failure("the text ends where a value is expected")
        default: throw failure("expected a value")
        }
    }

    private mutating func object(depth: Int) throws(Failure) -> ManifestObject {
        var result = ManifestObject()
        cursor.advance()
        cursor.skipSpace()
        if cursor.take("}") { return result }
        while true {
            cursor.skipSpace()
            guard cursor.peek == UInt8(ascii: "\"") else { throw failure("expected a name in quotes") }
            let name = try string()
            cursor.skipSpace()
            guard cursor.take(":") else { throw failure("expected a colon") }
            if let skipped, skipped.depth == depth, skipped.name == name {
                cursor.skipValue()
            } else {
                result.members.append(.init(name: name, value: try value(depth: depth + 1)))
            }
            cursor.skipSpace()
            if cursor.take("}") { return result }
            guard cursor.take(",") else { throw failure("expected a comma or the end of the object") }
        }
    }

    private mutating func list(depth: Int) throws(Failure) -> [ManifestValue] {
        var result: [ManifestValue] = []
        cursor.advance()
        cursor.skipSpace()
        if cursor.take("]") { return result }
        while true {
            result.append(try value(depth: depth + 1))
            cursor.skipSpace()
            if cursor.take("]") { return result }
            guard cursor.take(",") else { throw failure("expected a comma or the end of the list") }
        }
    }

    private mutating func number() throws(Failure) -> ManifestValue {
        let text = cursor.takeWhile { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "e"), UInt8(ascii: "E"):
                true
            default: false
            }
        }
        let digits = text.drop { $0 == "-" }
        let hasLeadingZero = digits.hasPrefix("0") && digits.dropFirst().first?.isNumber == true
        guard Double(text) != nil, !hasLeadingZero, text.last?.isNumber == true else {
            throw failure("expected a number, got \(text)")
        }
        return Int64(text).map(ManifestValue.integer) ?? .number(text)
    }

    private mutating func string() throws(Failure) -> String {
        cursor.advance()
        var result = cursor.takeWhile(Self.isPlain)
        while true {
            if cursor.take("\"") { return result }
            guard cursor.take("\\") else {
                throw failure(cursor.peek == nil ? "the text ends inside a string" : "control character in a string")
            }
            result.unicodeScalars.append(try escape())
            result += cursor.takeWhile(Self.isPlain)
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    private mutating func escape() throws(Failure) -> Unicode.Scalar {
        let byte = cursor.peek
        cursor.advance()
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try escapedScalar()
        default: throw failure("unknown escape in a string")
        }
    }

    /// A scalar of one escape, or of two that are a surrogate pair; a lone surrogate becomes U+FFFD.
    private mutating func escapedScalar() throws(Failure) -> Unicode.Scalar {
        let first = try codeUnit()
        if let scalar = Unicode.Scalar(first) { return scalar }
        let beforeSecond = cursor
        if first < 0xdc00, cursor.take("\\u") {
            let second = try codeUnit()
            if (0xdc00...0xdfff).contains(second) {
                return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00)) ?? "\u{fffd}"
            }
            cursor = beforeSecond
        }
        return "\u{fffd}"
    }

    private mutating func codeUnit() throws(Failure) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = cursor.peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw failure("expected four hexadecimal digits")
            }
            unit = unit << 4 | UInt32(digit)
            cursor.advance()
        }
        return unit
    }
}
