internal import Addressing
internal import DatapathABI

/// A key of `source_ranges`: clients of a Service, by its id.
struct SourceRange: Sendable, Hashable {
    var service: UInt32
    var range: CIDR

    init(service: UInt32, range: CIDR) {
        self.service = service
        self.range = range
    }

    /// Nil when there are too few bytes, or it is no range of one family.
    init?(key: Bytes) {
        guard let raw = key.load(apus_source_range_key.self), let fixed = UInt32(exactly: APUS_SOURCE_RANGE_FIXED_BITS),
            raw.prefix_length >= fixed
        else { return nil }
        let prefix = apus_prefix_key(prefix_length: raw.prefix_length - fixed, address: raw.address)
        guard let range = CIDR(key: Bytes(of: prefix)) else { return nil }
        self.init(service: raw.service, range: range)
    }

    var key: Bytes {
        let prefix = range.key.load(apus_prefix_key.self) ?? apus_prefix_key()
        return Bytes(
            of: apus_source_range_key(
                prefix_length: prefix.prefix_length + UInt32(APUS_SOURCE_RANGE_FIXED_BITS), service: service,
                address: prefix.address))
    }
}

/// The clients of load balancers. Each frontend of a Service holds the ranges of its family; they go when none does.
struct SourceRangeTable: Sendable {
    var table = HashTable(.sourceRanges)
    private var holders: [Bytes: Int] = [:]

    mutating func acquire(_ ranges: Set<CIDR>, of service: UInt32) {
        for key in keys(ranges, service) {
            holders[key, default: 0] += 1
            table.put(key, Bytes(of: UInt32(1)))
        }
    }

    mutating func release(_ ranges: Set<CIDR>, of service: UInt32) {
        for key in keys(ranges, service) {
            guard let count = holders[key] else { continue }
            holders[key] = count > 1 ? count - 1 : nil
            // One that found no room must not come when there is some.
            if count == 1 { if table.isMissing(key) { table.remove(key) } else { table.retire(key) } }
        }
    }

    mutating func adopt(_ entry: TableEntry) { table.adopt(entry) }

    /// Id 0 is of Services that are for all.
    private func keys(_ ranges: Set<CIDR>, _ service: UInt32) -> [Bytes] {
        service == 0 ? [] : ranges.map { SourceRange(service: service, range: $0).key }
    }
}
