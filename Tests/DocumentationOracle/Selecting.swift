internal import Kubernetes

extension LabelSelector {
    /// Whether the labels satisfy the selector: everything in both lists must hold.
    func matches(_ labels: [String: String]) -> Bool {
        matchLabels.allSatisfy { labels[$0.key] == $0.value } && matchExpressions.allSatisfy { $0.holds(for: labels) }
    }
}

extension LabelRequirement {
    /// Whether one requirement holds; a missing label satisfies `NotIn` and `DoesNotExist` alone.
    fileprivate func holds(for labels: [String: String]) -> Bool {
        switch (self.operator, labels[key]) {
        case (.in, let value?): values.contains(value)
        case (.in, nil): false
        case (.notIn, let value?): !values.contains(value)
        case (.notIn, nil): true
        case (.exists, let value): value != nil
        case (.doesNotExist, let value): value == nil
        }
    }
}
