/// Takes the body of a list apart while it arrives, so that only one item is held as JSON at a time.
///
/// What is around the items is kept and read at the end: built-in kinds have `metadata` before the items, custom
/// resources behind them, and an answer that is no list has no items at all.
package struct ListScanner {
    /// The body without the text of its items.
    private(set) package var envelope: [UInt8] = []

    private let limit: Int
    private var item: [UInt8] = []
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private var isInItems = false
    /// The last string outside of items and of nested objects: before a `[`, the name of the list.
    private var name: [UInt8] = []

    /// A scanner that refuses items, and anything around them, of more than `limit` bytes.
    package init(limit: Int = 16 << 20) {
        self.limit = limit
    }

    /// Takes in the next bytes, and returns the items that they complete.
    package mutating func take(_ bytes: some Sequence<UInt8>) throws(MalformedBody) -> [[UInt8]] {
        var items: [[UInt8]] = []
        for byte in bytes {
            if isInItems { takeInItems(byte, &items) } else { takeOutside(byte) }
        }
        if item.count > limit || envelope.count > limit { throw MalformedBody("an item of the list is too long") }
        return items
    }

    private mutating func takeOutside(_ byte: UInt8) {
        envelope.append(byte)
        if takeInString(byte) {
            if depth == 1, isInString { name.append(byte) }
            return
        }
        switch byte {
        case UInt8(ascii: "\""): (isInString, name) = (true, [])
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            depth += 1
            isInItems = byte == UInt8(ascii: "[") && depth == 2 && name.elementsEqual("items".utf8)
        case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
        default: break
        }
    }

    private mutating func takeInItems(_ byte: UInt8, _ items: inout [[UInt8]]) {
        if depth > 2 { item.append(byte) }
        if takeInString(byte) { return }
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "["), UInt8(ascii: "{"):
            if depth == 2 { item.append(byte) }
            depth += 1
        case UInt8(ascii: "]"), UInt8(ascii: "}"):
            depth -= 1
            if depth == 2 {
                items.append(item)
                item.removeAll(keepingCapacity: true)
            } else if depth == 1 {
                isInItems = false
                envelope.append(byte)
            }
        default: break
        }
    }

    /// Whether the byte belongs to a string, of which a quote that ends it is the last.
    private mutating func takeInString(_ byte: UInt8) -> Bool {
        guard isInString else { return false }
        if isEscaped {
            isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
            isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
            isInString = false
        }
        return true
    }
}

/// An answer that is no JSON, or not what was asked for.
package struct MalformedBody: Error, Hashable {
    /// What is wrong with it.
    package let message: String

    package init(_ message: String) {
        self.message = message
    }
}
