internal import Addressing
internal import DatapathABI
internal import LoadBalancing
internal import NetworkPolicy

extension DatapathTable {
    /// A key for people; the bytes in hex when they are no key of this map.
    package func text(ofKey key: Bytes) -> String { readableKey(key) ?? hexadecimal(key) }

    /// A value for people; the bytes in hex when they are no value of this map.
    package func text(ofValue value: Bytes) -> String { readableValue(value) ?? hexadecimal(value) }

    private func readableKey(_ key: Bytes) -> String? {
        switch self {
        case .info, .endpoints, .slots, .backends, .policyEpoch: key.load(UInt32.self).map { "\($0)" }
        case .interfaces, .uplinks: key.load(UInt32.self).map { "interface \($0)" }
        case .endpointAddresses, .peerClasses: key.load(apus_address.self).map { "\($0.address)" }
        case .peerPrefixes, .dnsResolvers, .nonMasquerade, .nodeRanges: CIDR(key: key).map { "\($0)" }
        case .policyPages: key.load(apus_policy_page_key.self).map { "policy \(PolicyID($0.policy)) page \($0.page)" }
        case .policyPeers: key.load(apus_policy_peers_key.self).map(\.text)
        case .policySinglePorts, .policyPorts: key.load(apus_policy_ports_key.self).map(\.text)
        case .services: Frontend(key: key).map { "\($0)" }
        case .sourceRanges: SourceRange(key: key).map { "service \($0.service) \($0.range)" }
        case .names: NameKey(key: key)?.text
        }
    }

    private func readableValue(_ value: Bytes) -> String? {
        switch self {
        case .info: InfoRecord(value).map { "\($0)" }
        case .interfaces, .endpointAddresses: value.load(UInt32.self).map { "endpoint \($0)" }
        case .slots: value.load(UInt32.self).map { "backend \($0)" }
        case .endpoints: value.load(apus_endpoint.self).map(\.text)
        case .peerClasses: value.load(apus_peer.self).map(\.text)
        case .peerPrefixes: value.load(apus_prefix_peer.self).map(\.text)
        case .policyEpoch: value.load(UInt32.self).map { "epoch \($0)" }
        case .policyPages: value.load(apus_policy_page.self).map(\.text)
        case .policyPeers, .policySinglePorts, .policyPorts: value.load(apus_policy_bits.self).map(\.text)
        case .services: value.load(apus_service.self).map(\.text)
        case .backends: value.load(apus_backend.self).map(\.text)
        case .names: NameKey.text(value)
        case .dnsResolvers: value.load(UInt32.self).map { ResolverTrust(rawValue: $0).text }
        case .sourceRanges: "admitted"
        case .nonMasquerade: "not masqueraded"
        case .nodeRanges: value.load(UInt32.self).map { NodeRange(rawValue: $0).text }
        case .uplinks: value.load(apus_uplink.self).map(\.text)
        }
    }
}

/// Bytes as pairs of hex digits.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
}

/// `datapath_info` as it is read.
struct InfoRecord: CustomStringConvertible {
    let layouts: MapLayouts
    var abiVersion: UInt32 { layouts.version }
    let nextIdentity: UInt32
    let startedAt: UInt64
    let node: String

    static let layoutsOffset = MemoryLayout<apus_info>.offset(of: \.layouts) ?? 0

    /// Nil when there are too few bytes.
    init?(_ bytes: Bytes) {
        guard bytes.count >= Self.layoutsOffset, let version = bytes.load(UInt32.self),
            let identity = bytes.load(UInt32.self, at: 4), let started = bytes.load(UInt64.self, at: 8)
        else { return nil }
        // A version that does not say it: a later one can't be told to have anything alike, and of an earlier one this
        // build knows it itself.
        let since = MapLayouts.Group.allCases.map {
            bytes.load(UInt32.self, at: Self.layoutsOffset + $0.rawValue * MemoryLayout<UInt32>.size) ?? version
        }
        layouts = MapLayouts(version: version, since: since)
        nextIdentity = identity
        startedAt = started
        node = String(decoding: bytes[..<Self.layoutsOffset].dropFirst(16).prefix { $0 != 0 }, as: UTF8.self)
    }

