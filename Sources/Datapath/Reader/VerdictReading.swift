public import Addressing
internal import BPF
internal import DatapathABI
internal import LinuxKernel
internal import NetworkPolicy

/// A packet that opens a connection, as one endpoint's policy judges it.
public struct VerdictQuestion: Sendable, Hashable {
    /// An address of the endpoint.
    public var endpoint: IPAddress
    public var direction: TrafficDirection
    public var peer: IPAddress
    public var ipProtocol: IPProtocol
    /// The destination port, 0 for a protocol without ports.
    public var port: Port
    /// A name, in lower case and without a trailing dot, under which the peer is taken as held though it may not be.
    public var assumedName: String?
    /// Whether what the endpoint receives came in by an interface of its node: then it is not the node's, whatever its
    /// source.
    public var isReceived: Bool

    public init(
        endpoint: IPAddress, direction: TrafficDirection, peer: IPAddress, ipProtocol: IPProtocol, port: Port,
        assumedName: String? = nil, isReceived: Bool = false
    ) {
        self.isReceived = isReceived
        self.assumedName = assumedName
        self.endpoint = endpoint
        self.direction = direction
        self.peer = peer
        self.ipProtocol = ipProtocol
        self.port = port
    }
}

/// What the programs would decide: the lookups and steps of `bpf/lib/policy.h`, over the same maps.
extension DatapathReader {
    /// The verdict on a packet; nil when no endpoint of this node has the address.
    public func verdict(_ question: VerdictQuestion) throws(DatapathReadError) -> PolicyVerdict? {
        // A policy may be replaced and removed while it is read: an endpoint that points elsewhere by then is read anew.
        for _ in 0..<4 {
            let epoch = try policyEpoch()
            guard let endpoint = try rawEndpoint(at: question.endpoint) else { return nil }
            let verdict = try judge(question, endpoint.raw, endpoint.slot, epoch)
            // Unlike a packet, this may take so long that what the epoch has is written anew.
            if verdict.reason != .missing, try policyEpoch() == epoch { return verdict }
            let now = try rawEndpoint(at: question.endpoint)
            if try policyEpoch() == epoch, now?.raw[epoch].policies == endpoint.raw[epoch].policies { return verdict }
        }
        throw DatapathReadError(.failed(errno: 0), "the policy of \(question.endpoint)", detail: "it changes too often")
    }

    /// Which of the values counts that pointers to policies have.
    func policyEpoch() throws(DatapathReadError) -> Int {
        let map = try open(.policyEpoch)
        let number = try reading(.policyEpoch) { () throws(BPFError) in
            try map.value(of: Bytes(of: UInt32(0)), as: UInt32.self)
        }
        return Int(number ?? 0) % PolicyEpoch.count
    }

    private func rawEndpoint(at address: IPAddress) throws(DatapathReadError) -> (slot: UInt32, raw: apus_endpoint)? {
        let addresses = try open(.endpointAddresses)
        return try reading(.endpointAddresses) { () throws(BPFError) in
            guard let slot = try addresses.value(of: address.key, as: UInt32.self), slot != 0,
                let raw = try endpointMap.value(of: Bytes(of: slot), as: apus_endpoint.self), raw.ifindex != 0,
                !raw.isLeaving
            else { return nil }
            return (slot, raw)
        }
    }

    private func judge(
        _ question: VerdictQuestion, _ endpoint: apus_endpoint, _ slot: UInt32, _ epoch: Int
    ) throws(DatapathReadError) -> PolicyVerdict {
        let policies = endpoint[epoch].policies
        let policy = question.direction == .ingress ? policies.ingress : policies.egress
        var verdict = PolicyVerdict(policy: policy == .none ? nil : policy)
        if try rawEndpoint(at: question.peer)?.slot == slot {
            verdict.decide(.ownTraffic, isAllowed: true)
            return verdict
        }
        let (classID, isLocalNode) = try peer(question.peer, in: epoch)
        verdict.peerClass = ClassID(rawValue: classID)
        if question.direction == .ingress, isLocalNode, !question.isReceived {
            verdict.decide(.localNode, isAllowed: true)
            return verdict
        }
        if policy == .none { return verdict }
        let held = question.direction == .egress ? try heldNames(of: question.peer, for: policy) : []
        var sets = Set(held.map(\.set))
        if question.direction == .egress, let name = question.assumedName {
            sets.insert(try patternSet(matching: name))
        }
        sets.remove(0)
        let classes = (classID == 0 ? [] : [classID]) + sets.sorted()
        let pages = try PolicyPageReader(self, policy, classes, question.ipProtocol, question.port)
        verdict.names = try pages.admitted(held)
        try judge(pages, policy, &verdict)
        return verdict
    }

