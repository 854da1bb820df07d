/// A JSON value as the text that it was written as (RFC 8259).
///
/// Nothing is rebuilt: what a reader does not look at stays as it is, byte for byte, and can be handed on so. It needs
/// no Foundation, whose start alone takes longer than a CNI plugin should.
package struct JSONText: Sendable, Hashable {
    /// What kind of value it is.
    package enum Kind: Sendable, Hashable {
        case object, list, string, number, boolean, null
    }

    /// One member of an object.
    package struct Member: Sendable, Hashable {
        package let name: String
        package let value: JSONText
    }

    /// The text, without space around it.
    package let bytes: ArraySlice<UInt8>

    /// The one value of a text.
    package init(_ text: some Sequence<UInt8>) throws(JSONTextError) {
        var scanner = JSONScanner(ArraySlice(text))
        let value = try scanner.value()
        guard scanner.isAtEnd else { throw scanner.failure("something follows the value") }
        bytes = value
    }

    /// The values of a text that has any number of them, one after the other.
    package static func values(_ text: some Sequence<UInt8>) throws(JSONTextError) -> [JSONText] {
        var scanner = JSONScanner(ArraySlice(text))
        var found: [JSONText] = []
        while !scanner.isAtEnd { found.append(JSONText(checked: try scanner.value())) }
        return found
    }

    /// A part of a text that has been looked through.
    private init(checked bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    /// What kind of value it is.
    package var kind: Kind {
        switch bytes.first {
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .list
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .boolean
        case UInt8(ascii: "n"): .null
        default: .number
        }
    }

    /// The text as a string.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The members of an object in their order; none of anything else.
    package var members: [Member] {
        guard kind == .object else { return [] }
        var found: [Member] = []
        var scanner = JSONScanner(bytes)
        // The text was looked through when it came in, so this finds nothing wrong.
        try? scanner.object { name, value in
            found.append(Member(name: JSONText(checked: name).string ?? "", value: JSONText(checked: value)))
        }
        return found
    }

    /// The elements of a list in their order; none of anything else.
    package var elements: [JSONText] {
        guard kind == .list else { return [] }
        var found: [JSONText] = []
        var scanner = JSONScanner(bytes)
        try? scanner.list { found.append(JSONText(checked: $0)) }
        return found
    }

    /// A member of an object, of several of one name the last; nil where there is none.
    package subscript(name: String) -> JSONText? { members.last { $0.name == name }?.value }

    /// What a string says; nil for anything else.
    package var string: String? {
        guard kind == .string else { return nil }
        return JSONEscapes.decoded(bytes.dropFirst().dropLast())
    }

    /// What a number without a fraction says; nil for anything else.
    package var integer: Int? { kind == .number ? Int(text) : nil }

    /// What a boolean says; nil for anything else.
    package var boolean: Bool? { kind == .boolean ? bytes.first == UInt8(ascii: "t") : nil }

    /// A string as JSON writes it.
    package static func quoted(_ text: String) -> String { JSONEscapes.quoted(text) }
}

/// Why a text is no JSON.
package struct JSONTextError: Error, Sendable, Hashable, CustomStringConvertible {
    package let message: String
    /// The byte at which it was found, from 0.
    package let offset: Int

    package var description: String { "\(message) at byte \(offset)" }
}