    var description: String { "ABI \(abiVersion) node \(node) next identity \(nextIdentity)" }
}

extension PolicyID {
    fileprivate init(_ number: UInt32) { self.init(rawValue: number) }
}

extension NameKey {
    /// `endpoint 3`, `service 4` or `rule 00c0ffee/2`.
    var text: String {
        switch self {
        case .endpoint(let slot): "endpoint \(slot)"
        case .service(let id): "service \(id)"
        case .rule(let policy, APUS_RULE_ISOLATION): "rule \(PolicyID(policy))/isolation"
        case .pattern(let set, let index): "pattern \(ClassID(rawValue: set))/\(index)"
        case .domains(let policy, let number): "domains \(PolicyID(policy))/\(number)"
        case .rule(let policy, let rule): "rule \(PolicyID(policy))/\(rule)"
        }
    }
}

extension apus_policy_peers_key {
    fileprivate var text: String { "policy \(PolicyID(policy)) class \(ClassID(rawValue: class_id)) page \(page)" }
}

extension apus_policy_ports_key {
    fileprivate var text: String {
        let fixed = UInt32(APUS_POLICY_PORTS_FIXED_BITS)
        let length = Int(clamping: max(prefix_length, fixed) - fixed)
        let ports = PortPrefix(IPProtocol(rawValue: self.protocol), port: port.bigEndian, length: min(length, 16))
        let range = ports.length == 16 ? "\(ports.port)" : ports.length == 0 ? "any" : "\(ports.port)-\(ports.last)"
        return "policy \(PolicyID(policy)) page \(page) \(ports.ipProtocol) \(range)"
    }
}

extension apus_rule_bits {
    /// The numbers of the set bits, `0,3,17`; `-` when there are none.
    var text: String {
        let set = (0..<PageBits.width).filter { pageBits[$0] }.map(String.init)
        return set.isEmpty ? "-" : set.joined(separator: ",")
    }
}

extension apus_policy_bits {
    /// `rules 0,3`, and where they are not all of a policy's first page, `rules 5 pages 2,4`: those of page 2.
    fileprivate var text: String {
        let numbers = (0..<UInt64.bitWidth).filter { pages >> UInt64($0) & 1 == 1 }.map(String.init)
        return "rules \(bits.text)" + (pages == 1 ? "" : " pages \(numbers.joined(separator: ","))")
    }
}

extension apus_policy_page {
    fileprivate var text: String {
        let masks = [
            ("any-peer", any_peer), ("any-port", any_port), ("admin", admin), ("network-policy", network_policy),
            ("baseline", baseline), ("deny", deny), ("pass", pass),
        ]
        let words = [
            (APUS_POLICY_ISOLATES, "isolates"), (APUS_POLICY_AUDITS_REST, "audits-rest"),
            (APUS_POLICY_AUDITS, "audits"),
        ]
        return
            (["pages \(page_count)"] + words.filter { has($0.0) }.map(\.1)
            + masks.filter { !$0.1.pageBits.isEmpty }.map { "\($0.0) \($0.1.text)" }).joined(separator: " ")
    }
}

extension apus_peer {
    fileprivate var text: String { byEpoch(PolicyEpoch.all.map { self[$0].text }) }
}

extension apus_peer_epoch {
    fileprivate var text: String {
        if isAbsent { return "absent" }
        let isLocal = flags & UInt32(APUS_PEER_LOCAL_NODE.rawValue) != 0
        let isElsewhere = flags & UInt32(APUS_PEER_ELSEWHERE.rawValue) != 0
        return "class \(ClassID(rawValue: class_id))\(isLocal ? " local-node" : "")\(isElsewhere ? " elsewhere" : "")"
    }
}