    /// The names under which an address counts for a policy now, the one that ends last first.
    private func heldNames(of address: IPAddress, for policy: PolicyID) throws(DatapathReadError) -> [HeldName] {
        var names = try addressNames()
        let now = KernelClock.monotonic()
        return names.names(of: address, for: policy).filter { $0.set != 0 && $0.end > now }
    }

    /// Goes through the pages of a policy until a rule decides.
    private func judge(
        _ pages: borrowing PolicyPageReader, _ policy: PolicyID, _ verdict: inout PolicyVerdict
    ) throws(DatapathReadError) {
        let head = try pages.head()
        var passed = false
        var count: UInt32 = 1
        var number: UInt32 = 0
        while number < count {
            guard let page = try pages.page(number, head), page.page.page_count <= UInt32(APUS_POLICY_PAGES_MAX) else {
                // The programs look at no page in which no rule can match.
                if number > 0, !head.mayMatch(number) {
                    number += 1
                    continue
                }
                return verdict.decide(.missing, isAllowed: false)
            }
            count = page.page.page_count
            if page.isolates || page.auditsRest { verdict.isolationText = ruleText(policy: policy, rule: .isolation) }
            if add(page, number, &verdict, &passed) { return }
            number += 1
        }
        if head.has(APUS_POLICY_TOO_LONG) { return verdict.decide(.tooLong, isAllowed: false) }
        if head.has(APUS_POLICY_ISOLATES) { verdict.decide(.isolation, isAllowed: false) }
        if head.has(APUS_POLICY_AUDITS_REST) { verdict.audit(.isolation) }
    }

    /// Goes through the rules of a page; true when one decided.
    private func add(
        _ page: JudgedPage, _ number: UInt32, _ verdict: inout PolicyVerdict, _ passed: inout Bool
    ) -> Bool {
        guard let policy = verdict.policy else { return false }
        for (bit, rule) in rules(of: page.page, number: number, policy) {
            if rule.tier == .admin && passed || rule.tier == .baseline && page.isolates { continue }
            let step = PolicyVerdict.Rule(
                rule: rule, admitsPeer: page.peers[bit], admitsPort: page.ports[bit])
            verdict.rules.append(step)
            guard step.matches else { continue }
            if rule.tier == .baseline, page.auditsRest { verdict.audit(.isolation) }
            if rule.isAudited {
                verdict.audit(.rule(rule))
                continue
            }
            if rule.tier == .admin, rule.action == .pass {
                passed = true
                continue
            }
            verdict.decide(.rule, isAllowed: rule.action != .deny)
            return true
        }
        return false
    }

    /// The class of an address, and whether it is this node's own.
    private func peer(_ address: IPAddress, in epoch: Int) throws(DatapathReadError) -> (
        classID: UInt32, isLocalNode: Bool
    ) {
        let classes = try open(.peerClasses)
        let exact = try reading(.peerClasses) { () throws(BPFError) in
            try classes.value(of: address.key, as: apus_peer.self)?[epoch]
        }
        if let exact, !exact.isAbsent {
            return (exact.class_id, exact.flags & UInt32(APUS_PEER_LOCAL_NODE.rawValue) != 0)
        }
        let prefixes = try open(.peerPrefixes)
        let classID = try reading(.peerPrefixes) { () throws(BPFError) in
            try prefixes.value(of: CIDR(host: address).key, as: apus_prefix_peer.self)?[epoch]
        }
        return (classID ?? 0, false)
    }
}

/// A page and which of its rules admit the packet's two sides.
private struct JudgedPage {
    let page: apus_policy_page
    let peers: PageBits
    let ports: PageBits

    var isolates: Bool { page.has(APUS_POLICY_ISOLATES) }
    var auditsRest: Bool { page.has(APUS_POLICY_AUDITS_REST) }
}

/// What the entries of page 0 say of a policy, and of a peer and a port under it; nil where they are not there.
private struct PolicyHead {
    var page: apus_policy_page?
    /// Of the peer's class and of the sets of patterns that match its names.
    var peers: [(classID: UInt32, lead: apus_policy_bits)]
    var ports: apus_policy_bits?

    /// Whether the whole policy has a flag.
    func has(_ flag: apus_policy_flag) -> Bool { page?.has(flag) ?? false }

    /// Whether a rule of a page may match both sides.
    func mayMatch(_ number: UInt32) -> Bool {
        let peers = peers.reduce(page?.any_peer_pages ?? 0) { $0 | $1.lead.pages }
        let ports = (page?.any_port_pages ?? 0) | (ports?.pages ?? 0)
        return (peers & ports) >> UInt64(number) & 1 == 1
    }
}

