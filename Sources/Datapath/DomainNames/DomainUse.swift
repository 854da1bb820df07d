internal import DatapathABI
internal import DomainNames
internal import NetworkPolicy

/// A pattern of names as the maps write it.
public struct PatternText: Sendable, Hashable, Comparable {
    /// The field that such a pattern is written in: `name`, `pattern` or `domainNames`.
    public let field: String
    /// Lower case, no trailing dot.
    public let text: String

    public init(field: String, text: String) {
        self.field = field
        self.text = text
    }

    /// - Parameter path: where it is written, `spec.egress[0].matches[0].pattern`; nil: that is not known.
    init(_ pattern: DomainPattern, writtenAt path: String? = nil) {
        text = pattern.text
        if let last = path?.split(separator: ".").last?.prefix(while: { $0 != "[" }) {
            field = String(last)
            return
        }
        field =
            switch pattern.form {
            case .exact: "name"
            case .wildcard, .everything: "pattern"
            case .subdomains: "domainNames"
            }
    }

    /// Whether both match the same names: a text without stars means the same in every field.
    public func isSamePattern(as other: PatternText) -> Bool {
        text == other.text && (field == other.field || !text.contains("*"))
    }

    /// Parses `field/pattern`.
    init?(_ written: some StringProtocol) {
        guard let slash = written.firstIndex(of: "/") else { return nil }
        self.init(field: String(written[..<slash]), text: String(written[written.index(after: slash)...]))
    }

    /// Whether a name, in lower case and without a trailing dot, matches the pattern by its text, in force or not.
    public func matches(_ name: String) -> Bool { pattern?.matches(name) ?? false }

    /// The pattern; nil where the field is none or does not allow the text.
    var pattern: DomainPattern? {
        switch field {
        // A set's names are all written so, also those that only `domainNames` allows: labels that begin with `_`.
        case "name":
            (try? DomainPattern(fqdnName: text))
                ?? (try? DomainPattern(clusterDomain: text)).flatMap { $0.form == .exact ? $0 : nil }
        case "pattern": try? DomainPattern(fqdnPattern: text)
        case "domainNames": try? DomainPattern(clusterDomain: text)
        default: nil
        }
    }

    /// `field/pattern`.
    var written: String { "\(field)/\(text)" }

    public static func < (left: PatternText, right: PatternText) -> Bool {
        (left.text, left.field) < (right.text, right.field)
    }
}

/// A pattern in a rule of a policy, as `names` has it: several in one entry, as each of them is short.
struct DomainUse: Hashable {
    let rule: UInt32
    let pattern: PatternText

    /// `rule/field/pattern`.
    var written: String { "\(rule)/\(pattern.written)" }

    init(rule: UInt32, pattern: PatternText) {
        self.rule = rule
        self.pattern = pattern
    }

    init?(_ written: Substring) {
        guard let slash = written.firstIndex(of: "/"), let rule = UInt32(written[..<slash]),
            let pattern = PatternText(written[written.index(after: slash)...])
        else { return nil }
        self.init(rule: rule, pattern: pattern)
    }

    /// The patterns of an entry.
    static func list(_ text: String) -> [DomainUse] { text.split(separator: " ").compactMap { DomainUse($0) } }
}

extension CompiledPolicy {
    /// The entries of `names` with the patterns in its rules.
    var domainNames: [TableEntry] {
        var texts: [String] = []
        for domain in domains {
            for rule in domain.bits.rules {
                let path = rules.indices.contains(rule) ? rules[rule].origin.patternFields[domain.pattern] : nil
                let text = PatternText(domain.pattern, writtenAt: path)
                let written = DomainUse(rule: UInt32(rule), pattern: text).written
                // A value ends with a zero byte.
                if let last = texts.last, last.utf8.count + 1 + written.utf8.count < DatapathTable.names.valueSize {
                    texts[texts.count - 1] = "\(last) \(written)"
                } else {
                    texts.append(written)
                }
            }
        }
        return texts.enumerated().map { number, text in
            TableEntry(
                key: NameKey.domains(policy: id.rawValue, UInt32(number)).key, value: NameKey.value(text))
        }
    }
}
