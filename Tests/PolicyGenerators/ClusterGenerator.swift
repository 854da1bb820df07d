public import Addressing
public import NetworkPolicy

/// How large and how odd the generated clusters are.
public struct ClusterShape: Sendable {
    public var pods = 14
    public var policies = 6
    public var clusterPolicies = 2
    public var fqdnPolicies = 2
    /// Whether addresses were learned under names, and rules of cluster policies have names.
    public var includesNames = true
    /// At most so many rules that no packet matches lie around the others, to make policies of several pages.
    public var fillerRules = 0
    /// Whether the cluster has resolvers, some of them on their nodes' network, that pods ask.
    public var includesResolvers = false
    /// Whether two running pods may claim one address.
    public var includesSharedAddresses = true

    public init() {}
}

/// Random clusters, changes of them and packets in them, all from one seed.
///
/// Names, labels, blocks and ports come from small pools, so that policies match, overlap and contradict each other.
public struct ClusterGenerator: Sendable {
    /// The node whose packets are judged.
    public static let node = "n1"

    public var random: RandomSource
    public let shape: ClusterShape
    /// The objects as they are now.
    public internal(set) var pods: [PodKey: PolicyPod] = [:]
    public internal(set) var namespaces: [String: [String: String]] = [:]
    public private(set) var auditedNamespaces: Set<String> = []
    public private(set) var policies: [String: NetworkPolicyObject] = [:]
    public private(set) var clusterPolicies: [String: ClusterPolicyObject] = [:]
    public internal(set) var fqdnPolicies: [String: FQDNPolicyObject] = [:]
    public private(set) var nodes: [String: [IPAddress]] = [:]
    public private(set) var localAddresses: Set<IPAddress> = []

    public init(seed: UInt64, shape: ClusterShape = ClusterShape()) {
        random = RandomSource(seed: seed)
        self.shape = shape
    }

    /// The objects as they are now, as inputs in no particular order.
    public var objects: [PolicyInput] {
        var result = pods.values.map(PolicyInput.pod)
        result += namespaces.map {
            .namespace($0.key, labels: $0.value, isAudited: auditedNamespaces.contains($0.key))
        }
        result += policies.values.map(PolicyInput.policy)
        result += clusterPolicies.values.map(PolicyInput.clusterPolicy)
        result += fqdnPolicies.values.map(PolicyInput.fqdnPolicy)
        result += nodes.map { .node($0.key, addresses: $0.value) }
        result.append(.localAddresses(localAddresses))
        return result
    }

    /// Fills an empty cluster; returns the inputs that make it.
    public mutating func fill() -> [PolicyInput] {
        var inputs: [PolicyInput] = []
        inputs.append(contentsOf: Pools.namespaces.map { setNamespace($0) })
        inputs.append(contentsOf: (1...2).map { setNode($0) })
        inputs.append(setLocalAddresses())
        for number in 0..<shape.pods { inputs.append(setPod(number)) }
        for number in 0..<shape.policies { inputs.append(setPolicy(number)) }
        for number in 0..<shape.clusterPolicies { inputs.append(setClusterPolicy(number)) }
        for number in 0..<shape.fqdnPolicies { inputs.append(setFQDNPolicy(number)) }
        if shape.includesResolvers { inputs += setResolvers() }
        return inputs
    }

    /// Makes one random change; returns the input that tells of it.
    public mutating func change() -> PolicyInput {
        switch roll(shape.includesResolvers ? 24 : 22) {
        case 22...: return changeResolver()
        case 20 where shape.fqdnPolicies > 0: return setFQDNPolicy(roll(shape.fqdnPolicies))
        case 21 where shape.fqdnPolicies > 0: return removeFQDNPolicy(roll(shape.fqdnPolicies))
        case 0: return setNamespace(Pools.namespaces.pick(&random))
        case 1:
            let name = Pools.namespaces.pick(&random)
            namespaces[name] = nil
            auditedNamespaces.remove(name)
            return .namespaceRemoved(name)
        case 2: return setNode(1 + roll(2))
        case 3: return setLocalAddresses()
        case 4...8: return setPod(roll(shape.pods))
        case 9, 10:
            let key = Pools.podKey(roll(shape.pods))
            pods[key] = nil
            return .podRemoved(key)
        case 11...14: return setPolicy(roll(max(1, shape.policies)))
        case 15, 16: return removePolicy(roll(max(1, shape.policies)))
        case 17...18 where shape.clusterPolicies > 0: return setClusterPolicy(roll(shape.clusterPolicies))
        case 19 where shape.clusterPolicies > 0:
            let name = "c\(roll(shape.clusterPolicies))"
            clusterPolicies[name] = nil
            return .clusterPolicyRemoved(name)
        default: return setPod(roll(shape.pods))
        }
    }

