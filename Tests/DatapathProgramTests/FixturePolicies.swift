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

    struct PortRange: Hashable {
        var ipProtocol = IPProtocol.tcp
        /// The upper `length` bits of `port` count.
        var port: Port
        var length = 16
    }

    let id: UInt32
    var isolates = true
    /// What would isolate is in audit mode.
    var auditsRest = false
    /// Some of its classes of peers are sets of patterns of names.
    var hasNames = false
    var rules: [Rule] = []

    /// Nothing passes.
    static let denyAll = HandMadePolicy(id: 0xdead)
    /// Only TCP to port 80 passes.
    static let onlyHTTP = HandMadePolicy(id: 0x80, rules: [Rule(ports: PortRange(port: 80))])
    /// Everything passes, but by a rule.
    static let allowAll = HandMadePolicy(id: 0xa11, rules: [Rule()])

    var flags: UInt32 {
        let rest = isolates ? APUS_POLICY_ISOLATES.rawValue : auditsRest ? APUS_POLICY_AUDITS_REST.rawValue : 0
        let names = hasNames ? APUS_POLICY_NAMES.rawValue : 0
        return rest | names | (auditsRest || rules.contains { $0.action == .audit } ? APUS_POLICY_AUDITS.rawValue : 0)
    }

    var pageCount: Int { max(1, (rules.count + 255) / 256) }
}

extension DatapathFixture {
    /// Writes a policy into the maps.
    func set(_ policy: HandMadePolicy) throws {
        var pages = (0..<policy.pageCount).map { _ in apus_policy_page() }
        var peers: [UInt32: FixtureBits] = [:]
        var (anyPeer, anyPort) = (FixtureBits(), FixtureBits())
        for (number, rule) in policy.rules.enumerated() {
            pages[number / 256].insert(rule, number % 256)
            if rule.peers == nil { anyPeer.insert(number) }
            if rule.ports == nil { anyPort.insert(number) }
            for peer in rule.peers ?? [] { peers[peer, default: FixtureBits()].insert(number) }
        }
        for (number, page) in pages.enumerated() {
            var page = page
            (page.any_peer_pages, page.any_port_pages) = (anyPeer.mask, anyPort.mask)
            (page.page_count, page.flags) = (UInt32(policy.pageCount), policy.flags)
            try maps.policyPages.update(apus_policy_page_key(policy: policy.id, page: UInt32(number)), page)
        }
        for (peer, bits) in peers {
            for (page, value) in bits.entries {
                let key = apus_policy_peers_key(policy: policy.id, class_id: peer, page: UInt32(page))
                try maps.policyPeers.update(key, value)
            }
        }
        try setPorts(of: policy)
    }

    private func setPorts(of policy: HandMadePolicy) throws {
        for range in Set(policy.rules.compactMap(\.ports)) {
            // A longer prefix holds the bits of those that cover it.
            var bits = FixtureBits()
            for (number, rule) in policy.rules.enumerated() where rule.ports?.covers(range) ?? false {
                bits.insert(number)
            }
            for (page, value) in bits.entries {
                let key = portsKey(policy.id, page, range)
                if range.length == 16 {
                    try maps.policySinglePorts.update(key, value)
                } else {
                    try maps.policyPorts.update(key, value)
                }
            }
        }
    }

    func portsKey(_ policy: UInt32, _ page: Int, _ range: HandMadePolicy.PortRange) -> apus_policy_ports_key {
        var key = apus_policy_ports_key()
        key.prefix_length = 64 + UInt32(range.length)
        key.policy = policy
        key.page = UInt16(page)
        key.protocol = range.ipProtocol.rawValue
        key.port = range.port.bigEndian
        return key
    }

    /// Puts an address into a class of peers.
    func setClass(
        _ id: UInt32, of address: IPAddress, isLocalNode: Bool = false, isElsewhere: Bool = false
    ) throws {
        let flags =
            (isLocalNode ? APUS_PEER_LOCAL_NODE.rawValue : 0) | (isElsewhere ? APUS_PEER_ELSEWHERE.rawValue : 0)
        try maps.peerClasses.update(apus_address(address), apus_peer(apus_peer_epoch(class_id: id, flags: flags)))
    }

    /// Puts a prefix into a class of peers.
    func setClass(_ id: UInt32, of prefix: CIDR) throws {
        try maps.peerPrefixes.update(apus_prefix_key(prefix), apus_prefix_peer(id))
    }
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