extension apus_prefix_peer {
    fileprivate var text: String { byEpoch(PolicyEpoch.all.map { "class \(ClassID(rawValue: self[$0]))" }) }
}

/// What holds in each epoch, said once where it is the same in all.
private func byEpoch(_ texts: [String]) -> String {
    if Set(texts).count == 1 { return texts[0] }
    return texts.enumerated().map { "epoch \($0.offset): \($0.element)" }.joined(separator: ", ")
}

extension apus_service {
    fileprivate var text: String {
        let stays = affinity == 0 ? "" : " affinity \(affinity) for \(affinity_seconds) s"
        let limits = source_ranges == 0 ? "" : " source ranges of \(source_ranges)"
        return slot_count == 0
            ? "refuses\(has(APUS_SERVICE_ELSEWHERE) ? ", drops outside" : ""), service \(service)\(stays)\(limits)"
            : "slots \(slotText)\(outsideText) service \(service)\(stays)\(limits)"
    }

    private var slotText: String { "\(first_slot)-\(UInt64(first_slot) + UInt64(slot_count) - 1)" }

    /// What clients from outside get, where that is not what all get.
    private var outsideText: String {
        if outside_slot_count == 0 { return frontendKind == .clusterIP ? " inside only" : " none outside" }
        if (outside_first_slot, outside_slot_count) == (first_slot, slot_count) { return "" }
        return " outside \(outside_first_slot)-\(UInt64(outside_first_slot) + UInt64(outside_slot_count) - 1)"
            + (table_size == 0 ? "" : " by a table of \(table_size)")
    }
}

extension apus_uplink {
    /// `sends from 10.0.0.1 and fd00::1, serves Services, masquerades, a route takes 1400 bytes`.
    fileprivate var text: String {
        let addresses = [v4.address, v6.address].filter { !$0.isUnspecified }.map(\.description)
        let from = addresses.isEmpty ? "has no address" : "sends from \(addresses.joined(separator: " and "))"
        let words = [(APUS_UPLINK_SERVES, "serves Services"), (APUS_UPLINK_MASQUERADES, "masquerades")]
        let routes = route_mtu == 0 ? [] : ["a route takes \(route_mtu) bytes"]
        return ([from] + words.filter { has($0.0) }.map(\.1) + routes).joined(separator: ", ")
    }
}

extension apus_backend {
    fileprivate var text: String {
        if in_use == 0 { return "free" }
        let key = BackendKey(self)
        return "\(key.ipProtocol) \(key.address)"
            + (key.isOfAll ? "" : " of Service port \(String(key.owner, radix: 16))")
            + (isGone ? ", serves no more" : "")
    }
}

extension apus_endpoint_epoch {
    fileprivate var text: String {
        "generation \(generation) ingress \(PolicyID(ingress_policy)) egress \(PolicyID(egress_policy))"
    }
}

extension apus_endpoint {
    /// Whether nothing leads to it any more: it goes after the grace period.
    var isLeaving: Bool { flags & UInt32(APUS_ENDPOINT_LEAVING.rawValue) != 0 }

    fileprivate var text: String {
        guard ifindex != 0 else { return "free" }
        var parts = [addressList.map { "\($0)" }.joined(separator: ",")]
        parts.append("interface \(ifindex)")
        if let bridge { parts.append("bridge \(bridge)") }
        parts += ["identity \(identity)", byEpoch(PolicyEpoch.all.map { self[$0].text })]
        if flags & UInt32(APUS_ENDPOINT_CHECK_MAC.rawValue) != 0 { parts.append("mac \(MACAddress(octets: mac))") }
        parts.append("host-mac \(MACAddress(octets: host_mac))")
        if flags & UInt32(APUS_ENDPOINT_REDIRECT.rawValue) != 0 { parts.append("redirect") }
        if isLeaving { parts.append("leaving") }
        return parts.joined(separator: " ")
    }
}
