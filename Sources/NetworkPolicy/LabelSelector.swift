/// One `matchExpressions` item of a label selector.
public struct LabelRequirement: Sendable, Hashable {
    /// How a requirement compares a label with its values.
    public enum Operator: String, Sendable, Hashable, CaseIterable {
        case isIn = "In"
        case notIn = "NotIn"
        case exists = "Exists"
        case doesNotExist = "DoesNotExist"
    }

    public var key: String
    public var comparison: Operator
    /// The values of `In` and `NotIn`; empty for the other operators.
    public var values: [String]

    public init(_ key: String, _ comparison: Operator, _ values: [String] = []) {
        self.key = key
        self.comparison = comparison
        self.values = values
    }
}

/// A Kubernetes label selector: every label and every expression must hold; an empty selector selects everything.
public struct LabelSelector: Sendable, Hashable {
    public var matchLabels: [String: String]
    public var matchExpressions: [LabelRequirement]

    public init(matchLabels: [String: String] = [:], matchExpressions: [LabelRequirement] = []) {
        self.matchLabels = matchLabels
        self.matchExpressions = matchExpressions
    }

    /// The selector that selects everything.
    public static let everything = LabelSelector()

    /// Whether an object with these labels is selected.
    public func matches(_ labels: [String: String]) -> Bool { CanonicalSelector(self).matches(labels) }
}
