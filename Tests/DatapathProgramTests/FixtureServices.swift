internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport

/// A Service with one frontend.
struct Service {
    let id: UInt32
    let frontend: SocketAddress
    let ipProtocol: IPProtocol
    /// The indexes of its backends.
    let backends: Range<UInt32>

    var key: apus_service_key {
        var key = apus_service_key()
        key.address = apus_address(frontend.address)
        key.port = frontend.port.bigEndian
        key.protocol = ipProtocol.rawValue
        return key
    }
}

extension DatapathFixture {
    /// Adds a Service in slots of its own; ids start at 1.
    ///
    /// - Parameters:
    ///   - affinity: The id of the Service on all of whose ports a client keeps its backend; 0: it keeps none.
    ///   - local: Which of the backends clients from outside get; nil: all.
    ///   - limits: The clients that may connect; empty: all may.
    ///   - table: The position of the backend of each place by which clients from outside are led; empty: there is none.
    @discardableResult
    func addService(
        _ frontend: SocketAddress, _ ipProtocol: IPProtocol = .tcp, to backends: [SocketAddress],
        kind: apus_service_kind = .APUS_SERVICE_CLUSTER_IP, flags: [apus_service_flag] = [],
        affinity: UInt32 = 0, seconds: UInt32 = 600, local: Range<Int>? = nil, limits: [CIDR] = [],
        table: [Int] = []
    ) throws -> Service {
        let local = local ?? 0..<backends.count
        let first = UInt32(serviceSlots + 1)
        serviceSlots += backends.count + table.count
        for (offset, end) in backends.enumerated() {
            let index = first + UInt32(offset)
            let backend = apus_backend(
                address: apus_address(end.address), port: end.port.bigEndian, protocol: ipProtocol.rawValue, flags: 0,
                in_use: 1)
            try maps.backends.update(index, backend)
            try maps.slots.update(index, index)
        }
        for (offset, place) in table.enumerated() {
            try maps.slots.update(first + UInt32(backends.count + offset), first + UInt32(place))
        }
        let service = Service(
            id: first, frontend: frontend, ipProtocol: ipProtocol, backends: first..<first + UInt32(backends.count))
        let value = apus_service(
            first_slot: first, slot_count: UInt32(backends.count), outside_first_slot: first + UInt32(local.lowerBound),
            outside_slot_count: UInt32(local.count), service: first, kind: UInt8(kind.rawValue),
            flags: flags.reduce(0) { $0 | UInt8($1.rawValue) }, table_size: UInt16(table.count), affinity: affinity,
            affinity_seconds: seconds,
            source_ranges: limits.isEmpty ? 0 : first)
        for range in limits {
            let prefix = apus_prefix_key(range)
            let key = apus_source_range_key(
                prefix_length: prefix.prefix_length + UInt32(APUS_SOURCE_RANGE_FIXED_BITS), service: first,
                address: prefix.address)
            try maps.sourceRanges.update(key, UInt32(1))
        }
        try maps.services.update(service.key, value)
        return service
    }

    /// Refuses what no Service has of an address.
    func refuseRest(
        of address: IPAddress, kind: apus_service_kind = .APUS_SERVICE_CLUSTER_IP, flags: [apus_service_flag] = []
    ) throws {
        let service = Service(
            id: 0, frontend: SocketAddress(address, 0), ipProtocol: IPProtocol(rawValue: 0), backends: 0..<0)
        var value = apus_service()
        value.kind = UInt8(kind.rawValue)
        value.flags = flags.reduce(0) { $0 | UInt8($1.rawValue) }
        try maps.services.update(service.key, value)
    }

    func remove(_ service: Service) throws { try maps.services.delete(service.key) }
}
