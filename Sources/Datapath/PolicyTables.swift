internal import Addressing
internal import DatapathABI
internal import NetworkPolicy

/// Policies, the classes of peers, and what leads to them.
struct PolicyTables: Sendable {
    var pages = HashTable(.policyPages)
    var peers = HashTable(.policyPeers)
    /// Single ports, and ranges of them: the data path looks among the former first.
    var singlePorts = HashTable(.policySinglePorts)
    var ports = HashTable(.policyPorts)
    var classes = HashTable(pointers: .peerClasses)
    var prefixes = HashTable(pointers: .peerPrefixes)
    /// What the kernel holds of both, in every epoch.
    var classRecords = PeerRecords()
    var prefixRecords = PeerRecords()
    static var portTables: [WritableKeyPath<PolicyTables, HashTable>] { [\.singlePorts, \.ports] }
    /// Whether policies with names came since their pattern sets were written down.
    var hasChangedDomains = false
    /// Policies that stay closed, as the kernel lacks classes that they tell apart.
    var exposedAndClosed: Set<UInt32> = []
    /// The last change, by its key, of each class that was taken over and must stay as it is for now; nil: none must.
    private(set) var heldBack: [Bytes: PolicyEdit]?
    /// The keys of every wanted policy, so that one change costs only its own size.
    private var keysOfPolicy: [PolicyID: PolicyKeys] = [:]
    /// The pages that have entries of the peers of a (policy, class).
    private var pagesOfPeers: [PeersKey: [Int]] = [:]

    private struct PolicyKeys {
        var pages: Set<Bytes> = []
        var ports: Set<Bytes> = []
        var names: Set<Bytes> = []
    }

    private struct PeersKey: Hashable {
        let policy: UInt32
        let classID: UInt32
    }

    /// Applies an edit; those of endpoints belong to `EndpointTables`.
    mutating func apply(_ edit: PolicyEdit, names: inout HashTable) {
        if heldBack != nil, let key = edit.peerKey, classes.unclaimed.contains(key) || prefixes.unclaimed.contains(key)
        {
            heldBack?[key] = edit
            return
        }
        switch edit {
        case .setPolicy(let policy): set(policy, names: &names)
        case .removePolicy(let id): remove(id, names: &names)
        case .setPeers(let policy, let classID, let bits): setPeers(policy.rawValue, classID.rawValue, bits)
        case .removePeers(let policy, let classID): setPeers(policy.rawValue, classID.rawValue, RuleBits())
        case .setClass(let address, let peer):
            classes.put(address.key, Bytes(of: apus_peer_epoch(class_id: peer.id.rawValue, flags: peer.flags)))
        case .removeClass(let address): classes.remove(address.key)
        case .setPrefixClass(let prefix, let classID): prefixes.put(prefix.key, Bytes(of: classID.rawValue))
        case .removePrefixClass(let prefix): prefixes.remove(prefix.key)
        case .setEndpoint, .removeEndpoint: break
        }
    }

    /// From now on classes that were taken over stay: the policies that were taken over know no others.
    mutating func holdAdopted() { heldBack = heldBack ?? [:] }

    /// Applies what was held back.
    mutating func releaseAdopted(names: inout HashTable) {
        guard let edits = heldBack else { return }
        heldBack = nil
        for edit in edits.values { apply(edit, names: &names) }
    }

    /// From now on these addresses have the classes that edits give them, those that were held back first.
    mutating func release(_ addresses: Set<Bytes>, names: inout HashTable) {
        guard heldBack != nil, !addresses.isEmpty else { return }
        for key in classes.unclaimed.intersection(addresses) { classes.remove(key) }
        for key in addresses {
            if let edit = heldBack?.removeValue(forKey: key) { apply(edit, names: &names) }
        }
    }

    private mutating func set(_ policy: CompiledPolicy, names: inout HashTable) {
        let encoded = EncodedPolicy(policy)
        let new = PolicyKeys(
            pages: Set(encoded.pages.map(\.key)), ports: Set(encoded.ports.map(\.key)),
            names: Set(encoded.names.map(\.key)))
        let old = keysOfPolicy.updateValue(new, forKey: policy.id) ?? PolicyKeys()
        for entry in encoded.pages { pages.put(entry.key, entry.value) }
        for entry in encoded.ports { self[keyPath: Self.tableOfPorts(entry.key)].put(entry.key, entry.value) }
        for entry in encoded.names { names.put(entry.key, entry.value) }
        for key in old.pages.subtracting(new.pages) { pages.retire(key) }
        for key in old.ports.subtracting(new.ports) { self[keyPath: Self.tableOfPorts(key)].retire(key) }
        for key in old.names.subtracting(new.names) { names.retire(key) }
    }

