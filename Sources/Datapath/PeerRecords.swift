internal import Addressing
internal import DatapathABI

/// What the kernel holds of peers, in every epoch, where that is not what is in force in all of them.
struct PeerRecords: Sendable {
    /// What the kernel holds for these keys.
    private(set) var uneven: [Bytes: Bytes] = [:]
    /// Keys that are about to change with the next epoch, and of which the kernel holds all that they are to be then.
    var staged: Set<Bytes> = []
    /// Keys of which it does not: they will not be what they should.
    var unstaged: Set<Bytes> = []

    /// What the kernel holds for a key of which this is in force; nil: there is no entry.
    func held(_ key: Bytes, inForce: Bytes?) -> Bytes? { uneven[key] ?? inForce.map(Self.even) }

    /// The kernel was made, or seen, to hold a value; nil: it has no entry.
    mutating func note(_ key: Bytes, _ value: Bytes?, inForce: Bytes?) {
        uneven[key] = value == inForce.map(Self.even) ? nil : value
    }

    /// The entry that is the same in every epoch.
    static func even(_ value: Bytes) -> Bytes { Bytes(PolicyEpoch.all.map { _ in value }.joined()) }

    /// What an entry is in an epoch; nil: as if it were not there.
    static func value(_ entry: Bytes, in epoch: Int) -> Bytes? {
        let size = entry.count / PolicyEpoch.count
        let value = Bytes(entry[epoch * size..<(epoch + 1) * size])
        return value.load(apus_peer_epoch.self)?.isAbsent ?? false ? nil : value
    }
}

/// Entries to write, in order, so that peers become in the next epoch what they should be, and stay what they are until
/// then.
struct PeerPlan {
    /// What goes once it is written.
    private(set) var puts: [TableEntry] = []
    private(set) var deletes: [Bytes] = []
    /// Keys whose class lacks content: they stay what they are.
    private(set) var waiting: [Bytes] = []
    /// How many entries were looked at.
    private(set) var lookedAt = 0

    private let peers: HashTable
    private let records: PeerRecords
    private let epoch: PolicyEpoch
    /// What the kernel is going to hold.
    private var planned: [Bytes: Bytes?] = [:]
    private var lengths: [UInt32] = []

    /// - Parameter incomplete: classes that policies in force lack content for.
    init(_ peers: HashTable, _ records: PeerRecords, _ epoch: PolicyEpoch, incomplete: Set<UInt32>) {
        self.peers = peers
        self.records = records
        self.epoch = epoch
        let keys = Set(peers.dirtyKeys).union(records.uneven.keys)
        if peers.table == .peerPrefixes, !keys.isEmpty {
            lengths = Set((peers.lengths?.numbers ?? []) + records.uneven.keys.compactMap { $0.load(UInt32.self) })
                .sorted(by: >)
        }
        // Shorter prefixes first: what a longer one is where it is not there depends on them.
        for key in keys.sorted(by: Self.order(peers.table)) { plan(key, incomplete) }
    }

    private static func order(_ table: DatapathTable) -> (Bytes, Bytes) -> Bool {
        guard table == .peerPrefixes else { return memoryOrder }
        return { left, right in
            let lengths = (left.load(UInt32.self) ?? 0, right.load(UInt32.self) ?? 0)
            return lengths.0 == lengths.1 ? memoryOrder(left, right) : lengths.0 < lengths.1
        }
    }

    private mutating func plan(_ key: Bytes, _ incomplete: Set<UInt32>) {
        let inForce = peers.held(key)
        var wanted = peers[key]
        lookedAt += 1
        if wanted != inForce, let classID = wanted?.load(UInt32.self), incomplete.contains(classID) {
            waiting.append(key)
            wanted = inForce
        }
        let held = records.held(key, inForce: inForce)
        var target: Bytes?
        if inForce != nil || wanted != nil || !epoch.inUse.isEmpty && held != nil {
            let values = epoch.values(inForce: inForce, wanted: wanted) { former in
                held.flatMap { PeerRecords.value($0, in: former) }
            }
            target = Bytes(values.enumerated().flatMap { $0.element ?? absent(key, in: $0.offset) })
        }
        planned[key] = .some(target)
        if target == held { return }
        if let target { puts.append(TableEntry(key: key, value: target)) } else { deletes.append(key) }
    }

    /// The value of an entry in an epoch in which it is not there.
    private mutating func absent(_ key: Bytes, in epoch: Int) -> Bytes {
        if peers.table == .peerClasses {
            return Bytes(of: apus_peer_epoch(class_id: 0, flags: UInt32(APUS_PEER_ABSENT.rawValue)))
        }
        guard let own = key.load(UInt32.self), let address = IPAddress(bytes: key.dropFirst(4)) else {
            return Bytes(of: UInt32(0))
        }
        for length in lengths where length < own {
            let shorter = Bytes(of: length) + address.masked(to: Int(length)).bytes
            lookedAt += 1
            if let around = planned[shorter] ?? records.held(shorter, inForce: peers.held(shorter)),
                let value = PeerRecords.value(around, in: epoch)
            {
                return value
            }
        }
        return Bytes(of: UInt32(0))
    }
}
