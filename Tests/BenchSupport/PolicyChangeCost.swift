internal import NetworkPolicy
internal import PolicyGenerators

/// What one changed label of a pod takes in a cluster, from the object to the edits of the maps.
public struct PolicyChangeCost: Sendable {
    public let pods: Int
    public let policies: Int
    /// The median of the changes.
    public let time: Duration
    /// Pods and addresses that one of them looked at, the most of any.
    public let lookedAt: Int
    /// Selectors that one of them asked, likewise.
    public let asked: Int

    /// Measures it: a pod of another node comes to be one that policies of this node admit, and ends being one.
    ///
    /// - Parameter namespaces: Of 100 pods and two policies each.
    public static func measure(namespaces: Int) -> PolicyChangeCost {
        var cluster = TeamCluster(namespaces: namespaces)
        let clock = ContinuousClock()
        var times: [Duration] = []
        var (lookedAt, asked) = (0, 0)
        for number in 0..<201 {
            times.append(
                clock.measure {
                    let work = cluster.change(role: number.isMultiple(of: 2) ? "client" : "other").work
                    lookedAt = max(lookedAt, work.pods + work.addresses)
                    asked = max(asked, work.selectors)
                })
        }
        return PolicyChangeCost(
            pods: namespaces * TeamCluster.podsOfNamespace, policies: namespaces * TeamCluster.policiesOfNamespace,
            time: times.sorted()[times.count / 2], lookedAt: lookedAt, asked: asked)
    }
}
