internal import Addressing
internal import DatapathABI

/// What addresses and prefixes were and are now, as far as judging depends on it.
struct PeerChange {
    /// The classes from before and after, those included that were passed for meanwhile; nil: any.
    private(set) var classes: Set<UInt32>? = []
    /// How many entries were looked at.
    private(set) var lookedAt = 0

    /// - Parameters:
    ///   - keys: what is about to change in `table`.
    init(of keys: Set<Bytes>, in table: HashTable, _ policies: PolicyTables) {
        for key in keys {
            let (was, willBe) = (table.held(key), table[key])
            lookedAt += 1
            // Whoever else writes to the map may have done so more than once.
            if table.isDrift(key) || Self.flags(was) != Self.flags(willBe) {
                classes = nil
                return
            }
            classes?.formUnion([was, willBe].compactMap { $0?.load(UInt32.self) })
            if was != nil, willBe != nil { continue }
            let prefix = table.table == .peerClasses ? Bytes(of: UInt32(129)) + key : key
            let around = policies.classesAround(prefix)
            classes?.formUnion(around.classes)
            lookedAt += around.lookedAt
        }
        // It is everyone's who has none, and no policy has anything for it.
        classes?.remove(0)
    }

    private static func flags(_ value: Bytes?) -> UInt32 { value?.load(apus_peer_epoch.self)?.flags ?? 0 }
}

extension PolicyTables {
    /// The classes, wanted or in the kernel, that addresses of a prefix have where nothing as long or longer says so:
    /// those of shorter ones around it, up to the first that is there either way.
    fileprivate func classesAround(_ key: Bytes) -> (classes: [UInt32], lookedAt: Int) {
        guard let own = key.load(UInt32.self), let address = IPAddress(bytes: key.dropFirst(4)) else { return ([], 0) }
        var classes: [UInt32] = []
        var lookedAt = 0
        for length in (prefixes.lengths?.numbers.filter { $0 < own } ?? []).sorted(by: >) {
            let shorter = Bytes(of: length) + address.masked(to: Int(length)).bytes
            let (was, willBe) = (prefixes.held(shorter), prefixes[shorter])
            classes += [was, willBe].compactMap { $0?.load(UInt32.self) }
            lookedAt += 1
            if was != nil, willBe != nil { break }
        }
        return (classes, lookedAt)
    }

    /// Whether a policy has anything for one of the classes: its verdict on a peer may be another one than on anyone.
    fileprivate func knows(_ policy: UInt32, _ classes: Set<UInt32>) -> Bool {
        classes.contains { classID in
            let key = Self.peersKey(policy, classID, page: 0)
            return peers[key] != nil || peers.held(key) != nil
        }
    }
}

extension DatapathTables {
    /// Has the live connections judged again of endpoints whose policies tell apart what peers were and are.
    ///
    /// The others' verdicts stay, as the bits of a policy for a class do as long as anything leads to the class: they
    /// judge these peers as anyone, before and after.
    mutating func requireGenerations(for change: PeerChange) {
        let policies = self.policies
        var known: [UInt32: Bool] = [0: false]
        func isConcerned(_ policy: UInt32) -> Bool {
            if let isKnown = known[policy] { return isKnown }
            let isConcerned = change.classes.map { policies.knows(policy, $0) } ?? true
            known[policy] = isConcerned
            return isConcerned
        }
        endpoints.requireGenerations { isConcerned($0.ingress_policy) || isConcerned($0.egress_policy) }
        entriesLookedAt += change.lookedAt + known.count * (change.classes?.count ?? 0)
    }
}
