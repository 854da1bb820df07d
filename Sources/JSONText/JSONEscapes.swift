/// How strings are written in JSON.
enum JSONEscapes {
    /// What may follow a backslash.
    static let letters = Array("\"\\/bfnrtu".utf8)

    /// What the inside of a string says; a lone surrogate becomes U+FFFD.
    static func decoded(_ bytes: ArraySlice<UInt8>) -> String {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let letter = rest.popFirst() else {
                result.append(byte)
                continue
            }
            result += Array(String(Character(scalar(letter, &rest))).utf8)
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func scalar(_ letter: UInt8, _ rest: inout ArraySlice<UInt8>) -> Unicode.Scalar {
        switch letter {
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: return Unicode.Scalar(letter)
        }
        let first = unit(&rest)
        if let scalar = Unicode.Scalar(first) { return scalar }
        var behind = rest
        guard first < 0xdc00, behind.popFirst() == UInt8(ascii: "\\"), behind.popFirst() == UInt8(ascii: "u") else {
            return "\u{fffd}"
        }
        let second = unit(&behind)
        guard (0xdc00...0xdfff).contains(second) else { return "\u{fffd}" }
        rest = behind
        return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00)) ?? "\u{fffd}"
    }

    private static func unit(_ rest: inout ArraySlice<UInt8>) -> UInt32 {
        let digits = rest.prefix(4)
        rest = rest.dropFirst(4)
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16) ?? 0xfffd
    }

    /// A string as JSON writes it.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                result += "\\"
                result.unicodeScalars.append(scalar)
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
