internal import Addressing
internal import DatapathABI
public import NetworkPolicy

/// A pod that is judged by the policies of now, which know peers by classes that these do not have yet.
public struct HeldPeers: Sendable, Hashable {
    public let pod: PodKey
    /// The addresses and prefixes, for people, in order.
    public let peers: [String]
}

extension DatapathTables {
    /// The pods that are not judged as before the start, and whose policies tell apart what peers are from what they
    /// were: a rule that denies such a peer may not hold, as its class stays until `removeStale`.
    public var heldPeers: [HeldPeers] {
        let changes = policies.heldChanges
        if changes.isEmpty { return [] }
        var knowers: [UInt32: Set<UInt32>] = [:]
        for key in policies.peers.entries.keys {
            let (policy, classID) = PolicyTables.owners(ofPeers: key)
            knowers[classID, default: []].insert(policy)
        }
        return endpoints.records.values.compactMap { record in
            guard let pod = record.name?.pod, record.hasPolicies else { return nil }
            let own: Set = [record.wanted.ingress_policy, record.wanted.egress_policy]
            let peers = changes.filter { change in
                change.classes.contains { !own.isDisjoint(with: knowers[$0] ?? []) }
            }
            return peers.isEmpty ? nil : HeldPeers(pod: pod, peers: peers.map(\.peer))
        }.sorted { $0.pod < $1.pod }
    }
}

extension PolicyTables {
    /// The peers whose class is another one than edits say, with both classes, in order.
    fileprivate var heldChanges: [(peer: String, classes: [UInt32])] {
        (heldBack ?? [:]).sorted { memoryOrder($0.key, $1.key) }.compactMap { key, edit in
            let table = classes[key] == nil ? prefixes : classes
            let (was, willBe) = (table[key]?.load(UInt32.self), edit.classID)
            if was == willBe { return nil }
            return (table.table.text(ofKey: key), [was, willBe].compactMap { $0 })
        }
    }
}

extension PolicyEdit {
    /// The class that an address or prefix gets.
    fileprivate var classID: UInt32? {
        switch self {
        case .setClass(_, let peer): peer.id.rawValue
        case .setPrefixClass(_, let id): id.rawValue
        default: nil
        }
    }
}