    private mutating func remove(_ id: PolicyID, names: inout HashTable) {
        guard let old = keysOfPolicy.removeValue(forKey: id) else { return }
        for key in old.pages { pages.retire(key) }
        for key in old.ports { self[keyPath: Self.tableOfPorts(key)].retire(key) }
        for key in old.names { names.retire(key) }
    }

    static func tableOfPorts(_ key: Bytes) -> WritableKeyPath<PolicyTables, HashTable> {
        let isSingle = key.load(apus_policy_ports_key.self)?.prefix_length == UInt32(APUS_POLICY_PORTS_FIXED_BITS) + 16
        return isSingle ? \.singlePorts : \.ports
    }

    mutating func setPeers(_ policy: UInt32, _ classID: UInt32, _ bits: RuleBits) {
        let key = PeersKey(policy: policy, classID: classID)
        func pageKey(_ page: Int) -> Bytes { Self.peersKey(policy, classID, page: page) }
        let entries = bits.entries
        let pages = entries.map(\.page)
        for (page, value) in entries { peers.put(pageKey(page), Bytes(of: value)) }
        for page in pagesOfPeers[key] ?? [] where !pages.contains(page) { peers.retire(pageKey(page)) }
        pagesOfPeers[key] = pages.isEmpty ? nil : pages
    }

    static func peersKey(_ policy: UInt32, _ classID: UInt32, page: Int) -> Bytes {
        Bytes(of: apus_policy_peers_key(policy: policy, class_id: classID, page: UInt32(page)))
    }

    // MARK: Programming

    /// Policies and classes whose content the kernel does not have in full yet.
    var incomplete: (policies: Set<UInt32>, classes: Set<UInt32>) {
        var policies: Set<UInt32> = []
        var classes: Set<UInt32> = []
        for key in pages.pendingPuts { policies.insert(PolicyTables.policy(ofPage: key)) }
        for key in pendingPorts { policies.insert(PolicyTables.policy(ofPorts: key)) }
        for key in peers.pendingPuts {
            let (policy, classID) = PolicyTables.owners(ofPeers: key)
            policies.insert(policy)
            // Nothing is judged by a policy without its first page, and that comes last.
            if !isHeadless(policy) { classes.insert(classID) }
        }
        return (policies, classes)
    }

    /// Whether a wanted policy lacks its first page, so that all it would judge is dropped.
    private func isHeadless(_ policy: UInt32) -> Bool {
        keysOfPolicy[PolicyID(rawValue: policy)] != nil && pages.isMissing(Self.headKey(policy))
    }

    static func headKey(_ policy: UInt32) -> Bytes {
        Bytes(of: apus_policy_page_key(policy: policy, page: 0))
    }

    /// Pages to write now, a policy's first one last, and those to hold back: a policy whose peers or ports are not
    /// all there must not come into force, as a rule that denies could be among them, nor one that would judge peers
    /// by classes that are not theirs. Without its first page all its traffic is dropped.
    var pendingPages: (ready: [Bytes], held: [Bytes]) {
        let pending = pendingPuts(\.pages, of: \.policyOfPage)
            .reduce(into: [[Bytes]]()) { policies, key in
                if policies.last?.last?.policyOfPage == key.policyOfPage {
                    policies[policies.count - 1].append(key)
                } else {
                    policies.append([key])
                }
            }
            .flatMap { $0.reversed() }
        let lacking = pending.isEmpty ? [] : self.lacking.union(exposedAndClosed)
        if lacking.isEmpty { return (pending, []) }
        let isHeld = { (key: Bytes) in
            lacking.contains(PolicyTables.policy(ofPage: key)) && pages.isMissing(key)
        }
        return (pending.filter { !isHeld($0) }, pending.filter(isHeld))
    }

    /// Policies whose peers or ports are not all there.
    var lacking: Set<UInt32> {
        guard peers.hasDirty || singlePorts.hasDirty || ports.hasDirty else { return [] }
        return Set(
            pendingPorts.map { PolicyTables.policy(ofPorts: $0) }
                + peers.pendingPuts.map { PolicyTables.owners(ofPeers: $0).policy })
    }

    private var pendingPorts: [Bytes] { singlePorts.pendingPuts + ports.pendingPuts }

    /// Keys to write, those of small policies first: where there is no room for all, as many as can should fit.
    func pendingPuts(_ table: KeyPath<PolicyTables, HashTable>, of owner: KeyPath<Bytes, UInt32>) -> [Bytes] {
        let keys = self[keyPath: table].pendingPuts
        var sizes: [UInt32: Int] = [:]
        for key in keys { sizes[key[keyPath: owner], default: 0] += 1 }
        if sizes.count < 2 { return keys }
        return keys.enumerated().map { (sizes[$1[keyPath: owner]] ?? 0, $0, $1) }.sorted { ($0.0, $0.1) < ($1.0, $1.1) }
            .map(\.2)
    }