/// Reads the pages of a policy for one packet.
private struct PolicyPageReader: ~Copyable {
    private let pages: BPFMap
    private let peers: BPFMap
    private let singlePorts: BPFMap
    private let ports: BPFMap
    private let policy: UInt32
    private let classes: [UInt32]
    private let portKey: (UInt32) -> apus_policy_ports_key

    init(
        _ reader: borrowing DatapathReader, _ policy: PolicyID, _ classes: [UInt32], _ ipProtocol: IPProtocol,
        _ port: Port
    ) throws(DatapathReadError) {
        let pages = try reader.open(.policyPages)
        let peers = try reader.open(.policyPeers)
        let singlePorts = try reader.open(.policySinglePorts)
        let ports = try reader.open(.policyPorts)
        self.pages = pages
        self.peers = peers
        self.singlePorts = singlePorts
        self.ports = ports
        self.policy = policy.rawValue
        self.classes = classes
        portKey = { page in
            apus_policy_ports_key(
                policy: policy.rawValue, page: Int(page), PortPrefix(ipProtocol, port: port, length: 16))
        }
    }

    func head() throws(DatapathReadError) -> PolicyHead {
        try reading { () throws(BPFError) in
            var leads: [(classID: UInt32, lead: apus_policy_bits)] = []
            for classID in classes {
                guard let lead = try peerBits(classID, 0) else { continue }
                leads.append((classID, lead))
            }
            return PolicyHead(page: try pageValue(0), peers: leads, ports: try portBits(0))
        }
    }

    /// Of the names of the peer those that a rule of the policy admits.
    func admitted(_ names: [HeldName]) throws(DatapathReadError) -> [HeldName] {
        try reading { () throws(BPFError) in
            var admitted: [HeldName] = []
            for name in names where try peerBits(name.set, 0) != nil { admitted.append(name) }
            return admitted
        }
    }

    /// A page; nil when it, or what page 0 promises of it, is not there.
    func page(_ number: UInt32, _ head: PolicyHead) throws(DatapathReadError) -> JudgedPage? {
        try reading { () throws(BPFError) in
            guard let page = number == 0 ? head.page : try pageValue(number),
                let peerBits = try peerBits(head, number),
                let portBits = try bits(head.ports, number, { () throws(BPFError) in try portBits(number) })
            else { return nil }
            return JudgedPage(
                page: page, peers: page.any_peer.pageBits | peerBits, ports: page.any_port.pageBits | portBits)
        }
    }

    private func pageValue(_ number: UInt32) throws(BPFError) -> apus_policy_page? {
        try pages.value(of: Bytes(of: apus_policy_page_key(policy: policy, page: number)), as: apus_policy_page.self)
    }

    /// A single port's entry, or that of the longest range with it.
    private func portBits(_ page: UInt32) throws(BPFError) -> apus_policy_bits? {
        let key = Bytes(of: portKey(page))
        if let single = try singlePorts.value(of: key, as: apus_policy_bits.self) { return single }
        return try ports.value(of: key, as: apus_policy_bits.self)
    }

    /// The rules of a page that admit any class of the peer; nil when an entry of one is not there.
    private func peerBits(_ head: PolicyHead, _ page: UInt32) throws(BPFError) -> PageBits? {
        var joined = PageBits()
        for (classID, lead) in head.peers {
            let own = try bits(lead, page, { () throws(BPFError) in try peerBits(classID, page) })
            guard let own else { return nil }
            joined = joined | own
        }
        return joined
    }

    private func peerBits(_ classID: UInt32, _ page: UInt32) throws(BPFError) -> apus_policy_bits? {
        let key = apus_policy_peers_key(policy: policy, class_id: classID, page: page)
        return try peers.value(of: Bytes(of: key), as: apus_policy_bits.self)
    }

    /// The bits of a page: none, those that the leading entry has, or those of an entry of its own; nil when that one
    /// is not there.
    private func bits(
        _ lead: apus_policy_bits?, _ number: UInt32, _ own: () throws(BPFError) -> apus_policy_bits?
    ) throws(BPFError) -> PageBits? {
        guard let lead, lead.pages >> UInt64(number) & 1 == 1 else { return PageBits() }
        if lead.pages.trailingZeroBitCount == Int(number) { return lead.bits.pageBits }
        return try own()?.bits.pageBits
    }

    private func reading<Value>(_ read: () throws(BPFError) -> Value) throws(DatapathReadError) -> Value {
        do {
            return try read()
        } catch {
            throw DatapathReadError(error, PinnedMap.policyPages.rawValue)
        }
    }
}