    /// A packet to or from a pod of the node; nil when there is no such pod.
    public mutating func query() -> PolicyQuery? {
        let local = pods.values.filter {
            $0.node == Self.node && !$0.isHostNetwork && !$0.isTerminated && !$0.addresses.isEmpty
        }.sorted { $0.key < $1.key }
        guard !local.isEmpty else { return nil }
        let endpoint = local.pick(&random)
        let ipProtocol: IPProtocol = [.tcp, .tcp, .tcp, .udp, .sctp, .icmp, .icmpv6].pick(&random)
        let port = ipProtocol.hasPorts ? Pools.packetPorts.pick(&random) : 0
        let direction: PolicyDirection = chance(50) ? .ingress : .egress
        if shape.includesResolvers, direction == .egress, chance(8) { return resolverQuery(from: endpoint.key) }
        return PolicyQuery(
            endpoint: endpoint.key, direction: direction, peer: peerAddress(), ipProtocol: ipProtocol, port: port,
            peerNames: direction == .egress ? peerNames() : [], isReceived: direction == .ingress && chance(50))
    }

    /// An address that some rule is likely to have an opinion about.
    public mutating func peerAddress() -> IPAddress {
        if chance(65), !pods.isEmpty {
            let pod = pods.values.sorted { $0.key < $1.key }.pick(&random)
            if !pod.addresses.isEmpty { return pod.addresses.pick(&random) }
        }
        if chance(30) { return nodes.values.flatMap { $0 }.sorted().pick(&random) }
        return Pools.edgeAddresses.pick(&random)
    }

    mutating func roll(_ sides: Int) -> Int { random.roll(sides) }

    mutating func chance(_ percent: Int) -> Bool { random.chance(percent) }
}

// MARK: - Objects

extension ClusterGenerator {
    private mutating func setNamespace(_ name: String) -> PolicyInput {
        var labels = ["kubernetes.io/metadata.name": name]
        if chance(70) { labels["env"] = ["prod", "dev"].pick(&random) }
        if chance(40) { labels["team"] = ["red", "blue"].pick(&random) }
        namespaces[name] = labels
        let isAudited = chance(15)
        if isAudited { auditedNamespaces.insert(name) } else { auditedNamespaces.remove(name) }
        return .namespace(name, labels: labels, isAudited: isAudited)
    }

    private mutating func setNode(_ number: Int) -> PolicyInput {
        let name = "n\(number)"
        var addresses = [IPAddress(v4: 0xc0a8_0000 + UInt32(number))]
        if chance(70) { addresses.append(IPAddress(high: 0xfd01 << 48, low: UInt64(number))) }
        nodes[name] = addresses
        return .node(name, addresses: addresses)
    }

    private mutating func setLocalAddresses() -> PolicyInput {
        localAddresses = [IPAddress(v4: 0x7f00_0001)]
        if chance(50) { localAddresses.insert(IPAddress(v4: 0x0a00_0001)) }
        if chance(50) { localAddresses.insert(IPAddress(high: 0xfd00 << 48, low: 1)) }
        return .localAddresses(localAddresses)
    }

    private mutating func setPod(_ number: Int) -> PolicyInput {
        let key = Pools.podKey(number)
        var pod = PolicyPod(key: key)
        for (label, values) in Pools.podLabels where chance(70) { pod.labels[label] = values.pick(&random) }
        pod.isTerminated = chance(8)
        pod.isHostNetwork = !pod.isTerminated && chance(6)
        let owner = pod.isTerminated || (shape.includesSharedAddresses && chance(4)) ? roll(shape.pods) : number
        pod.addresses = chance(95) ? Pools.podAddresses(owner, random.families()) : []
        if pod.isHostNetwork { pod.addresses = nodes["n1"] ?? [] }
        pod.node = chance(65) ? Self.node : chance(90) ? "n2" : nil
        for name in Pools.portNames where chance(50) {
            // Two containers may give one name to ports of two protocols, or to two ports of one.
            for _ in 0...(chance(20) ? 1 : 0) {
                pod.namedPorts.append(
                    NamedPort(
                        name: name, ipProtocol: [.tcp, .tcp, .udp, .sctp].pick(&random),
                        port: Pools.containerPorts.pick(&random)))
            }
        }
        pods[key] = pod
        return .pod(pod)
    }

    private mutating func setPolicy(_ number: Int) -> PolicyInput {
        let name = "p\(number)"
        let namespace = Pools.namespaces[number % Pools.namespaces.count]
        var object = NetworkPolicyObject(namespace: namespace, name: name, podSelector: subjectSelector())
        object.ingress = (0..<roll(4)).map { _ in rule() }
        object.egress = (0..<roll(3)).map { _ in rule() }
        if shape.fillerRules > 0 {
            object.ingress = surrounded(object.ingress)
            object.egress = surrounded(object.egress)
        }
        switch roll(6) {
        case 0: object.policyTypes = [.ingress]
        case 1: object.policyTypes = [.egress]
        case 2: object.policyTypes = [.ingress, .egress]
        case 3: object.policyTypes = []
        default: object.policyTypes = nil
        }
        object.isAudited = chance(15)
        policies[name] = object
        return .policy(object)
    }

