internal import Addressing
internal import BPF
internal import DatapathABI

/// A policy written by hand: rules in order, and what they admit.
struct HandMadePolicy {
    struct Rule {
        enum Tier { case admin, networkPolicy, baseline }
        enum Action { case allow, deny, pass, audit }
        var tier = Tier.networkPolicy
        var action = Action.allow
        /// Classes of peers; nil for every peer.
        var peers: [UInt32]?
        /// Ports of one protocol; nil for every protocol and port.
        var ports: PortRange?
    }

    struct PortRange {
        var ipProtocol = IPProtocol.tcp
        /// The upper `length` bits of `port` count.
        var port: Port
        var length = 16
    }

    let id: UInt32
    var isolates = true
    /// What would isolate is in audit mode.
    var auditsRest = false
    var rules: [Rule] = []

    /// Nothing passes.
    static let denyAll = HandMadePolicy(id: 0xdead)
    /// Only TCP to port 80 passes.
    static let onlyHTTP = HandMadePolicy(id: 0x80, rules: [Rule(ports: PortRange(port: 80))])
    /// Everything passes, but by a rule.
    static let allowAll = HandMadePolicy(id: 0xa11, rules: [Rule()])

    var flags: UInt32 {
        let rest = isolates ? APUS_POLICY_ISOLATES.rawValue : auditsRest ? APUS_POLICY_AUDITS_REST.rawValue : 0
        return rest | (auditsRest || rules.contains { $0.action == .audit } ? APUS_POLICY_AUDITS.rawValue : 0)
    }

    var pageCount: Int { max(1, (rules.count + 255) / 256) }
}

extension apus_rule_bits {
    mutating func insert(_ bit: Int) {
        withUnsafeMutableBytes(of: &self) { words in
            words.withMemoryRebound(to: UInt64.self) { $0[bit / 64] |= 1 << UInt64(bit % 64) }
        }
    }
}

extension DatapathFixture {
    /// Writes a policy into the maps.
    func set(_ policy: HandMadePolicy) throws {
        for number in 0..<policy.pageCount {
            let rules = policy.rules.dropFirst(number * 256).prefix(256)
            var page = apus_policy_page()
            page.page_count = UInt32(policy.pageCount)
            page.flags = policy.flags
            var peers: [UInt32: apus_rule_bits] = [:]
            var ports: [(range: HandMadePolicy.PortRange, bit: Int)] = []
            for (bit, rule) in rules.enumerated() {
                page.insert(rule, bit)
                for peer in rule.peers ?? [] { peers[peer, default: apus_rule_bits()].insert(bit) }
                if let range = rule.ports { ports.append((range, bit)) }
            }
            try maps.policyPages.update(apus_policy_page_key(policy: policy.id, page: UInt32(number)), page)
            for (peer, bits) in peers {
                let key = apus_policy_peers_key(policy: policy.id, class_id: peer, page: UInt32(number))
                try maps.policyPeers.update(key, bits)
            }
            for (range, _) in ports {
                // A longer prefix holds the bits of those that cover it.
                var bits = apus_rule_bits()
                for (other, bit) in ports where other.covers(range) { bits.insert(bit) }
                try maps.policyPorts.update(portsKey(policy.id, number, range), bits)
            }
        }
    }

    private func portsKey(_ policy: UInt32, _ page: Int, _ range: HandMadePolicy.PortRange) -> apus_policy_ports_key {
        var key = apus_policy_ports_key()
        key.prefix_length = 64 + UInt32(range.length)
        key.policy = policy
        key.page = UInt16(page)
        key.protocol = range.ipProtocol.rawValue
        key.port = range.port.bigEndian
        return key
    }

    /// Puts an address into a class of peers.
    func setClass(_ id: UInt32, of address: IPAddress, isLocalNode: Bool = false) throws {
        let flags = isLocalNode ? APUS_PEER_LOCAL_NODE.rawValue : 0
        try maps.peerClasses.update(apus_address(address), apus_peer(class_id: id, flags: flags))
    }

    /// Puts a prefix into a class of peers.
    func setClass(_ id: UInt32, of prefix: CIDR) throws { try maps.peerPrefixes.update(apus_prefix_key(prefix), id) }
}

extension apus_prefix_key {
    init(_ prefix: CIDR) {
        self.init()
        prefix_length = UInt32(prefix.mappedLength)
        withUnsafeMutableBytes(of: &address) { $0.copyBytes(from: prefix.address.bytes) }
    }
}

extension HandMadePolicy.PortRange {
    fileprivate func covers(_ other: Self) -> Bool {
        ipProtocol == other.ipProtocol && length <= other.length
            && (length == 0 || (port ^ other.port) >> Port(16 - length) == 0)
    }
}

extension apus_policy_page {
    fileprivate mutating func insert(_ rule: HandMadePolicy.Rule, _ bit: Int) {
        if rule.peers == nil { any_peer.insert(bit) }
        if rule.ports == nil { any_port.insert(bit) }
        switch rule.tier {
        case .admin: admin.insert(bit)
        case .networkPolicy: network_policy.insert(bit)
        case .baseline: baseline.insert(bit)
        }
        switch rule.action {
        case .allow: break
        case .deny: deny.insert(bit)
        case .pass: pass.insert(bit)
        case .audit:
            deny.insert(bit)
            pass.insert(bit)
        }
    }
}
