internal import JSONText

/// An object of JSON as it is written, member by member.
struct JSONObject {
    private var body = ""

    /// Whether it has no members.
    var isEmpty: Bool { body.isEmpty }
    /// The whole object.
    var text: String { "{\(body)}" }

    /// Adds a string, unless it is empty.
    mutating func add(_ name: String, _ value: String?) {
        if let value, !value.isEmpty { write(name, JSONText.quoted(value)) }
    }

    /// Adds a number.
    mutating func add(_ name: String, _ value: some BinaryInteger) { write(name, "\(value)") }

    /// Adds an object, also an empty one.
    mutating func add(_ name: String, _ value: JSONObject) { write(name, value.text) }

    /// Adds a list of objects, unless it is empty.
    mutating func add(_ name: String, _ values: [JSONObject]) {
        if !values.isEmpty { write(name, "[\(values.map(\.text).joined(separator: ","))]") }
    }

    /// Adds a value that is JSON already.
    mutating func add(_ name: String, raw value: String) { write(name, value) }

    private mutating func write(_ name: String, _ value: String) {
        if !body.isEmpty { body += "," }
        body += "\"\(name)\":\(value)"
    }
}
