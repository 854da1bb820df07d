internal import Addressing
internal import BPF
internal import DatapathABI
internal import NetworkPolicy

/// The policy tables of a fixture, as a compiler's edits make them.
struct CompiledTables {
    private let datapath: DatapathFixture
    /// What was written, as removal has to know every page.
    private var policies: [PolicyID: CompiledPolicy] = [:]
    private var portKeys: [PolicyID: [apus_policy_ports_key]] = [:]
    private var peerPages: [PeersKey: [Int]] = [:]
    /// What pods of the node are judged by.
    private(set) var endpoints: [PodKey: EndpointPolicies] = [:]

    private struct PeersKey: Hashable {
        let policy: PolicyID
        let peerClass: ClassID
    }

    init(_ datapath: DatapathFixture) { self.datapath = datapath }

    /// The object's item that a rule comes from.
    func origin(_ policy: UInt32, _ rule: UInt32) -> RuleOrigin? {
        guard let rules = policies[PolicyID(rawValue: policy)]?.rules, rule < rules.count else { return nil }
        return rules[Int(rule)].origin
    }

    /// How many rules a policy has.
    func ruleCount(_ policy: UInt32) -> Int { policies[PolicyID(rawValue: policy)]?.rules.count ?? 0 }

    mutating func apply(_ edit: PolicyEdit) throws {
        let maps = datapath.maps
        switch edit {
        case .setPolicy(let policy):
            try write(policy)
            policies[policy.id] = policy
        case .removePolicy(let id):
            if let policy = policies.removeValue(forKey: id) { try remove(policy) }
        case .setPeers(let policy, let peerClass, let bits):
            let entries = FixtureBits(bits.pages.map { apus_rule_bits($0) }).entries
            peerPages[PeersKey(policy: policy, peerClass: peerClass)] = entries.map(\.page)
            for (page, value) in entries { try maps.policyPeers.update(key(policy, peerClass, page), value) }
        case .removePeers(let policy, let peerClass):
            let pages = peerPages.removeValue(forKey: PeersKey(policy: policy, peerClass: peerClass)) ?? []
            for number in pages { try maps.policyPeers.delete(key(policy, peerClass, number)) }
        case .setClass(let address, let peerClass):
            try datapath.setClass(
                peerClass.id.rawValue, of: address, isLocalNode: peerClass.isLocalNode,
                isElsewhere: peerClass.isElsewhere)
        case .removeClass(let address): try maps.peerClasses.delete(apus_address(address))
        case .setPrefixClass(let prefix, let peerClass): try datapath.setClass(peerClass.rawValue, of: prefix)
        case .removePrefixClass(let prefix): try maps.peerPrefixes.delete(apus_prefix_key(prefix))
        case .setEndpoint(let key, let new): endpoints[key] = new
        case .removeEndpoint(let key): endpoints[key] = nil
        }
    }

    private func key(_ policy: PolicyID, _ peerClass: ClassID, _ page: Int) -> apus_policy_peers_key {
        apus_policy_peers_key(policy: policy.rawValue, class_id: peerClass.rawValue, page: UInt32(page))
    }

    private func key(_ policy: PolicyID, _ page: Int, _ ports: PortPrefix) -> apus_policy_ports_key {
        var key = apus_policy_ports_key()
        key.prefix_length = UInt32(APUS_POLICY_PORTS_FIXED_BITS) + UInt32(ports.length)
        key.policy = policy.rawValue
        key.page = UInt16(page)
        key.protocol = ports.ipProtocol.rawValue
        key.port = ports.port.bigEndian
        return key
    }

    private mutating func write(_ policy: CompiledPolicy) throws {
        // Isolation alone is a policy, too: of one page without rules.
        let pages = policy.pages.isEmpty ? [CompiledPage()] : policy.pages
        let anyPeer = FixtureBits(pages.map { apus_rule_bits($0.anyPeer) })
        let anyPort = FixtureBits(pages.map { apus_rule_bits($0.anyPort) })
        for (number, page) in pages.enumerated() {
            let value = apus_policy_page(
                any_peer: apus_rule_bits(page.anyPeer), any_port: apus_rule_bits(page.anyPort),
                admin: apus_rule_bits(page.admin), network_policy: apus_rule_bits(page.networkPolicy),
                baseline: apus_rule_bits(page.baseline), deny: apus_rule_bits(page.deny),
                pass: apus_rule_bits(page.pass), any_peer_pages: anyPeer.mask, any_port_pages: anyPort.mask,
                page_count: UInt32(pages.count), flags: flags(policy))
            try datapath.maps.policyPages.update(
                apus_policy_page_key(policy: policy.id.rawValue, page: UInt32(number)), value)
        }
        let portEntries = portEntries(policy)
        portKeys[policy.id] = portEntries.map(\.key)
        for (key, value) in portEntries {
            if isSingle(key) {
                try datapath.maps.policySinglePorts.update(key, value)
            } else {
                try datapath.maps.policyPorts.update(key, value)
            }
        }
    }

    private func isSingle(_ key: apus_policy_ports_key) -> Bool {
        key.prefix_length == UInt32(APUS_POLICY_PORTS_FIXED_BITS) + 16
    }

    /// Every prefix that any page names, with what covers it in each page.
    private func portEntries(_ policy: CompiledPolicy) -> [(key: apus_policy_ports_key, value: apus_policy_bits)] {
        let pages = policy.pages.map { page in
            Dictionary(page.ports.map { ($0.ports, $0.bits) }) { first, _ in first }
        }
        return Set(pages.flatMap(\.keys)).flatMap { prefix in
            // From the prefix itself to the whole protocol.
            let covering = (0...prefix.length).reversed().map {
                PortPrefix(prefix.ipProtocol, port: prefix.port, length: $0)
            }
            let bits = FixtureBits(
                pages.map { page in
                    apus_rule_bits(covering.lazy.compactMap { page[$0] }.first ?? PageBits())
                })
            return bits.entries.map { (key(policy.id, $0.page, prefix), $0.value) }
        }
    }

    private func flags(_ policy: CompiledPolicy) -> UInt32 {
        let audits = policy.audits ? APUS_POLICY_AUDITS.rawValue : 0
        if policy.isolates { return audits | APUS_POLICY_ISOLATES.rawValue }
        return policy.auditedBy.isEmpty ? audits : audits | APUS_POLICY_AUDITS_REST.rawValue
    }

    private mutating func remove(_ policy: CompiledPolicy) throws {
        for number in 0..<max(1, policy.pages.count) {
            try datapath.maps.policyPages.delete(apus_policy_page_key(policy: policy.id.rawValue, page: UInt32(number)))
        }
        for key in portKeys.removeValue(forKey: policy.id) ?? [] {
            if isSingle(key) {
                try datapath.maps.policySinglePorts.delete(key)
            } else {
                try datapath.maps.policyPorts.delete(key)
            }
        }
    }
}

extension apus_rule_bits {
    init(_ bits: PageBits) {
        self.init(words: (bits.words[0], bits.words[1], bits.words[2], bits.words[3]))
    }
}
