public import Addressing
internal import DatapathABI

/// What connections come from that the node sends out of an uplink in its own name, and how large their packets may be.
public struct UplinkAddresses: Sendable, Hashable {
    /// Nil: it has none of the family, and such connections are dropped.
    public var v4: IPAddress?
    public var v6: IPAddress?
    /// The least that a route of IPv4 by the uplink says that it takes, in bytes; nil: none says so.
    public var routeMTU: UInt32?

    public init(v4: IPAddress? = nil, v6: IPAddress? = nil, routeMTU: UInt32? = nil) {
        self.v4 = v4
        self.v6 = v6
        self.routeMTU = routeMTU
    }
}

/// The uplinks by which Services are served to clients from outside, or by which what pods send leaves in the node's
/// name. The former serve with the first frontend for such clients, and go on when the last one goes, as its connections
/// do: until then no packet is looked at twice.
struct UplinkTable: Sendable {
    var table = HashTable(.uplinks)
    private var wanted: [UInt32: UplinkAddresses] = [:]
    private var masquerading: Set<UInt32> = []
    private var isOpen = false

    /// Takes in the uplinks; true when they are others than before.
    mutating func set(_ uplinks: [UInt32: UplinkAddresses], masquerading: Set<UInt32>) -> Bool {
        guard wanted != uplinks || self.masquerading != masquerading else { return false }
        (wanted, self.masquerading) = (uplinks, masquerading)
        return true
    }

    /// Wants in the map what is to be there.
    mutating func update(hasFrontends: Bool) {
        isOpen = isOpen || hasFrontends
        guard isOpen || !masquerading.isEmpty || !table.entries.isEmpty else { return }
        let written = wanted.filter { isOpen || masquerading.contains($0.key) }
        let entries = Dictionary(
            uniqueKeysWithValues: written.map { index, addresses in
                let uplink = apus_uplink(addresses, serves: isOpen, masquerades: masquerading.contains(index))
                return (Bytes(of: index), Bytes(of: uplink))
            })
        for key in table.entries.keys where entries[key] == nil && !table.unclaimed.contains(key) { table.remove(key) }
        for (key, value) in entries { table.put(key, value) }
    }

    /// Whether what is wanted for a key has pods' packets leave in the node's name.
    func masquerades(_ key: Bytes) -> Bool {
        table[key]?.load(apus_uplink.self)?.has(APUS_UPLINK_MASQUERADES) ?? false
    }

    mutating func adopt(_ entry: TableEntry) {
        isOpen = isOpen || entry.value.load(apus_uplink.self)?.has(APUS_UPLINK_SERVES) ?? false
        table.adopt(entry)
    }

    mutating func removeUnclaimed() { table.removeUnclaimed(afterGrace: false) }
}

extension apus_uplink {
    fileprivate init(_ addresses: UplinkAddresses, serves: Bool, masquerades: Bool) {
        let flags = [(APUS_UPLINK_SERVES, serves), (APUS_UPLINK_MASQUERADES, masquerades)]
        self.init(
            v4: addresses.v4.map { apus_address($0) } ?? apus_address(),
            v6: addresses.v6.map { apus_address($0) } ?? apus_address(),
            flags: flags.reduce(0) { $1.1 ? $0 | UInt32($1.0.rawValue) : $0 }, route_mtu: addresses.routeMTU ?? 0)
    }

    func has(_ flag: apus_uplink_flag) -> Bool { flags & UInt32(flag.rawValue) != 0 }
}
