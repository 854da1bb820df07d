internal import Addressing
internal import DatapathABI
internal import LoadBalancing

extension Frontend {
    /// The key of `services`.
    var key: Bytes {
        Bytes(
            of: apus_service_key(
                address: apus_address(address), port: port.bigEndian, protocol: ipProtocol.rawValue,
                padding: (0, 0, 0, 0, 0)))
    }

    /// The frontend of such a key; nil when there are too few bytes.
    init?(key: Bytes) {
        guard let raw = key.load(apus_service_key.self) else { return nil }
        self.init(
            address: raw.address.address, port: raw.port.bigEndian, ipProtocol: IPProtocol(rawValue: raw.protocol))
    }
}

extension apus_service {
    /// The value of `services` that leads to ranges of slots.
    init(_ ranges: SlotRanges, _ ids: ServiceIDs, _ program: ServiceProgram, at frontend: Frontend) {
        let flags = [
            (APUS_SERVICE_NODE_ONLY, frontend.address.isLoopback), (APUS_SERVICE_NODE_DENIED, !program.admitsNode),
            (APUS_SERVICE_FOR_OUTSIDE, program.kind == .clusterIP && program.isForOutside),
            (APUS_SERVICE_ELSEWHERE, program.isServedElsewhere),
        ]
        self.init(
            first_slot: UInt32(ranges.inside.lowerBound), slot_count: UInt32(ranges.inside.count),
            outside_first_slot: UInt32(ranges.outside.lowerBound),
            outside_slot_count: UInt32(ranges.outsideBackends.count),
            service: ids.port, kind: UInt8(apus_service_kind(program.kind).rawValue),
            flags: flags.reduce(0) { $1.1 ? $0 | UInt8($1.0.rawValue) : $0 },
            table_size: UInt16(ranges.tableSize), affinity: ids.affinity,
            affinity_seconds: ids.affinity == 0 ? 0 : program.affinitySeconds ?? 0, source_ranges: ids.sourceRanges)
    }

    func has(_ flag: apus_service_flag) -> Bool { flags & UInt8(flag.rawValue) != 0 }

    /// Nil for a byte that is no kind; one that comes from outside must not become a C enum.
    var frontendKind: FrontendKind? {
        FrontendKind.allCases.first { apus_service_kind($0).rawValue == kind }
    }
}

extension apus_service_kind {
    fileprivate init(_ kind: FrontendKind) {
        switch kind {
        case .clusterIP: self = .APUS_SERVICE_CLUSTER_IP
        case .loadBalancer: self = .APUS_SERVICE_LOAD_BALANCER
        case .externalIP: self = .APUS_SERVICE_EXTERNAL_IP
        case .nodePort: self = .APUS_SERVICE_NODE_PORT
        }
    }
}

extension apus_backend {
    init(_ key: BackendKey, isGone: Bool = false) {
        self.init(
            address: apus_address(key.address.address), port: key.address.port.bigEndian,
            protocol: key.ipProtocol.rawValue, flags: isGone ? UInt8(APUS_BACKEND_GONE.rawValue) : 0,
            in_use: key.owner)
    }

    /// Whether it serves no more.
    var isGone: Bool { flags & UInt8(APUS_BACKEND_GONE.rawValue) != 0 }

    var socketAddress: SocketAddress { SocketAddress(address.address, port.bigEndian) }
}
