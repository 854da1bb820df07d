/// A parsed document before it is given a type: what YAML and JSON have in common.
enum ManifestValue: Sendable {
    case null
    case boolean(Bool)
    case integer(Int64)
    /// A number that is no 64-bit integer, as written.
    case number(String)
    case string(String)
    case list([ManifestValue])
    case object(ManifestObject)
    /// What stands for a part of an API server's policy that can't be read: it matches nothing. No text has it.
    case unreadable
    /// What stands for an entry of a list of which all errors have been told, so that the others keep their places.
    case omitted

    /// The value in words, for the end of an error message.
    var inWords: String {
        switch self {
        case .null: "null"
        case .boolean(let value): "the boolean \(value)"
        case .integer(let value): "\(value)"
        case .number(let text): text
        case .string(let text): "\"\(text)\""
        case .list: "a list"
        case .object: "an object"
        case .unreadable, .omitted: "a part that can't be read"
        }
    }

    var isNull: Bool {
        if case .null = self { true } else { false }
    }

    var isOmitted: Bool {
        if case .omitted = self { true } else { false }
    }

    var isUnreadable: Bool {
        if case .unreadable = self { true } else { false }
    }

    /// The text of a string, nil for anything else.
    var text: String? {
        if case .string(let text) = self { text } else { nil }
    }
}

/// The members of an object in their order; objects of manifests are small, so a scan beats a hash table.
struct ManifestObject: Sendable {
    struct Member: Sendable {
        let name: String
        let value: ManifestValue
    }

    var members: [Member] = []

    /// The member's value, of the last one where JSON repeats a name; nil when it is missing.
    subscript(name: String) -> ManifestValue? {
        members.last { $0.name == name }?.value
    }
}
