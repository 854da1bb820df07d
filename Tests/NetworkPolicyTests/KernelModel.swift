internal import Addressing
internal import DomainNames
internal import NetworkPolicy
internal import PolicyGenerators

/// The kernel's tables, filled by edits, and its verdict over them.
struct KernelModel: Equatable {
    var policies: [PolicyID: CompiledPolicy] = [:]
    var peers: [PeersKey: RuleBits] = [:]
    var classes: [IPAddress: PeerClass] = [:]
    var prefixes: [CIDR: ClassID] = [:]
    var endpoints: [PodKey: EndpointPolicies] = [:]

    struct PeersKey: Hashable {
        let policy: PolicyID
        let peerClass: ClassID
    }

    enum Decision: Equatable {
        case rule(RuleOrigin, isAllowed: Bool)
        case isolated([PolicyName])
        case open
        case always

        var isAllowed: Bool {
            switch self {
            case .rule(_, let isAllowed): isAllowed
            case .isolated: false
            case .open, .always: true
            }
        }
    }

    /// The entries in which two models differ, as text.
    func differences(from other: KernelModel) -> [String] {
        func compare<Key: Hashable, Value: Equatable>(_ left: [Key: Value], _ right: [Key: Value]) -> [String] {
            Set(left.keys).union(right.keys).filter { left[$0] != right[$0] }.map { key in
                let values = [left[key], right[key]].map { $0.map { "\($0)" } ?? "nothing" }
                return "\(key): \(values[0]), not \(values[1])"
            }
        }
        return compare(policies, other.policies) + compare(peers, other.peers) + compare(classes, other.classes)
            + compare(prefixes, other.prefixes) + compare(endpoints, other.endpoints)
    }

    /// What an edit did wrong, nil when it is as it should be.
    mutating func apply(_ edit: PolicyEdit) -> String? {
        switch edit {
        case .setPolicy(let policy):
            if let old = policies.updateValue(policy, forKey: policy.id) {
                return old == policy ? "set twice" : "content of an id changed"
            }
        case .removePolicy(let id):
            if endpoints.values.contains(where: { $0.ingress == id || $0.egress == id }) { return "still pointed at" }
            if peers.keys.contains(where: { $0.policy == id }) { return "peers left behind" }
            if policies.removeValue(forKey: id) == nil { return "was not there" }
        case .setPeers(let policy, let peerClass, let bits):
            let key = PeersKey(policy: policy, peerClass: peerClass)
            if bits.isEmpty { return "empty bits" }
            if policies[policy] == nil { return "peers of no policy" }
            if let old = peers.updateValue(bits, forKey: key) { return old == bits ? "set twice" : "pair changed" }
        case .removePeers(let policy, let peerClass):
            let key = PeersKey(policy: policy, peerClass: peerClass)
            if peers.removeValue(forKey: key) == nil { return "was not there" }
        case .setClass(let address, let peerClass):
            if classes.updateValue(peerClass, forKey: address) == peerClass { return "changes nothing" }
        case .removeClass(let address):
            if classes.removeValue(forKey: address) == nil { return "was not there" }
        case .setPrefixClass(let prefix, let peerClass):
            if prefixes.updateValue(peerClass, forKey: prefix) == peerClass { return "changes nothing" }
        case .removePrefixClass(let prefix):
            if prefixes.removeValue(forKey: prefix) == nil { return "was not there" }
        case .setEndpoint(let key, let new):
            if [new.ingress, new.egress].contains(where: { $0 != .none && policies[$0] == nil }) { return "no policy" }
            if endpoints.updateValue(new, forKey: key) == new { return "changes nothing" }
        case .removeEndpoint(let key):
            if endpoints.removeValue(forKey: key) == nil { return "was not there" }
        }
        return nil
    }

