/// Why a text is not a name or pattern of its dialect.
public struct DomainPatternError: Error, Hashable, Sendable {
    /// What is wrong.
    public enum Problem: Hashable, Sendable {
        /// Nothing is left of the text without its trailing dot.
        case empty
        /// More than ``DomainPattern/longestText`` bytes, without the trailing dot.
        case tooLong(Int)
        /// A label without characters, as in `a..b`.
        case emptyLabel
        /// A character that the dialect does not allow anywhere; `*` too, where it has no meaning.
        case character(Character)
        /// A label starts or ends with a character that may stand only inside.
        case labelEdge(Character)
        /// ClusterNetworkPolicy wants two labels at least, besides `*.`.
        case tooFewLabels
    }

    /// The text as it was given.
    public let text: String
    public let problem: Problem
    /// What the dialect takes, for people.
    private let expected: String

    init(_ text: String, _ problem: Problem, expected: String) {
        self.text = text
        self.problem = problem
        self.expected = expected
    }
}

extension DomainPatternError: CustomStringConvertible {
    public var description: String { "\"\(text)\" \(reason)" }

    private var reason: String {
        switch problem {
        case .empty: "is empty"
        case .tooLong(let length): "has \(length) characters, more than \(DomainPattern.longestText)"
        case .emptyLabel: "has an empty label"
        case .character(let character): "must not contain \"\(character)\": expected \(expected)"
        case .labelEdge(let character): "has a label that starts or ends with \"\(character)\""
        case .tooFewLabels: "needs at least two labels"
        }
    }
}
