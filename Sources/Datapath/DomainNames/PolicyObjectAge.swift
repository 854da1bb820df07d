internal import NetworkPolicy

/// A policy object by its age: older ones first, of the same age by name. Without a creation time it is as old as can be,
/// as manifests that have none are there before any API server is.
struct PolicyObjectAge: Sendable, Hashable, Comparable {
    let created: String
    let name: PolicyName

    init(_ origin: RuleOrigin) {
        created = origin.created ?? ""
        name = origin.policy
    }

    static func < (left: PolicyObjectAge, right: PolicyObjectAge) -> Bool {
        (left.created, left.name) < (right.created, right.name)
    }
}
