internal import Kubernetes

/// How the source of objects stands with each kind, and since when something is wrong with it.
struct SourceHealth: Sendable {
    private var standings: [ObjectKind: KindStanding] = [:]
    /// Since when not every kind can be followed, in nanoseconds since 1970; nil while all can.
    private(set) var failingSince: UInt64?

    /// How it stands with a kind; nil where the source says nothing of that, as a directory.
    subscript(kind: ObjectKind) -> KindStanding? { standings[kind] }

    /// Whether all kinds are followed; nil where the source says nothing of that.
    var isConnected: Bool? { standings.isEmpty ? nil : standings.values.allSatisfy(\.isConnected) }

    /// The problem of the first kind that can't be followed now.
    var problem: String? {
        let failing = standings.filter { !$0.value.isConnected && $0.value.problem != nil }
        return failing.min { $0.key.rawValue < $1.key.rawValue }?.value.problem
    }

    /// Takes in how it stands with a kind; returns whether its problem is another one now.
    mutating func note(_ standing: KindStanding, of kind: ObjectKind, at now: UInt64) -> Bool {
        let before = standings.updateValue(standing, forKey: kind)
        failingSince = problem == nil ? nil : failingSince ?? now
        return before?.problem != standing.problem
    }
}
