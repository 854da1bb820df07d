/// A label selector in one form for all its spellings, so that equal selectors are recognised as equal.
struct CanonicalSelector: Hashable {
    /// Requirements in order, each with its values in order and without repeats.
    let requirements: [LabelRequirement]

    init(_ selector: LabelSelector) {
        var all = selector.matchLabels.map { LabelRequirement($0.key, .isIn, [$0.value]) }
        all += selector.matchExpressions.map {
            LabelRequirement($0.key, $0.comparison, Set($0.values).sorted())
        }
        requirements = Set(all).sorted(by: CanonicalSelector.precedes)
    }

    private static func precedes(_ left: LabelRequirement, _ right: LabelRequirement) -> Bool {
        if left.key != right.key { return left.key < right.key }
        if left.comparison != right.comparison { return left.comparison.rawValue < right.comparison.rawValue }
        return left.values.lexicographicallyPrecedes(right.values)
    }

    func matches(_ labels: [String: String]) -> Bool {
        requirements.allSatisfy { requirement in
            let value = labels[requirement.key]
            return switch requirement.comparison {
            case .isIn: value.map(requirement.values.contains) ?? false
            case .notIn: !(value.map(requirement.values.contains) ?? false)
            case .exists: value != nil
            case .doesNotExist: value == nil
            }
        }
    }

    /// Label pairs of which a matching object has exactly one; nil when no requirement asks for a value.
    var requiredPairs: [LabelPair]? {
        let candidates = requirements.filter { $0.comparison == .isIn }
        guard let narrowest = candidates.min(by: { $0.values.count < $1.values.count }) else { return nil }
        return narrowest.values.map { LabelPair(key: narrowest.key, value: $0) }
    }
}

extension CanonicalSelector: CustomStringConvertible {
    var description: String {
        if requirements.isEmpty { return "{}" }
        return requirements.map { requirement in
            let values = requirement.values.joined(separator: ",")
            return switch requirement.comparison {
            case .isIn where requirement.values.count == 1: "\(requirement.key)=\(values)"
            case .isIn: "\(requirement.key) in (\(values))"
            case .notIn: "\(requirement.key) notin (\(values))"
            case .exists: requirement.key
            case .doesNotExist: "!\(requirement.key)"
            }
        }.joined(separator: " & ")
    }
}

/// A label and its value.
struct LabelPair: Hashable {
    let key: String
    let value: String
}

/// Selectors by a label they require, so that one object is tested against few of them.
struct SelectorIndex<ID: Hashable & Sendable>: Sendable {
    private var byPair: [LabelPair: Set<ID>] = [:]
    private var unlabelled: Set<ID> = []

    var isEmpty: Bool { byPair.isEmpty && unlabelled.isEmpty }

    mutating func insert(_ id: ID, _ selector: CanonicalSelector) {
        guard let pairs = selector.requiredPairs else {
            unlabelled.insert(id)
            return
        }
        for pair in pairs { byPair[pair, default: []].insert(id) }
    }

    mutating func remove(_ id: ID, _ selector: CanonicalSelector) {
        guard let pairs = selector.requiredPairs else {
            unlabelled.remove(id)
            return
        }
        for pair in pairs {
            byPair[pair]?.remove(id)
            if byPair[pair]?.isEmpty == true { byPair[pair] = nil }
        }
    }

    /// Calls `body` once for each selector that an object with these labels may match.
    func forEachCandidate(_ labels: [String: String], _ body: (ID) -> Void) {
        unlabelled.forEach(body)
        if byPair.isEmpty { return }
        for (key, value) in labels { byPair[LabelPair(key: key, value: value)]?.forEach(body) }
    }
}
