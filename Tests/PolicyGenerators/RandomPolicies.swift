internal import Addressing
internal import Kubernetes

/// Random NetworkPolicies.
extension RandomSource {
    mutating func networkPolicy(_ number: Int) -> NetworkPolicy {
        let namespace = Pools.namespaces[number % Pools.namespaces.count]
        var policy = NetworkPolicy(
            meta: ObjectMeta(name: "p\(number)", namespace: namespace), podSelector: subjectSelector())
        policy.policyTypes = [nil, nil, [], [.ingress], [.egress], [.ingress, .egress]].pick(&self)
        policy.ingress = chance(15) ? nil : (0..<roll(4)).map { _ in rule() }
        policy.egress = chance(30) ? nil : (0..<roll(3)).map { _ in rule() }
        return policy
    }

    /// A rule; lists that are missing and lists that are empty both occur.
    private mutating func rule() -> NetworkPolicyRule {
        NetworkPolicyRule(
            peers: chance(15) ? nil : chance(10) ? [] : (0...roll(2)).map { _ in peer() },
            ports: chance(30) ? nil : chance(10) ? [] : (0...roll(3)).map { _ in port() })
    }

    private mutating func peer() -> NetworkPolicyPeer {
        switch roll(10) {
        case 0...2: .selectors(pods: podSelector(), namespaces: nil)
        case 3, 4: .selectors(pods: nil, namespaces: namespaceSelector())
        case 5, 6: .selectors(pods: podSelector(), namespaces: namespaceSelector())
        default: block()
        }
    }

    private mutating func block() -> NetworkPolicyPeer {
        let block = Pools.blocks.pick(&self)
        let inside = Pools.blocks.filter { block.contains($0) && $0 != block }
        if inside.isEmpty || chance(40) { return .ipBlock(block, except: []) }
        return .ipBlock(block, except: (0...roll(2)).map { _ in inside.pick(&self) })
    }

    private mutating func port() -> NetworkPolicyPort {
        var port = numberedPort()
        if chance(30) { (port.port, port.endPort) = (.name(Pools.portNames.pick(&self)), nil) }
        return port
    }

    /// One port, a range of them, or all of a protocol.
    fileprivate mutating func numberedPort() -> NetworkPolicyPort {
        let ipProtocol: IPProtocol = [.tcp, .tcp, .tcp, .udp, .udp, .sctp].pick(&self)
        switch roll(10) {
        case 0, 1: return NetworkPolicyPort(protocol: ipProtocol)
        case 2...6: return NetworkPolicyPort(protocol: ipProtocol, port: .number(Pools.containerPorts.pick(&self)))
        default:
            let ends = [Pools.packetPorts.pick(&self), Pools.packetPorts.pick(&self)].map { max(1, $0) }.sorted()
            return NetworkPolicyPort(protocol: ipProtocol, port: .number(ends[0]), endPort: ends[1])
        }
    }
}

/// Random ClusterNetworkPolicies. No two of one tier have one priority: which of them wins is left open by the API.
extension RandomSource {
    mutating func clusterPolicy(_ number: Int) -> ClusterNetworkPolicy {
        var policy = ClusterNetworkPolicy(
            meta: ObjectMeta(name: "c\(number)"), tier: chance(60) ? .admin : .baseline,
            priority: 10 * roll(3) + number)
        if chance(60) { policy.namespaceSelector = namespaceSelector() }
        policy.podSelector = subjectSelector()
        policy.ingress = (0..<roll(4)).map { _ in clusterRule { $0.podPeer() } }
        policy.egress = (0..<roll(4)).map { _ in clusterRule { $0.chance(50) ? $0.podPeer() : $0.outsidePeer() } }
        return policy
    }

    /// A rule with some peers; only one about pods alone may have named ports.
    private mutating func clusterRule(
        _ peer: (inout RandomSource) -> ClusterNetworkPolicyPeer
    ) -> ClusterNetworkPolicyRule {
        let peers = (0...roll(2)).map { _ in peer(&self) }
        let isAboutPods = peers.allSatisfy(\.hasNamedPorts)
        return ClusterNetworkPolicyRule(
            action: [.accept, .deny, .deny, .pass].pick(&self), peers: peers,
            ports: chance(40) ? nil : (0...roll(2)).flatMap { _ in clusterPorts(withNames: isAboutPods) })
    }

    /// One item of `protocols`; a named port may be of any protocol.
    private mutating func clusterPorts(withNames: Bool) -> [NetworkPolicyPort] {
        guard withNames, chance(30) else { return [numberedPort()] }
        let name = PortReference.name(Pools.portNames.pick(&self))
        return [IPProtocol.tcp, .udp, .sctp].map { NetworkPolicyPort(protocol: $0, port: name) }
    }

    private mutating func podPeer() -> ClusterNetworkPolicyPeer {
        chance(40) ? .namespaces(namespaceSelector()) : .pods(namespaces: namespaceSelector(), pods: podSelector())
    }

    private mutating func outsidePeer() -> ClusterNetworkPolicyPeer {
        chance(40) ? .nodes(nodeSelector()) : .networks((0...roll(2)).map { _ in Pools.blocks.pick(&self) })
    }
}

extension ClusterNetworkPolicyPeer {
    fileprivate var hasNamedPorts: Bool {
        switch self {
        case .namespaces, .pods: true
        case .nodes, .networks, .domainNames, .unreadable: false
        }
    }
}
