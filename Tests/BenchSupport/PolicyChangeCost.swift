internal import Addressing
internal import Datapath
internal import NetworkPolicy
internal import PolicyGenerators

/// What one changed label of a pod takes in a cluster in which every pod has a class.
public struct PolicyChangeCost: Sendable {
    public let pods: Int
    public let policies: Int
    /// The median of the changes, from the object to the edits of the maps.
    public let time: Duration
    /// Pods and addresses that one of them looked at, the most of any.
    public let lookedAt: Int
    /// Selectors that one of them asked, likewise.
    public let asked: Int
    /// Entries of maps that putting one of them in force looked at, likewise.
    public let entries: Int

    /// Measures it: a pod of another node ends being one that policies of this node admit, and comes to be one again.
    ///
    /// - Parameter namespaces: Of 100 pods and two policies each.
    public static func measure(namespaces: Int) -> PolicyChangeCost {
        var cluster = TeamCluster(namespaces: namespaces, role: "client")
        var maps = ChangedMaps(cluster)
        let clock = ContinuousClock()
        var times: [Duration] = []
        var (lookedAt, asked, entries) = (0, 0, 0)
        for number in 0..<201 {
            var change: (work: PolicyWork, edits: [PolicyEdit]) = (PolicyWork(), [])
            times.append(
                clock.measure { change = cluster.change(role: number.isMultiple(of: 2) ? "other" : "client") })
            lookedAt = max(lookedAt, change.work.pods + change.work.addresses)
            asked = max(asked, change.work.selectors)
            entries = max(entries, maps.entriesLookedAt(for: change.edits))
        }
        return PolicyChangeCost(
            pods: namespaces * TeamCluster.podsOfNamespace, policies: namespaces * TeamCluster.policiesOfNamespace,
            time: times.sorted()[times.count / 2], lookedAt: lookedAt, asked: asked,
            entries: entries)
    }
}

/// The maps of a node in the cluster, with nobody to write to.
private struct ChangedMaps {
    private var tables = DatapathTables(node: "here", startedAt: 1)
    private var writer = PlanRecorder()
    private var now: UInt64 = 0

    init(_ cluster: TeamCluster) {
        tables.apply(cluster.everything().map(DatapathEdit.policy))
        let pods = cluster.localPods.enumerated().map { number, pod in
            EndpointSpec(
                pod: pod.key, uid: "bench", addresses: [pod.address], interface: UInt32(100 + number), mac: nil,
                hostMAC: MACAddress(bits: 0xee), canRedirect: true)
        }
        tables.apply(pods.map { .endpoint(.upsert($0)) })
        _ = entriesLookedAt(for: [])
    }

    /// How many entries are looked at until the edits are in force and what they leave behind is gone.
    mutating func entriesLookedAt(for edits: [PolicyEdit]) -> Int {
        let before = tables.entriesLookedAt
        tables.apply(edits.map(DatapathEdit.policy))
        for _ in 0..<4 {
            now += 2 * DatapathTables.defaultGrace
            writer = PlanRecorder()
            _ = tables.program(into: &writer, now: now)
        }
        return tables.entriesLookedAt - before
    }
}
