/// Walks over JSON, and tells where its parts are.
struct JSONScanner {
    /// Deeper nesting is refused, so that outside data can't exhaust the stack.
    private static let maximumDepth = 256

    private let bytes: ArraySlice<UInt8>
    private var offset: Int
    private var depth = 0

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        offset = bytes.startIndex
    }

    /// Whether nothing but space is left.
    var isAtEnd: Bool { bytes[offset...].allSatisfy(Self.isSpace) }

    func failure(_ message: String) -> JSONTextError {
        JSONTextError(message: message, offset: offset - bytes.startIndex)
    }

    /// The next value, without the space before it.
    mutating func value() throws(JSONTextError) -> ArraySlice<UInt8> {
        skipSpace()
        let start = offset
        switch peek {
        case UInt8(ascii: "{"): try object { _, _ in }
        case UInt8(ascii: "["): try list { _ in }
        case UInt8(ascii: "\""): try string()
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        case nil: throw failure("the text ends where a value is expected")
        default: try number()
        }
        return bytes[start..<offset]
    }

    /// The members of the object that begins here.
    mutating func object(
        _ member: (_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Void
    ) throws(JSONTextError) {
        try parts(until: "}") { scanner throws(JSONTextError) in
            scanner.skipSpace()
            let start = scanner.offset
            guard scanner.peek == UInt8(ascii: "\"") else { throw scanner.failure("expected a name in quotes") }
            try scanner.string()
            let name = scanner.bytes[start..<scanner.offset]
            scanner.skipSpace()
            guard scanner.take(":") else { throw scanner.failure("expected a colon") }
            member(name, try scanner.value())
        }
    }

    /// The elements of the list that begins here.
    mutating func list(_ element: (ArraySlice<UInt8>) -> Void) throws(JSONTextError) {
        try parts(until: "]") { scanner throws(JSONTextError) in element(try scanner.value()) }
    }

    /// Parts with commas between them, from the bracket that opens to the one that closes.
    private mutating func parts(
        until end: Unicode.Scalar, _ part: (inout JSONScanner) throws(JSONTextError) -> Void
    ) throws(JSONTextError) {
        if depth == Self.maximumDepth { throw failure("nested more than \(Self.maximumDepth) levels deep") }
        depth += 1
        defer { depth -= 1 }
        offset += 1
        skipSpace()
        if take(end) { return }
        while true {
            try part(&self)
            skipSpace()
            if take(end) { return }
            guard take(",") else { throw failure("expected a comma or '\(end)'") }
        }
    }

    private mutating func string() throws(JSONTextError) {
        offset += 1
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                return
            case UInt8(ascii: "\\"): try escape()
            case 0..<0x20: throw failure("control character in a string")
            default: offset += 1
            }
        }
        throw failure("the text ends inside a string")
    }

    private mutating func escape() throws(JSONTextError) {
        offset += 1
        guard let byte = peek, JSONEscapes.letters.contains(byte) else { throw failure("unknown escape in a string") }
        offset += 1
        guard byte == UInt8(ascii: "u") else { return }
        for _ in 0..<4 {
            guard let digit = peek, Character(Unicode.Scalar(digit)).isHexDigit else {
                throw failure("expected four hexadecimal digits")
            }
            offset += 1
        }
    }

    /// `-`, digits without a zero in front, a fraction, an exponent.
    private mutating func number() throws(JSONTextError) {
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
    }

    private mutating func digits() throws(JSONTextError) {
        let start = offset
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { offset += 1 }
        if offset == start { throw failure("expected a value") }
    }

    private mutating func word(_ word: String) throws(JSONTextError) {
        guard bytes[offset...].starts(with: word.utf8) else { throw failure("expected a value") }
        offset += word.utf8.count
    }

    private var peek: UInt8? { offset < bytes.endIndex ? bytes[offset] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: scalar) else { return false }
        offset += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, Self.isSpace(byte) { offset += 1 }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
            || byte == UInt8(ascii: "\t")
    }
}