    /// Rules with fillers before and between them.
    private mutating func surrounded(_ rules: [PolicyRule]) -> [PolicyRule] {
        rules.flatMap { rule -> [PolicyRule] in
            let fillers = (0..<roll(shape.fillerRules)).map { _ in
                PolicyRule(peers: [peer()], ports: [PortRule(.tcp, .number(20_000 + roll(10_000)))])
            }
            return fillers + [rule]
        }
    }

    private mutating func removePolicy(_ number: Int) -> PolicyInput {
        let name = "p\(number)"
        policies[name] = nil
        return .policyRemoved(namespace: Pools.namespaces[number % Pools.namespaces.count], name: name)
    }

    private mutating func setClusterPolicy(_ number: Int) -> PolicyInput {
        var object = ClusterPolicyObject(
            name: "c\(number)", tier: chance(60) ? .admin : .baseline, priority: roll(3),
            namespaceSelector: chance(50) ? .everything : namespaceSelector(), podSelector: subjectSelector())
        object.ingress = (0..<roll(4)).map { _ in clusterRule(object.tier) }
        object.egress = (0..<roll(4)).map { _ in named(clusterRule(object.tier)) }
        object.isAudited = chance(25)
        object.created = creationTimestamp()
        clusterPolicies[object.name] = object
        return .clusterPolicy(object)
    }
}

// MARK: - Parts of policies

extension ClusterGenerator {
    private mutating func rule() -> PolicyRule {
        PolicyRule(
            peers: chance(15) ? nil : chance(10) ? [] : (0...roll(2)).map { _ in peer() },
            ports: chance(30) ? nil : chance(10) ? [] : (0...roll(3)).map { _ in portRule() })
    }

    private mutating func clusterRule(_ tier: PolicyTier) -> ClusterPolicyRule {
        let actions: [PolicyAction] = tier == .admin ? [.allow, .deny, .deny, .pass] : [.allow, .deny, .pass]
        return ClusterPolicyRule(
            action: actions.pick(&random), peers: (0...roll(2)).map { _ in peer() },
            ports: chance(40) ? nil : (0...roll(2)).map { _ in portRule() })
    }

    private mutating func peer() -> PolicyPeer {
        switch roll(10) {
        case 0...2: return .pods(namespaceSelector: nil, podSelector: podSelector())
        case 3, 4: return .pods(namespaceSelector: namespaceSelector(), podSelector: nil)
        case 5, 6: return .pods(namespaceSelector: namespaceSelector(), podSelector: podSelector())
        case 7:
            let pods = Pools.podAddresses(roll(8), random.families())
            return .addresses((pods + Pools.edgeAddresses).filter { _ in chance(20) })
        default: return block()
        }
    }

    private mutating func block() -> PolicyPeer {
        let block = Pools.blocks.pick(&random)
        let inside = Pools.blocks.filter { block.contains($0) && $0 != block }
        if inside.isEmpty || chance(40) { return .block(block, except: []) }
        return .block(block, except: (0...roll(2)).map { _ in inside.pick(&random) })
    }

    mutating func portRule() -> PortRule {
        let ipProtocol: IPProtocol = [.tcp, .tcp, .tcp, .udp, .sctp].pick(&random)
        switch roll(10) {
        case 0: return PortRule(ipProtocol, .any)
        case 1...4: return PortRule(ipProtocol, .number(Int(Pools.containerPorts.pick(&random))))
        case 5, 6:
            let ends = [Int(Pools.packetPorts.pick(&random)), Int(Pools.packetPorts.pick(&random))].sorted()
            return PortRule(ipProtocol, .range(max(1, ends[0]), max(1, ends[1])))
        default: return PortRule(ipProtocol, .name(Pools.portNames.pick(&random)))
        }
    }

    mutating func subjectSelector() -> LabelSelector { chance(35) ? .everything : podSelector() }

    private mutating func podSelector() -> LabelSelector { selector(Pools.podLabels) }

    private mutating func namespaceSelector() -> LabelSelector {
        if chance(15) { return .everything }
        if chance(20) {
            return LabelSelector(matchLabels: ["kubernetes.io/metadata.name": Pools.namespaces.pick(&random)])
        }
        return selector(Pools.namespaceLabels)
    }

    private mutating func selector(_ labels: [(key: String, values: [String])]) -> LabelSelector {
        var result = LabelSelector()
        for _ in 0...roll(2) {
            let (key, values) = labels.pick(&random)
            switch roll(9) {
            case 0: result.matchExpressions.append(LabelRequirement(key, .isIn, random.some(of: values)))
            case 1: result.matchExpressions.append(LabelRequirement(key, .notIn, random.some(of: values)))
            case 2: result.matchExpressions.append(LabelRequirement(key, .exists))
            case 3: result.matchExpressions.append(LabelRequirement(key, .doesNotExist))
            default: result.matchLabels[key] = values.pick(&random)
            }
        }
        return result
    }
}
