/// A label selector as written: every label and every requirement must hold; an empty one matches everything.
public struct LabelSelector: Sendable, Hashable {
    /// Labels that must be there with exactly these values.
    public var matchLabels: [String: String]
    /// Further requirements.
    public var matchExpressions: [LabelRequirement]

    /// A selector.
    public init(matchLabels: [String: String] = [:], matchExpressions: [LabelRequirement] = []) {
        self.matchLabels = matchLabels
        self.matchExpressions = matchExpressions
    }
}

/// One requirement of a selector on one label.
public struct LabelRequirement: Sendable, Hashable {
    /// How a label is judged; `notIn` also holds where the label is missing.
    public enum Operator: String, Sendable, Hashable, CaseIterable {
        case `in` = "In"
        case notIn = "NotIn"
        case exists = "Exists"
        case doesNotExist = "DoesNotExist"
    }

    /// The label.
    public var key: String
    /// How it is judged.
    public var `operator`: Operator
    /// At least one for `in` and `notIn`, none for the others.
    public var values: [String]

    /// A requirement.
    public init(key: String, operator: Operator, values: [String] = []) {
        self.key = key
        self.operator = `operator`
        self.values = values
    }
}
