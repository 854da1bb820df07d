/// What a dialect allows in a label, and the normal form of what it allows.
struct DomainSyntax {
    /// A set of ASCII characters.
    struct Characters: OptionSet {
        let rawValue: Int

        /// Letters of both cases, and digits.
        static let alphanumeric = Characters(rawValue: 1)
        static let hyphen = Characters(rawValue: 2)
        static let underscore = Characters(rawValue: 4)
        static let star = Characters(rawValue: 8)

        static let alphanumericOrStar: Characters = [.alphanumeric, .star]
        static let alphanumericOrUnderscore: Characters = [.alphanumeric, .underscore]
        static let name: Characters = [.alphanumeric, .hyphen, .underscore]
        static let pattern: Characters = [.alphanumeric, .hyphen, .underscore, .star]

        func contains(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): contains(.alphanumeric)
            case UInt8(ascii: "-"): contains(.hyphen)
            case UInt8(ascii: "_"): contains(.underscore)
            case UInt8(ascii: "*"): contains(.star)
            default: false
            }
        }
    }

    /// What a label may end with.
    let edges: Characters
    /// What a label may start with.
    let first: Characters
    /// What may stand inside of a label.
    let inner: Characters
    /// What a whole text is, as an error says it.
    let expected: String

    init(edges: Characters, first: Characters? = nil, inner: Characters, expected: String) {
        self.edges = edges
        self.first = first ?? edges
        self.inner = inner
        self.expected = expected
    }

    /// Checks a text; returns it in lower case without its trailing dot. `whole` is what an error shows.
    func normal(_ text: String, of whole: String? = nil) throws(DomainPatternError) -> String {
        let whole = whole ?? text
        let trimmed = text.hasSuffix(".") ? text.dropLast() : text[...]
        if trimmed.isEmpty { throw DomainPatternError(whole, .empty, expected: expected) }
        if trimmed.utf8.count > DomainPattern.longestText {
            throw DomainPatternError(whole, .tooLong(trimmed.utf8.count), expected: expected)
        }
        for label in trimmed.split(separator: ".", omittingEmptySubsequences: false) {
            if let problem = problem(label) { throw DomainPatternError(whole, problem, expected: expected) }
        }
        // The check has left nothing but ASCII.
        return trimmed.lowercased()
    }

    private func problem(_ label: Substring) -> DomainPatternError.Problem? {
        guard let head = label.first, let tail = label.last else { return .emptyLabel }
        for character in label where !isAllowed(character, inner) { return .character(character) }
        // A label of one character has to satisfy only the rule for the first.
        if !isAllowed(head, first) { return .labelEdge(head) }
        if label.count > 1, !isAllowed(tail, edges) { return .labelEdge(tail) }
        return nil
    }

    private func isAllowed(_ character: Character, _ set: Characters) -> Bool {
        guard let byte = character.asciiValue else { return false }
        return set.contains(DomainAlphabet.folded(byte))
    }
}
