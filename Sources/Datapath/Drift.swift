internal import DatapathABI

/// A difference between what is wanted and what a map holds.
public struct DriftItem: Sendable, Hashable, CustomStringConvertible {
    /// How they differ.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        case missing, unexpected, different
    }

    public let table: DatapathTable
    /// The key, for people.
    public let key: String
    public let kind: Kind
    /// The wanted value, for people; nil when the entry should not be there.
    public let desired: String?
    /// What the kernel holds; nil when there is no entry.
    public let actual: String?

    public var description: String {
        "\(table.rawValue) \(key): \(kind.rawValue)"
            + (desired.map { ", wanted \($0)" } ?? "") + (actual.map { ", found \($0)" } ?? "")
    }
}

/// A difference as bytes.
struct Drift {
    let table: DatapathTable
    let key: Bytes
    let desired: Bytes?
    let actual: Bytes?

    var item: DriftItem {
        DriftItem(
            table: table, key: table.text(ofKey: key),
            kind: actual == nil ? .missing : desired == nil ? .unexpected : .different,
            desired: desired.map(table.text(ofValue:)), actual: actual.map(table.text(ofValue:)))
    }
}

extension DatapathTables {
    /// Compares what is wanted and written with what the kernel holds. What is not written yet is no drift:
    /// it is among the problems of the last pass where it could not be.
    package func verify(_ reader: some MapReader) throws(MapError) -> [DriftItem] {
        try drift(reader).map(\.item)
    }

    /// How many entries and elements each table wants, those that arrays keep at zero not counted.
    public var entryCounts: [(table: DatapathTable, count: Int)] {
        DatapathTable.allCases.map { table in
            switch table {
            case .info, .policyEpoch: (table, 1)
            case .endpoints: (table, endpoints.records.count)
            case .slots: (table, services.usedSlots.reduce(0) { $0 + $1.count })
            case .backends: (table, services.backends.entries.count)
            default: (table, hashTable(table)?.entries.count ?? 0)
            }
        }
    }

    /// Finds what differs and marks it, so that the next pass writes it again.
    package mutating func repair(_ reader: some MapReader) throws(MapError) -> [DriftItem] {
        let found = try drift(reader)
        for drift in found { observe(drift) }
        services.observeFreeSlots(try reader.elements(of: .slots))
        return found.map(\.item)
    }

    private func drift(_ reader: some MapReader) throws(MapError) -> [Drift] {
        var found: [Drift] = []
        for table in DatapathTable.allCases {
            if table.isArray {
                found += drift(table, elements: try reader.elements(of: table))
            } else if let place = peerPlace(table) {
                found += driftOfPeers(table, place, entries: try reader.entries(of: table))
            } else {
                found += drift(hashTable(table), entries: try reader.entries(of: table))
            }
        }
        return found
    }

    private func drift(_ table: HashTable?, entries: [TableEntry]) -> [Drift] {
        guard let table else { return [] }
        var missing = table.entries.filter { !table.isDirty($0.key) }
        var found: [Drift] = []
        for entry in entries {
            let desired = missing.removeValue(forKey: entry.key)
            if desired == entry.value || table.isDirty(entry.key) { continue }
            found.append(Drift(table: table.table, key: entry.key, desired: desired, actual: entry.value))
        }
        found += missing.map { Drift(table: table.table, key: $0.key, desired: $0.value, actual: nil) }
        return found.sorted { memoryOrder($0.key, $1.key) }
    }

    /// Where a table of peers is among those; nil for others.
    private func peerPlace(_ table: DatapathTable) -> Int? {
        PolicyTables.peerTables.firstIndex { policies[keyPath: $0.0].table == table }
    }

    /// What is not in force yet is no drift, but what the kernel holds for it must be what was written.
    private func driftOfPeers(_ table: DatapathTable, _ place: Int, entries: [TableEntry]) -> [Drift] {
        let (peers, records) = PolicyTables.peerTables[place]
        var missing = policies[keyPath: records].uneven
        for (key, value) in policies[keyPath: peers].entries where missing[key] == nil {
            if !policies[keyPath: peers].isDirty(key) { missing[key] = PeerRecords.even(value) }
        }
        var found: [Drift] = []
        for entry in entries {
            let desired = missing.removeValue(forKey: entry.key)
            if desired == entry.value || desired == nil && policies[keyPath: peers].isDirty(entry.key) { continue }
            found.append(Drift(table: table, key: entry.key, desired: desired, actual: entry.value))
        }
        found += missing.map { Drift(table: table, key: $0.key, desired: $0.value, actual: nil) }
        return found.sorted { memoryOrder($0.key, $1.key) }
    }

