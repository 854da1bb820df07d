/// The meaning of a plain YAML scalar, as kubectl sees it: YAML 1.1 booleans, and Go's integers.
///
/// Taking `yes` or `010` for text would accept manifests here that mean something else to the API server.
enum YAMLScalar {
    /// The value of a scalar without quotes and without a tag.
    static func plain(_ text: String) -> ManifestValue {
        switch text {
        case "", "~", "null", "Null", "NULL":
            return .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y":
            return .boolean(true)
        case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N":
            return .boolean(false)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
            return .number(text)
        default:
            return number(text) ?? .string(text)
        }
    }

    private static func number(_ text: String) -> ManifestValue? {
        guard let first = text.utf8.first, mayStartNumber(first) else { return nil }
        let digits = text.contains("_") ? text.filter { $0 != "_" } : text
        if let integer = integer(digits) { return .integer(integer) }
        let isDecimal = digits.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"),
                UInt8(ascii: "+"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return isDecimal && Double(digits) != nil ? .number(text) : nil
    }

    private static func mayStartNumber(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): true
        default: false
        }
    }

    /// An integer with an optional sign and one of the prefixes 0x, 0o, 0b, or 0 for octal.
    private static func integer(_ text: String) -> Int64? {
        let isNegative = text.hasPrefix("-")
        var digits = isNegative || text.hasPrefix("+") ? text.dropFirst() : text[...]
        guard let first = digits.utf8.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return nil }
        let radix: Int
        switch digits.prefix(2).lowercased() {
        case "0x": (radix, digits) = (16, digits.dropFirst(2))
        case "0o": (radix, digits) = (8, digits.dropFirst(2))
        case "0b": (radix, digits) = (2, digits.dropFirst(2))
        case let start where start.hasPrefix("0") && start.count == 2: radix = 8
        default: radix = 10
        }
        guard let head = digits.first, head != "-", head != "+" else { return nil }
        return Int64((isNegative ? "-" : "") + digits, radix: radix)
    }
}