    /// What the kernel has of a policy without its first page, so that nothing is judged by it.
    func useless(_ policy: UInt32) -> (peers: [Bytes], ports: [Bytes], pages: [Bytes]) {
        guard isHeadless(policy), let keys = keysOfPolicy[PolicyID(rawValue: policy)] else { return ([], [], []) }
        let peers = pagesOfPeers.filter { $0.key.policy == policy }.flatMap { owner, pages in
            pages.map { Self.peersKey(policy, owner.classID, page: $0) }
        }
        return (
            peers.filter { !self.peers.isDirty($0) },
            keys.ports.filter { !self[keyPath: Self.tableOfPorts($0)].isDirty($0) },
            keys.pages.filter { !self.pages.isDirty($0) }
        )
    }

    /// Policies that are wanted and lack pages in the kernel: all that they would judge is dropped.
    var absent: Set<UInt32> {
        Set(pages.pendingPuts.filter { pages.isMissing($0) }.map { PolicyTables.policy(ofPage: $0) })
    }

    /// How many entries on their way out a pass looks at.
    var leavingCount: Int { [pages, peers, singlePorts, ports].reduce(0) { $0 + $1.leavingCount } }

    /// Lets content go that nothing in the kernel leads to. What found no room until now must not take it any more.
    mutating func expireLeaving(now: UInt64, grace: UInt64, policiesInUse: Set<UInt32>) {
        pages.expireLeaving(now: now, grace: grace, dropsUnwritten: true) {
            policiesInUse.contains(PolicyTables.policy(ofPage: $0))
        }
        for table in Self.portTables {
            self[keyPath: table].expireLeaving(now: now, grace: grace, dropsUnwritten: true) {
                policiesInUse.contains(PolicyTables.policy(ofPorts: $0))
            }
        }
        // Classes that something leads to, in the kernel or as it is wanted.
        let inUse = [classes.targets, prefixes.targets]
        peers.expireLeaving(now: now, grace: grace, dropsUnwritten: true) { key in
            let (policy, classID) = PolicyTables.owners(ofPeers: key)
            return policiesInUse.contains(policy) && inUse.contains { $0?.contains(classID) ?? false }
        }
    }

    /// Lets go of content that came and went before it was written.
    mutating func dropUnwritten(policiesInUse: Set<UInt32>) {
        pages.dropUnwritten { policiesInUse.contains(PolicyTables.policy(ofPage: $0)) }
        for table in Self.portTables {
            self[keyPath: table].dropUnwritten { policiesInUse.contains(PolicyTables.policy(ofPorts: $0)) }
        }
        let inUse = [classes.targets, prefixes.targets]
        peers.dropUnwritten { key in
            let (policy, classID) = PolicyTables.owners(ofPeers: key)
            return policiesInUse.contains(policy) && inUse.contains { $0?.contains(classID) ?? false }
        }
    }

    var nextDeadline: UInt64? { [pages, peers, singlePorts, ports].compactMap(\.nextDeadline).min() }

    static func policy(ofPage key: Bytes) -> UInt32 { key.load(apus_policy_page_key.self)?.policy ?? 0 }

    /// Whether the peers are those of a pattern set.
    static func isOfSet(_ key: Bytes) -> Bool { owners(ofPeers: key).classID & DomainProgram.setBit != 0 }

    static func policy(ofPorts key: Bytes) -> UInt32 { key.load(apus_policy_ports_key.self)?.policy ?? 0 }

    static func owners(ofPeers key: Bytes) -> (policy: UInt32, classID: UInt32) {
        key.load(apus_policy_peers_key.self).map { ($0.policy, $0.class_id) } ?? (0, 0)
    }

    // MARK: Adoption

    /// Lets go of what no edit has asked for.
    mutating func removeUnclaimed() {
        classes.removeUnclaimed(afterGrace: false)
        prefixes.removeUnclaimed(afterGrace: false)
        pages.removeUnclaimed(afterGrace: true)
        peers.removeUnclaimed(afterGrace: true)
        for table in Self.portTables { self[keyPath: table].removeUnclaimed(afterGrace: true) }
    }
}

extension PolicyEdit {
    /// The key of the address or prefix whose class the edit changes; they differ in length.
    fileprivate var peerKey: Bytes? {
        switch self {
        case .setClass(let address, _), .removeClass(let address): address.key
        case .setPrefixClass(let prefix, _), .removePrefixClass(let prefix): prefix.key
        default: nil
        }
    }
}

extension PeerClass {
    /// `apus_peer_flag` of it.
    fileprivate var flags: UInt32 {
        (isLocalNode ? UInt32(APUS_PEER_LOCAL_NODE.rawValue) : 0)
            | (isElsewhere ? UInt32(APUS_PEER_ELSEWHERE.rawValue) : 0)
    }
}