    private func drift(_ table: DatapathTable, elements: Bytes) -> [Drift] {
        let size = table.valueSize
        let wanted = wantedElements(table)
        return (0..<max(elements.count / size, wanted.count)).compactMap { index in
            guard let desired = wanted.element(index) else { return nil }
            let start = index * size
            let actual = start < elements.count ? elements[start..<start + size] : ArraySlice(Bytes(zeros: size))
            if actual.elementsEqual(desired) { return nil }
            return Drift(
                table: table, key: Bytes(of: UInt32(index)),
                desired: desired.allSatisfy { $0 == 0 } ? nil : Bytes(desired),
                actual: actual.allSatisfy { $0 == 0 } ? nil : Bytes(actual))
        }
    }

    /// The elements that an array should hold; nil for one that nobody looks at or that is to be written yet.
    private struct WantedElements {
        let count: Int
        let element: (Int) -> ArraySlice<UInt8>?
    }

    private func wantedElements(_ table: DatapathTable) -> WantedElements {
        switch table {
        case .info: elements(info) { _ in true }
        case .policyEpoch: WantedElements(count: 1) { _ in ArraySlice(Bytes(of: UInt32(epoch.current))) }
        case .backends: elements(services.backends.entries) { _ in true }
        case .slots:
            slotElements()
        default:
            WantedElements(count: (endpoints.records.keys.max() ?? -1) + 1) { slot in
                if endpoints.leaving[slot] != nil { return nil }
                guard let record = endpoints.records[slot] else { return ArraySlice(Bytes(of: apus_endpoint())) }
                return record.isDirty ? nil : record.held.map { ArraySlice(Bytes(of: $0)) }
            }
        }
    }

    private func slotElements() -> WantedElements {
        var used = [Bool](repeating: false, count: services.slots.count)
        for range in services.usedSlots {
            for slot in range where slot < used.count { used[slot] = true }
        }
        return elements(services.slots) { $0 < used.count && used[$0] }
    }

    private func elements(_ table: ArrayTable, where counts: @escaping (Int) -> Bool) -> WantedElements {
        let zeros = ArraySlice(Bytes(zeros: table.elementSize))
        return WantedElements(count: table.count) { index in
            guard counts(index), !table.isDirty(index) else { return nil }
            return index < table.count ? table.slice(index) : zeros
        }
    }

    private func hashTable(_ table: DatapathTable) -> HashTable? {
        switch table {
        case .interfaces: endpoints.interfaces
        case .endpointAddresses: endpoints.addresses
        case .peerClasses: policies.classes
        case .peerPrefixes: policies.prefixes
        case .policyPages: policies.pages
        case .policyPeers: policies.peers
        case .policySinglePorts: policies.singlePorts
        case .policyPorts: policies.ports
        case .services: services.services
        case .names: names
        case .dnsResolvers: resolvers
        case .sourceRanges: services.sourceRanges.table
        case .uplinks: uplinks.table
        case .nonMasquerade: nonMasquerade
        case .nodeRanges: nodeRanges
        case .info, .endpoints, .slots, .backends, .policyEpoch: nil
        }
    }

    private mutating func observe(_ drift: Drift) {
        let index = Int(drift.key.load(UInt32.self) ?? 0)
        switch drift.table {
        case .interfaces: endpoints.interfaces.observe(drift.key, drift.actual)
        case .endpointAddresses: endpoints.addresses.observe(drift.key, drift.actual)
        case .peerClasses: policies.observe(drift.key, drift.actual, in: 0, epoch)
        case .peerPrefixes: policies.observe(drift.key, drift.actual, in: 1, epoch)
        case .policyPages: policies.pages.observe(drift.key, drift.actual)
        case .policyPeers: policies.peers.observe(drift.key, drift.actual)
        case .policySinglePorts: policies.singlePorts.observe(drift.key, drift.actual)
        case .policyPorts: policies.ports.observe(drift.key, drift.actual)
        case .services: services.services.observe(drift.key, drift.actual)
        case .names: names.observe(drift.key, drift.actual)
        case .dnsResolvers: resolvers.observe(drift.key, drift.actual)
        case .sourceRanges: services.sourceRanges.table.observe(drift.key, drift.actual)
        case .uplinks: uplinks.table.observe(drift.key, drift.actual)
        case .nonMasquerade: nonMasquerade.observe(drift.key, drift.actual)
        case .nodeRanges: nodeRanges.observe(drift.key, drift.actual)
        case .info: info.markDirty(index)
        case .policyEpoch: epoch.isMisplaced = true
        case .slots: services.slots.markDirty(index)
        case .backends: services.backends.entries.markDirty(index)
        case .endpoints: endpoints.observe(index, drift.actual?.load(apus_endpoint.self) ?? apus_endpoint(), epoch)
        }
    }
}
