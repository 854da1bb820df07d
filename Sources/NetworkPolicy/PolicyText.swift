internal import Addressing

extension PortPrefix: CustomStringConvertible {
    /// `TCP`, `TCP 80` or `TCP 80-83`.
    public var description: String { [self].portText }
}

extension Array where Element == PortPrefix {
    /// The ports as ranges: `TCP 80-90, UDP 53`; prefixes that follow each other are joined.
    var portText: String {
        var ranges: [(ipProtocol: String, first: Int, last: Int)] = []
        for prefix in sorted() {
            let name = prefix.ipProtocol.description
            if let previous = ranges.last, previous.ipProtocol == name, previous.last + 1 >= Int(prefix.port) {
                ranges[ranges.count - 1].last = Swift.max(previous.last, Int(prefix.last))
            } else {
                ranges.append((name, Int(prefix.port), Int(prefix.last)))
            }
        }
        return ranges.map { range in
            if range.first == 0, range.last == 0xffff { return range.ipProtocol }
            if range.first == range.last { return "\(range.ipProtocol) \(range.first)" }
            return "\(range.ipProtocol) \(range.first)-\(range.last)"
        }.joined(separator: ", ")
    }
}

extension PortRule: CustomStringConvertible {
    /// `TCP`, `TCP 80`, `TCP 80-90` or `TCP http`.
    public var description: String {
        switch ports {
        case .any: "\(ipProtocol)"
        case .number(let number): "\(ipProtocol) \(number)"
        case .range(let first, let last): "\(ipProtocol) \(first)-\(last)"
        case .name(let name): "\(ipProtocol) \(name)"
        }
    }
}

extension PolicyPeer {
    /// Peers for people; `home` is where a pod selector without a namespace selector looks.
    static func text(_ peers: [PolicyPeer], home: NamespaceScope) -> String {
        if peers.isEmpty { return "every peer" }
        return peers.map { peer in
            if case .addresses(let addresses) = peer, !addresses.isEmpty {
                return "addresses \(Set(addresses).sorted().map(\.description).joined(separator: " "))"
            }
            let bases = PeerBase.all(peer, home: home)
            return bases.isEmpty ? "nobody" : bases.map(\.description).joined(separator: ", ")
        }.joined(separator: ", ")
    }
}

extension RuleBits: CustomStringConvertible {
    /// The numbers of the set rules.
    public var description: String { rules.map(String.init).joined(separator: " ") }
}

extension CompiledRule: CustomStringConvertible {
    /// One line: `allow NetworkPolicy/shop/db/ingress/0: pods app=web in namespace shop; TCP 80`.
    public var description: String {
        "\(action.rawValue)\(isAudited ? " (audit)" : "") \(origin): \(peerText); \(portText)"
    }
}

extension CompiledPolicy: CustomStringConvertible {
    /// A line for the policy and one for each rule.
    public var description: String {
        let names = (isolates ? isolatedBy : auditedBy).map(\.description).joined(separator: ", ")
        let isolation = names.isEmpty ? "open" : (isolates ? "isolated by " : "audited by ") + names
        let lines = rules.enumerated().map { "\n  \($0.offset) \($0.element)" }
        return "\(id) \(direction.rawValue), \(isolation)" + lines.joined()
    }
}

extension EndpointPolicies: CustomStringConvertible {
    public var description: String {
        func text(_ id: PolicyID) -> String { id == .none ? "none" : "\(id)" }
        return "ingress \(text(ingress)), egress \(text(egress))"
    }
}

extension PeerClass: CustomStringConvertible {
    public var description: String { "\(id)" + (isLocalNode ? " local-node" : "") + (isElsewhere ? " elsewhere" : "") }
}

extension PolicyEdit: CustomStringConvertible {
    /// The edit as a line (a policy: a line for each rule too), `+` where it sets and `-` where it removes.
    public var description: String {
        switch self {
        case .setPolicy(let policy): "+ policy \(policy)"
        case .removePolicy(let id): "- policy \(id)"
        case .setPeers(let policy, let peerClass, let bits): "+ peers \(policy) \(peerClass): \(bits)"
        case .removePeers(let policy, let peerClass): "- peers \(policy) \(peerClass)"
        case .setClass(let address, let peerClass): "+ class \(address): \(peerClass)"
        case .removeClass(let address): "- class \(address)"
        case .setPrefixClass(let prefix, let peerClass): "+ prefix \(prefix): \(peerClass)"
        case .removePrefixClass(let prefix): "- prefix \(prefix)"
        case .setEndpoint(let key, let policies): "+ endpoint \(key): \(policies)"
        case .removeEndpoint(let key): "- endpoint \(key)"
        }
    }
}
