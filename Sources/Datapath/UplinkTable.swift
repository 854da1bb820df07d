public import Addressing
internal import DatapathABI

/// What connections come from that the node sends out of an uplink in its own name.
public struct UplinkAddresses: Sendable, Hashable {
    /// Nil: it has none of the family, and such connections are dropped.
    public var v4: IPAddress?
    public var v6: IPAddress?

    public init(v4: IPAddress? = nil, v6: IPAddress? = nil) {
        self.v4 = v4
        self.v6 = v6
    }
}

/// The uplinks by which Services are served to clients from outside. They are written with the first frontend for such
/// clients, and stay when the last one goes, as its connections do: until then no packet is looked at twice.
struct UplinkTable: Sendable {
    var table = HashTable(.uplinks)
    private var wanted: [UInt32: UplinkAddresses] = [:]
    private var isOpen = false

    /// Takes in the uplinks; true when they are others than before.
    mutating func set(_ uplinks: [UInt32: UplinkAddresses]) -> Bool {
        guard wanted != uplinks else { return false }
        wanted = uplinks
        return true
    }

    /// Wants in the map what is to be there.
    mutating func update(hasFrontends: Bool) {
        isOpen = isOpen || hasFrontends
        guard isOpen else { return }
        let entries = Dictionary(
            uniqueKeysWithValues: wanted.map { (Bytes(of: $0.key), Bytes(of: apus_uplink($0.value))) })
        for key in table.entries.keys where entries[key] == nil && !table.unclaimed.contains(key) { table.remove(key) }
        for (key, value) in entries { table.put(key, value) }
    }

    mutating func adopt(_ entry: TableEntry) {
        isOpen = true
        table.adopt(entry)
    }

    mutating func removeUnclaimed() { table.removeUnclaimed(afterGrace: false) }
}

extension apus_uplink {
    fileprivate init(_ addresses: UplinkAddresses) {
        self.init(
            v4: addresses.v4.map { apus_address($0) } ?? apus_address(),
            v6: addresses.v6.map { apus_address($0) } ?? apus_address())
    }
}