    /// Exact entry, then the longest prefix over the 16-byte form, then anyone.
    func peerClass(of address: IPAddress) -> PeerClass {
        if let exact = classes[address] { return exact }
        var best: (length: Int, id: ClassID) = (-1, .anyone)
        for (prefix, id) in prefixes where prefix.mappedLength > best.length && covers(prefix, address) {
            best = (prefix.mappedLength, id)
        }
        return PeerClass(id: best.id)
    }

    /// As an LPM trie sees it: bytes only, no families.
    private func covers(_ prefix: CIDR, _ address: IPAddress) -> Bool {
        (key(prefix.address) ^ key(address)) >> (128 - prefix.mappedLength) == 0
    }

    private func key(_ address: IPAddress) -> UInt128 { UInt128(address.high) << 64 | UInt128(address.low) }

    /// What would have denied a packet that passes, if nothing were in audit mode; nil: nothing.
    func audit(_ query: PolicyQuery, addresses: [IPAddress]) -> Decision? {
        guard judge(query, addresses: addresses).isAllowed else { return nil }
        let decision = judge(query, addresses: addresses, enforces: true)
        return decision.isAllowed ? nil : decision
    }

    func judge(_ query: PolicyQuery, addresses: [IPAddress], enforces: Bool = false) -> Decision {
        if addresses.contains(query.peer) { return .always }
        let peer = peerClass(of: query.peer)
        if query.direction == .ingress, peer.isLocalNode, !query.isReceived { return .always }
        guard let endpoint = endpoints[query.endpoint] else { return .isolated([]) }
        let id = query.direction == .ingress ? endpoint.ingress : endpoint.egress
        guard let policy = policies[id] else { return .open }
        var bits = peers[PeersKey(policy: id, peerClass: peer.id)] ?? RuleBits()
        bits.formUnion(nameBits(policy, query.peerNames))
        return judge(policy, bits, query, enforces)
    }

    /// All patterns that policies may have, compiled once: in this code it would take the most of the time.
    private static let automaton = DomainAutomaton(compiling: ClusterGenerator.domainPatterns)

    /// What the automaton says of the names that were learned.
    private func nameBits(_ policy: CompiledPolicy, _ names: Set<String>) -> RuleBits {
        var result = RuleBits()
        if names.isEmpty || policy.domains.isEmpty { return result }
        for pattern in names.flatMap(Self.automaton.patterns(matching:)) {
            for entry in policy.domains where entry.pattern == pattern { result.formUnion(entry.bits) }
        }
        return result
    }

    private func judge(
        _ policy: CompiledPolicy, _ peerBits: RuleBits, _ query: PolicyQuery, _ enforces: Bool
    ) -> Decision {
        var isPassed = false
        let isolates = policy.isolates || enforces && !policy.auditedBy.isEmpty
        for (number, page) in policy.pages.enumerated() {
            let ports = portBits(page, query) | page.anyPort
            let hits = (peerBits.page(number) | page.anyPeer) & ports
            func decide(_ bit: Int) -> Decision {
                let origin = policy.rules[number * PageBits.width + bit].origin
                return .rule(origin, isAllowed: !page.deny[bit])
            }
            let spared = enforces ? PageBits() : page.deny & page.pass
            let asked = PageBits(words: hits.words & ~spared.words)
            if !isPassed, let bit = (asked & page.admin).lowest {
                if !page.pass[bit] || page.deny[bit] { return decide(bit) }
                isPassed = true
            }
            if let bit = (hits & page.networkPolicy).lowest { return decide(bit) }
            if !isolates, let bit = (asked & page.baseline).lowest { return decide(bit) }
        }
        if !isolates { return .open }
        return .isolated(policy.isolates ? policy.isolatedBy : policy.auditedBy)
    }

    private func portBits(_ page: CompiledPage, _ query: PolicyQuery) -> PageBits {
        let exact = PortPrefix(query.ipProtocol, port: query.port, length: 16)
        let covering = page.ports.filter { $0.ports.contains(exact) }
        return covering.max { $0.ports.length < $1.ports.length }?.bits ?? PageBits()
    }
}
