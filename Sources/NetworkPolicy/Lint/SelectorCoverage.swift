/// What follows from label selectors alone, whatever objects there are.
extension CanonicalSelector {
    /// Whether every object that `other` selects is selected: each requirement follows from one of `other`'s.
    func covers(_ other: CanonicalSelector) -> Bool {
        requirements.allSatisfy { wanted in other.requirements.contains { $0.implies(wanted) } }
    }

    /// Whether no object can be selected by both.
    func excludes(_ other: CanonicalSelector) -> Bool {
        requirements.contains { mine in other.requirements.contains { $0.contradicts(mine) } }
    }

    static let namespaceName = "kubernetes.io/metadata.name"

    /// The selector of one namespace by its name.
    static func namespace(_ name: String) -> CanonicalSelector {
        CanonicalSelector(LabelSelector(matchLabels: [namespaceName: name]))
    }
}

extension LabelRequirement {
    fileprivate func implies(_ wanted: LabelRequirement) -> Bool {
        guard key == wanted.key else { return false }
        return switch (comparison, wanted.comparison) {
        case (.isIn, .isIn): Set(values).isSubset(of: wanted.values)
        case (.isIn, .notIn): Set(values).isDisjoint(with: wanted.values)
        case (.notIn, .notIn): Set(values).isSuperset(of: wanted.values)
        case (.isIn, .exists), (.exists, .exists): true
        case (.doesNotExist, .doesNotExist), (.doesNotExist, .notIn): true
        case (.notIn, _), (.exists, _), (.isIn, .doesNotExist), (.doesNotExist, _): false
        }
    }

    fileprivate func contradicts(_ other: LabelRequirement) -> Bool {
        guard key == other.key else { return false }
        return switch (comparison, other.comparison) {
        case (.isIn, .isIn): Set(values).isDisjoint(with: other.values)
        case (.isIn, .notIn): Set(values).isSubset(of: other.values)
        case (.notIn, .isIn): Set(other.values).isSubset(of: values)
        case (.isIn, .doesNotExist), (.exists, .doesNotExist): true
        case (.doesNotExist, .isIn), (.doesNotExist, .exists): true
        case (.notIn, _), (.exists, _), (.doesNotExist, _), (.isIn, .exists): false
        }
    }
}

/// The same for namespaces, of which the labels may be known.
struct NamespaceCoverage {
    /// All labels of each Namespace that there is. Of others nothing but the name is known, which is a label as well.
    let labels: [String: [String: String]]

    func covers(_ scope: NamespaceScope, _ other: NamespaceScope) -> Bool {
        switch (scope, other) {
        case (.everywhere, _): true
        case (.matching(let selector), _) where selector.requirements.isEmpty: true
        case (.named(let name), .named(let other)): name == other
        case (.matching(let selector), .named(let name)): matches(selector, name)
        case (.matching(let selector), .matching(let other)): selector.covers(other)
        case (.named(let name), .matching(let other)): CanonicalSelector.namespace(name).covers(other)
        case (.named, .everywhere), (.matching, .everywhere): false
        }
    }

    func excludes(_ scope: NamespaceScope, _ other: NamespaceScope) -> Bool {
        switch (scope, other) {
        case (.named(let name), .named(let other)): name != other
        case (.matching(let selector), .matching(let other)): selector.excludes(other)
        case (.matching(let selector), .named(let name)), (.named(let name), .matching(let selector)):
            labels[name].map { !selector.matches($0) } ?? selector.excludes(.namespace(name))
        case (.everywhere, _), (_, .everywhere): false
        }
    }

    func covers(_ set: PodSet, _ other: PodSet) -> Bool {
        covers(set.scope, other.scope) && set.selector.covers(other.selector)
    }

    func excludes(_ set: PodSet, _ other: PodSet) -> Bool {
        excludes(set.scope, other.scope) || set.selector.excludes(other.selector)
    }

    /// Whether a namespace is selected for sure: of one without an object only the name is known.
    private func matches(_ selector: CanonicalSelector, _ name: String) -> Bool {
        labels[name].map(selector.matches) ?? selector.covers(.namespace(name))
    }
}
