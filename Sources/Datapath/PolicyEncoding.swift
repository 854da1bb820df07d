internal import Addressing
internal import DatapathABI
internal import NetworkPolicy

/// A compiled policy as entries of the maps.
struct EncodedPolicy {
    let pages: [TableEntry]
    let ports: [TableEntry]
    let names: [TableEntry]

    init(_ policy: CompiledPolicy) {
        let id = policy.id.rawValue
        // A policy without rules still has a page: it says whether the policy isolates.
        let values = policy.pages.isEmpty ? [apus_policy_page()] : policy.pages.map { apus_policy_page($0) }
        let (anyPeer, anyPort) = (policy.pages(\.anyPeer), policy.pages(\.anyPort))
        pages = values.enumerated().map { index, value in
            var value = value
            value.any_peer_pages = anyPeer
            value.any_port_pages = anyPort
            value.page_count = UInt32(values.count)
            value.flags = policy.flags
            let key = apus_policy_page_key(policy: id, page: UInt32(index))
            return TableEntry(key: Bytes(of: key), value: Bytes(of: value))
        }
        ports = policy.portEntries.map { page, ports, value in
            TableEntry(key: Bytes(of: apus_policy_ports_key(policy: id, page: page, ports)), value: Bytes(of: value))
        }
        names = Self.names(of: policy) + policy.domainNames
    }

    private static func names(of policy: CompiledPolicy) -> [TableEntry] {
        var names = policy.rules.enumerated().map { index, rule in
            name(
                policy, UInt32(index), rule.origin.policy, rule.origin.direction,
                ([String(rule.origin.index)] + [rule.origin.ruleName].compactMap { $0 }).joined(separator: "/"))
        }
        if let isolating = policy.isolatedBy.first ?? policy.auditedBy.first {
            names.append(name(policy, APUS_RULE_ISOLATION, isolating, policy.direction, "isolation"))
        }
        return names
    }

    /// `kind/namespace/name/direction/index`, and `/rule name` where it has one, which comes last as too long a text
    /// loses its end; the namespace of a cluster-scoped policy is empty.
    private static func name(
        _ policy: CompiledPolicy, _ rule: UInt32, _ object: PolicyName, _ direction: PolicyDirection, _ place: String
    ) -> TableEntry {
        let text = "\(object.kind.rawValue)/\(object.namespace)/\(object.name)/\(direction.rawValue)/\(place)"
        return TableEntry(
            key: NameKey.rule(policy: policy.id.rawValue, rule).key, value: NameKey.value(text))
    }
}

extension CompiledPolicy {
    /// What every page says of the whole policy.
    fileprivate var flags: UInt32 {
        var flags = isolates ? APUS_POLICY_ISOLATES.rawValue : auditedBy.isEmpty ? 0 : APUS_POLICY_AUDITS_REST.rawValue
        if audits { flags |= APUS_POLICY_AUDITS.rawValue }
        if !domains.isEmpty { flags |= APUS_POLICY_NAMES.rawValue }
        if isTooLong { flags |= APUS_POLICY_TOO_LONG.rawValue }
        return UInt32(flags)
    }
}

extension apus_rule_bits {
    init(_ bits: PageBits) {
        self.init(words: (bits.words[0], bits.words[1], bits.words[2], bits.words[3]))
    }

    var pageBits: PageBits { PageBits(words: SIMD4(words.0, words.1, words.2, words.3)) }
}

extension apus_policy_page {
    /// The masks of a page; what the whole policy has is left 0.
    init(_ page: CompiledPage) {
        self.init(
            any_peer: apus_rule_bits(page.anyPeer), any_port: apus_rule_bits(page.anyPort),
            admin: apus_rule_bits(page.admin), network_policy: apus_rule_bits(page.networkPolicy),
            baseline: apus_rule_bits(page.baseline), deny: apus_rule_bits(page.deny), pass: apus_rule_bits(page.pass),
            any_peer_pages: 0, any_port_pages: 0, page_count: 0, flags: 0)
    }
}

extension apus_policy_ports_key {
    init(policy: UInt32, page: Int, _ ports: PortPrefix) {
        self.init(
            prefix_length: UInt32(APUS_POLICY_PORTS_FIXED_BITS) + UInt32(ports.length), policy: policy,
            page: UInt16(page), protocol: ports.ipProtocol.rawValue, padding: 0, port: ports.port.bigEndian,
            padding_end: 0)
    }
}
