internal import DomainNames
internal import NetworkPolicy

/// A policy object by its age: older ones first, of the same age by name. Without a creation time it is as old as can be,
/// as manifests that have none are there before any API server is.
struct PolicyObjectAge: Sendable, Hashable, Comparable {
    let created: String
    let name: PolicyName
    /// Where the rule at hand has its patterns.
    let fields: [DomainPattern: String]

    init(_ origin: RuleOrigin) {
        created = origin.created ?? ""
        name = origin.policy
        fields = origin.patternFields
    }

    static func < (left: PolicyObjectAge, right: PolicyObjectAge) -> Bool {
        (left.created, left.name) < (right.created, right.name)
    }
}
