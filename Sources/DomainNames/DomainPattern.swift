/// A domain name, or a pattern of names, in normal form: lower case, no trailing dot, `**` written `*`.
///
/// Both dialects end in this one type, so a name that policies of both mention is one pattern.
public struct DomainPattern: Hashable, Sendable {
    /// What the text stands for.
    public enum Form: Int, Hashable, Sendable, CaseIterable {
        /// The name itself.
        case exact
        /// FQDNNetworkPolicy: each `*` is zero or more characters other than the dot.
        case wildcard
        /// ClusterNetworkPolicy: the leading `*` is one or more labels.
        case subdomains
        /// FQDNNetworkPolicy: a lone `*`, every name.
        case everything
    }

    public let form: Form
    public let text: String

    /// Bytes of the longest text; a name has no more (RFC 1035 §3.1 as text without the trailing dot).
    public static let longestText = 253

    /// The name of a `matches[].name` of FQDNNetworkPolicy, `^([a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])*\.?)*$`.
    public init(fqdnName text: String) throws(DomainPatternError) {
        let syntax = DomainSyntax(edges: .alphanumeric, inner: .name, expected: "a name of letters, digits, - and _")
        self.init(.exact, try syntax.normal(text))
    }

    /// The pattern of a `matches[].pattern` of FQDNNetworkPolicy,
    /// `^([a-zA-Z0-9*]([-a-zA-Z0-9_*]*[a-zA-Z0-9*])*\.?)*$`.
    public init(fqdnPattern text: String) throws(DomainPatternError) {
        let syntax = DomainSyntax(
            edges: .alphanumericOrStar, inner: .pattern, expected: "a pattern of letters, digits, -, _ and *")
        let normal = try syntax.normal(text)
        if normal == "*" {
            self.init(.everything, "*")
        } else if normal.utf8.allSatisfy({ $0 == UInt8(ascii: "*") }) {
            // Several stars are several runs without a dot, not the lone star that matches everything.
            self.init(.wildcard, "**")
        } else {
            self.init(normal.contains("*") ? .wildcard : .exact, Self.collapsingStars(normal))
        }
    }

    /// One of `domainNames[]` of ClusterNetworkPolicy: a name of two labels or more, after an optional `*.`.
    ///
    /// A label may start with an underscore: the pattern of the CRD says `A-z`, which includes it.
    public init(clusterDomain text: String) throws(DomainPatternError) {
        let isWild = text.hasPrefix("*.")
        let syntax = DomainSyntax(
            edges: .alphanumeric, first: .alphanumericOrUnderscore, inner: .name,
            expected: "a name of two labels or more, or \"*.\" before one")
        let rest = try syntax.normal(isWild ? String(text.dropFirst(2)) : text, of: text)
        guard rest.utf8.contains(UInt8(ascii: ".")) else {
            throw DomainPatternError(text, .tooFewLabels, expected: syntax.expected)
        }
        self.init(isWild ? .subdomains : .exact, isWild ? "*." + rest : rest)
    }

    private init(_ form: Form, _ text: String) {
        self.form = form
        self.text = text
    }

    private static func collapsingStars(_ text: String) -> String {
        var result = ""
        for character in text where character != "*" || result.last != "*" { result.append(character) }
        return result
    }
}

/// By text, then by form: the order of pattern numbers, which must not depend on the order of the policies.
extension DomainPattern: Comparable {
    public static func < (left: DomainPattern, right: DomainPattern) -> Bool {
        (left.text, left.form.rawValue) < (right.text, right.form.rawValue)
    }
}

extension DomainPattern: CustomStringConvertible {
    public var description: String { text }
}
