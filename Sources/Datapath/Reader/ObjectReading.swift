public import Addressing
internal import BPF
internal import DatapathABI
internal import LoadBalancing
internal import NetworkPolicy

/// What the agent has programmed.
extension DatapathReader {
    /// The pods of this node, by slot.
    public func endpoints() throws(DatapathReadError) -> [EndpointReading] {
        var found: [EndpointReading] = []
        for (slot, raw) in try rawEndpoints() { found.append(endpoint(slot, raw)) }
        return found
    }

    /// Those that are in use, as they are in force.
    private func rawEndpoints() throws(DatapathReadError) -> [(slot: UInt32, raw: apus_endpoint)] {
        var found: [(slot: UInt32, raw: apus_endpoint)] = []
        let epoch = try policyEpoch()
        for entry in try entries(of: .endpoints) {
            guard let slot = entry.key.load(UInt32.self), var raw = entry.value.load(apus_endpoint.self),
                slot != 0, raw.ifindex != 0, !raw.isLeaving
            else { continue }
            raw.setEpochs(raw[epoch])
            found.append((slot, raw))
        }
        return found.sorted { $0.slot < $1.slot }
    }

    private func endpoint(_ slot: UInt32, _ raw: apus_endpoint) -> EndpointReading {
        let checksMAC = raw.flags & UInt32(APUS_ENDPOINT_CHECK_MAC.rawValue) != 0
        return EndpointReading(
            slot: slot, name: endpointName(slot: slot), addresses: raw.addressList, interface: raw.ifindex,
            bridge: raw.bridge,
            mac: checksMAC ? MACAddress(octets: raw.mac) : nil, hostMAC: MACAddress(octets: raw.host_mac),
            identity: raw.identity, generation: raw.generation, ingress: raw.policies.ingress.ifAny,
            egress: raw.policies.egress.ifAny,
            canRedirect: raw.flags & UInt32(APUS_ENDPOINT_REDIRECT.rawValue) != 0)
    }

    /// How many backends clients of the node have by a frontend; nil where there is no such frontend.
    public func backendCount(of frontend: SocketAddress, _ ipProtocol: IPProtocol) -> Int? {
        let key = Frontend(address: frontend.address, port: frontend.port, ipProtocol: ipProtocol).key
        let service = try? serviceMap.value(of: key, as: apus_service.self)
        return service.map { Int($0.slot_count) }
    }

    /// The frontends, by address, port and protocol.
    public func services() throws(DatapathReadError) -> [ServiceReading] {
        let slots = try open(.slots)
        let backends = try open(.backends)
        let sourceRanges = try sourceRanges()
        var found: [ServiceReading] = []
        for entry in try entries(of: .services) {
            guard let frontend = Frontend(key: entry.key), !frontend.isRest,
                let raw = entry.value.load(apus_service.self)
            else { continue }
            let ranges = raw.ranges
            let addresses = try reading(.slots) { () throws(BPFError) in
                try (
                    Self.backends(in: ranges.inside, frontend.ipProtocol, slots, backends),
                    Self.backends(in: ranges.outsideBackends, frontend.ipProtocol, slots, backends)
                )
            }
            let isForOutside = raw.frontendKind != .clusterIP || raw.has(APUS_SERVICE_FOR_OUTSIDE)
            let isApart = isForOutside && addresses.0 != addresses.1 || raw.has(APUS_SERVICE_ELSEWHERE)
            found.append(
                ServiceReading(
                    frontend: SocketAddress(frontend.address, frontend.port), ipProtocol: frontend.ipProtocol,
                    name: serviceName(id: raw.service), kind: raw.frontendKind, backends: addresses.0,
                    outside: isApart ? addresses.1 : nil,
                    sourceRanges: (sourceRanges[raw.source_ranges] ?? []).filter {
                        $0.address.isIPv4 == frontend.address.isIPv4
                    },
                    affinitySeconds: raw.affinity == 0 ? nil : raw.affinity_seconds,
                    maglevTableSize: ranges.tableSize == 0 ? nil : ranges.tableSize))
        }
        return found.sorted { ($0.frontend, $0.ipProtocol) < ($1.frontend, $1.ipProtocol) }
    }

    /// The clients of each Service by its id, in order.
    private func sourceRanges() throws(DatapathReadError) -> [UInt32: [CIDR]] {
        var ranges: [UInt32: [CIDR]] = [:]
        for entry in try entries(of: .sourceRanges) {
            if let found = SourceRange(key: entry.key) { ranges[found.service, default: []].append(found.range) }
        }
        return ranges.mapValues { $0.sorted { ($0.address, $0.length) < ($1.address, $1.length) } }
    }

