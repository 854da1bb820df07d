internal import Addressing

/// An address that is more than a part of some block.
struct AddressEntry {
    /// What selectors match its pod, and blocks with a named port; plain blocks come from the prefixes.
    var atoms: [Atom] = []
    /// The class in force, nil when there is no entry for the address.
    var peerClass: PeerClass?
}

/// The addresses with entries of their own, and those of this node.
struct AddressTable {
    private(set) var entries: [IPAddress: AddressEntry] = [:]
    /// The addresses of the entries by a common prefix, so that a block finds those in it.
    private var buckets: [CIDR: Set<IPAddress>] = [:]
    /// The addresses that the Node object of this node has.
    var nodeAddresses: Set<IPAddress> = []
    /// The addresses on this node's interfaces.
    var interfaceAddresses: Set<IPAddress> = []

    subscript(address: IPAddress) -> AddressEntry { entries[address] ?? AddressEntry() }

    func isLocalNode(_ address: IPAddress) -> Bool {
        nodeAddresses.contains(address) || interfaceAddresses.contains(address)
    }

    mutating func set(_ address: IPAddress, _ entry: AddressEntry) {
        guard !entry.atoms.isEmpty || entry.peerClass != nil else {
            if entries.removeValue(forKey: address) != nil { unlist(address) }
            return
        }
        if entries.updateValue(entry, forKey: address) == nil {
            buckets[Self.bucket(address), default: []].insert(address)
        }
    }

    private mutating func unlist(_ address: IPAddress) {
        let bucket = Self.bucket(address)
        buckets[bucket]?.remove(address)
        if buckets[bucket]?.isEmpty == true { buckets[bucket] = nil }
    }

    /// The addresses with entries inside a prefix.
    func addresses(in prefix: CIDR) -> [IPAddress] {
        if prefix.length >= Self.bucketLength(prefix.address) {
            return (buckets[Self.bucket(prefix.address)] ?? []).filter(prefix.contains)
        }
        return buckets.filter { prefix.contains($0.key) }.flatMap(\.value)
    }

    /// The length of a common prefix that holds the pods of about one node.
    private static func bucketLength(_ address: IPAddress) -> Int { address.isIPv4 ? 24 : 112 }

    private static func bucket(_ address: IPAddress) -> CIDR {
        CIDR(address, length: bucketLength(address)) ?? CIDR(host: address)
    }
}
