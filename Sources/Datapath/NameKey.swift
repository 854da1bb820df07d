internal import DatapathABI

/// What an entry of `names` names.
enum NameKey: Hashable, Sendable {
    case endpoint(Int)
    case service(UInt32)
    /// A rule of a policy by its number, or `APUS_RULE_ISOLATION`.
    case rule(policy: UInt32, UInt32)
    /// One of the patterns of a pattern set.
    case pattern(set: UInt32, UInt32)
    /// Some of the patterns in the rules of a policy.
    case domains(policy: UInt32, UInt32)

    var key: Bytes {
        switch self {
        case .endpoint(let slot): Self.bytes(.APUS_NAME_ENDPOINT, UInt32(slot), 0)
        case .service(let id): Self.bytes(.APUS_NAME_SERVICE, id, 0)
        case .rule(let policy, let rule): Self.bytes(.APUS_NAME_RULE, policy, rule)
        case .pattern(let set, let index): Self.bytes(.APUS_NAME_PATTERN, set, index)
        case .domains(let policy, let number): Self.bytes(.APUS_NAME_DOMAINS, policy, number)
        }
    }

    /// Nil when the bytes are no key of a known kind.
    init?(key: Bytes) {
        guard let raw = key.load(apus_name_key.self) else { return nil }
        // An imported C enum takes any raw value without a check, and traps when it is looked at: compare numbers.
        switch raw.kind {
        case apus_name_kind.APUS_NAME_ENDPOINT.rawValue: self = .endpoint(Int(raw.id))
        case apus_name_kind.APUS_NAME_SERVICE.rawValue: self = .service(raw.id)
        case apus_name_kind.APUS_NAME_RULE.rawValue: self = .rule(policy: raw.id, raw.index)
        case apus_name_kind.APUS_NAME_PATTERN.rawValue: self = .pattern(set: raw.id, raw.index)
        case apus_name_kind.APUS_NAME_DOMAINS.rawValue: self = .domains(policy: raw.id, raw.index)
        default: return nil
        }
    }

    private static func bytes(_ kind: apus_name_kind, _ id: UInt32, _ index: UInt32) -> Bytes {
        Bytes(of: apus_name_key(kind: kind.rawValue, id: id, index: index))
    }

    /// A text as a value; one that is too long loses its end, at a character's boundary.
    static func value(_ text: String) -> Bytes {
        var kept = Substring(text)
        while kept.utf8.count >= DatapathTable.names.valueSize { kept.removeLast() }
        return Bytes(kept.utf8) + Bytes(zeros: DatapathTable.names.valueSize - kept.utf8.count)
    }

    /// The text of a value; bytes that are no UTF-8 show as replacement characters.
    static func text(_ value: Bytes) -> String { String(decoding: value.prefix { $0 != 0 }, as: UTF8.self) }
}