    private static func backends(
        in range: Range<Int>, _ ipProtocol: IPProtocol, _ slots: borrowing BPFMap, _ backends: borrowing BPFMap
    ) throws(BPFError) -> [SocketAddress] {
        var addresses: [SocketAddress] = []
        // A count beyond the map is nonsense that must not keep us busy.
        for slot in range.lowerBound..<max(range.lowerBound, min(range.upperBound, slots.shape.maxEntries)) {
            guard let index = try slots.value(of: Bytes(of: UInt32(slot)), as: UInt32.self), index != 0,
                let backend = try backends.value(of: Bytes(of: index), as: apus_backend.self),
                backend.in_use != 0, backend.protocol == ipProtocol.rawValue
            else { continue }
            addresses.append(backend.socketAddress)
        }
        return addresses
    }

    /// The policies, by id.
    public func policies() throws(DatapathReadError) -> [PolicyReading] {
        var pages: [UInt32: [(number: UInt32, page: apus_policy_page)]] = [:]
        for entry in try entries(of: .policyPages) {
            guard let key = entry.key.load(apus_policy_page_key.self),
                let page = entry.value.load(apus_policy_page.self), key.page < UInt32(APUS_POLICY_PAGES_MAX)
            else { continue }
            pages[key.policy, default: []].append((key.page, page))
        }
        let uses = try uses()
        return pages.sorted { $0.key < $1.key }.map { id, pages in
            policy(PolicyID(rawValue: id), pages.sorted { $0.number < $1.number }, uses[id] ?? [])
        }
    }

    private func policy(
        _ id: PolicyID, _ pages: [(number: UInt32, page: apus_policy_page)], _ uses: [PolicyUse]
    ) -> PolicyReading {
        let isolates = pages.contains { $0.page.has(APUS_POLICY_ISOLATES) }
        let auditsRest = pages.contains { $0.page.has(APUS_POLICY_AUDITS_REST) }
        return PolicyReading(
            id: id, isolates: isolates, auditsRest: auditsRest,
            isolationText: isolates || auditsRest ? ruleText(policy: id, rule: .isolation) : nil,
            rules: pages.flatMap { rules(of: $0.page, number: $0.number, id).map(\.rule) }, uses: uses,
            isTooLong: pages.contains { $0.page.has(APUS_POLICY_TOO_LONG) })
    }

    /// The rules of a page with their bits in it.
    func rules(of page: apus_policy_page, number: UInt32, _ id: PolicyID) -> [(bit: Int, rule: PolicyRuleReading)] {
        (0..<PageBits.width).compactMap { bit in
            guard let tier = page.tier(of: bit) else { return nil }
            let index = number * UInt32(APUS_POLICY_PAGE_BITS) + UInt32(bit)
            let rule = PolicyRuleReading(
                index: index, text: ruleText(policy: id, rule: .rule(index)), tier: tier, action: page.action(of: bit),
                isAudited: page.deny.pageBits[bit] && page.pass.pageBits[bit])
            return (bit, rule)
        }
    }

    /// The endpoints of each policy.
    private func uses() throws(DatapathReadError) -> [UInt32: [PolicyUse]] {
        var uses: [UInt32: [PolicyUse]] = [:]
        for (slot, raw) in try rawEndpoints() {
            for (policy, direction) in [(raw.ingress_policy, TrafficDirection.ingress), (raw.egress_policy, .egress)]
            where policy != 0 {
                let use = PolicyUse(slot: slot, name: endpointName(slot: slot), direction: direction)
                uses[policy, default: []].append(use)
            }
        }
        return uses
    }
}

extension PolicyID {
    /// Nil for the one that stands for no policy.
    fileprivate var ifAny: PolicyID? { self == .none ? nil : self }
}

extension apus_policy_page {
    /// The tier of a rule; nil when there is no such rule.
    fileprivate func tier(of bit: Int) -> PolicyTier? {
        if admin.pageBits[bit] { return .admin }
        if network_policy.pageBits[bit] { return .networkPolicy }
        return baseline.pageBits[bit] ? .baseline : nil
    }

    /// Whether the whole policy has a flag.
    func has(_ flag: apus_policy_flag) -> Bool { flags & UInt32(flag.rawValue) != 0 }

    fileprivate func action(of bit: Int) -> PolicyAction {
        deny.pageBits[bit] ? .deny : pass.pageBits[bit] ? .pass : .allow
    }
}
