public import Addressing

/// The verdict straight from the objects, as the documentation of each kind words it.
///
/// It shares no code with the compiler, so that each can be tested against the other; it is slow and simple.
public struct PolicyOracle: Sendable {
    /// The name of the node whose pods are judged.
    public let node: String
    private var pods = PodTable()
    /// Those in the network of their node: nobody's peer but for who asks for names.
    var hostPods: [PodKey: PolicyPod] = [:]
    private var namespaces: [String: [String: String]] = [:]
    private var auditedNamespaces: Set<String> = []
    private var policies: [PodKey: NetworkPolicyObject] = [:]
    private var clusterPolicies: [String: ClusterPolicyObject] = [:]
    var fqdnPolicies: [PodKey: FQDNPolicyObject] = [:]
    private var nodeAddresses: [IPAddress] = []
    private var interfaceAddresses: Set<IPAddress> = []
    /// Whose address is whose, where somebody keeps that already; nil: every pod is looked at.
    var owners: [IPAddress: PodTable.Entry]?

    /// An oracle that knows no object yet.
    public init(node: String) { self.node = node }

    /// An oracle of pods and namespaces that somebody keeps already; policies are still to come.
    init(
        node: String, pods: PodTable, namespaces: [String: [String: String]],
        auditedNamespaces: Set<String>, hostPods: [PodKey: PolicyPod], nodeAddresses: Set<IPAddress>,
        interfaceAddresses: Set<IPAddress>
    ) {
        self.init(node: node)
        self.pods = pods
        self.namespaces = namespaces
        self.auditedNamespaces = auditedNamespaces
        self.hostPods = hostPods
        self.nodeAddresses = nodeAddresses.sorted()
        self.interfaceAddresses = interfaceAddresses
    }

    /// Takes one change.
    public mutating func apply(_ input: PolicyInput) {
        owners = nil
        switch input {
        case .pod(let pod):
            pods[pod.key] = pod
            hostPods[pod.key] = pod.isHostNetwork ? pod : nil
        case .podRemoved(let key):
            pods[key] = nil
            hostPods[key] = nil
        case .namespace(let name, let labels, let isAudited):
            namespaces[name] = labels
            if isAudited { auditedNamespaces.insert(name) } else { auditedNamespaces.remove(name) }
        case .namespaceRemoved(let name):
            namespaces[name] = nil
            auditedNamespaces.remove(name)
        case .policy(let object): policies[PodKey(namespace: object.namespace, name: object.name)] = object
        case .policyRemoved(let namespace, let name): policies[PodKey(namespace: namespace, name: name)] = nil
        case .clusterPolicy(let object): clusterPolicies[object.name] = object
        case .clusterPolicyRemoved(let name): clusterPolicies[name] = nil
        case .fqdnPolicy(let object): fqdnPolicies[PodKey(namespace: object.namespace, name: object.name)] = object
        case .fqdnPolicyRemoved(let namespace, let name):
            fqdnPolicies[PodKey(namespace: namespace, name: name)] = nil
        case .node(let name, let addresses): if name == node { nodeAddresses = addresses }
        case .nodeRemoved(let name): if name == node { nodeAddresses = [] }
        case .localAddresses(let addresses): interfaceAddresses = addresses
        }
    }

    /// The pods of this node that policies can select, in order.
    public var endpoints: [PolicyPod] {
        pods.values.filter { $0.node == node && isOnPodNetwork($0) }.sorted { $0.key < $1.key }
    }

    /// A pod with addresses of its own, wherever it runs.
    public func pod(_ key: PodKey) -> PolicyPod? { pods[key].flatMap { isOnPodNetwork($0) ? $0 : nil } }

    /// The pod that an address belongs to: a running one, the first by name if there are several.
    public func pod(at address: IPAddress) -> PolicyPod? {
        if let owners { return owners[address]?.pod }
        return pods.values.filter { isOnPodNetwork($0) && $0.addresses.contains(address) }.min { $0.key < $1.key }
    }

    /// Looks up whose an address is from here on, until the next change, instead of asking every pod each time: for
    /// many questions about one cluster.
    public mutating func indexAddresses() {
        var found: [IPAddress: PodTable.Entry] = [:]
        for pod in pods.values.sorted(by: { $0.key < $1.key }) where isOnPodNetwork(pod) {
            for address in pod.addresses where found[address] == nil { found[address] = pods.entry(pod.key) }
        }
        owners = found
    }

    /// Judges a packet by the policies of one pod of this node.
    public func explain(_ query: PolicyQuery) -> Explanation {
        guard let endpoint = pods[query.endpoint], endpoint.node == node, isOnPodNetwork(endpoint) else {
            return Explanation(isAllowed: true, reason: .nothing)
        }
        if endpoint.addresses.contains(query.peer) { return Explanation(isAllowed: true, reason: .ownTraffic) }
        let isFromNode = nodeAddresses.contains(query.peer) || interfaceAddresses.contains(query.peer)
        if query.direction == .ingress, isFromNode, !query.isReceived {
            return Explanation(isAllowed: true, reason: .localNode)
        }
        return judge(query, endpoint)
    }

    /// Judges a connection by both its ends, the sender's egress first; an end that is no pod of this node has no say.
    ///
    /// - Parameters:
    ///   - isReceived: Whether it came in by an interface of the node.
    ///   - peerNames: The names under which the source's policy holds the destination.
    public func explain(
        from source: IPAddress, to destination: IPAddress, ipProtocol: IPProtocol, port: Port, isReceived: Bool = false,
        peerNames: Set<String> = []
    ) -> [Explanation] {
        [(source, destination, PolicyDirection.egress), (destination, source, .ingress)].compactMap { own, peer, way in
            guard let pod = pod(at: own), pod.node == node else { return nil }
            return explain(
                PolicyQuery(
                    endpoint: pod.key, direction: way, peer: peer, ipProtocol: ipProtocol, port: port,
                    peerNames: way == .egress ? peerNames : [], isReceived: way == .ingress && isReceived))
        }
    }

    private func isOnPodNetwork(_ pod: PolicyPod) -> Bool {
        !pod.isTerminated && !pod.isHostNetwork && !pod.addresses.isEmpty
    }
}

// MARK: - The tiers

extension PolicyOracle {
    private func judge(_ query: PolicyQuery, _ endpoint: PolicyPod) -> Explanation {
        let objects = selecting(endpoint, query.direction)
        let named = fqdnSelecting(endpoint, query.direction)
        let cluster = clusterSelecting(endpoint)
        let isPodAudited = auditedNamespaces.contains(endpoint.key.namespace)
        var course = Course()
        if let decided = tier(.admin, cluster, query, endpoint, &course) { return decided }
        let admitting =
            fqdnPolicies(named, query, endpoint, &course)
            ?? networkPolicies(objects, query, endpoint, &course)
        if let admitting {
            return course.end(isAllowed: true, .rule(admitting))
        }
        let enforced =
            named.filter { !$0.isAudited && !isPodAudited }.map { name(of: $0) }
            + objects.filter { !$0.isAudited && !isPodAudited }.map { name(of: $0) }
        if !enforced.isEmpty { return course.end(isAllowed: false, .isolation(enforced)) }
        let reporting = named.map { name(of: $0) } + objects.map { name(of: $0) }
        if !reporting.isEmpty { course.audit(.isolation(reporting)) }
        if let decided = tier(.baseline, cluster, query, endpoint, &course) { return decided }
        return course.end(isAllowed: true, .nothing)
    }

    /// How far judging has come.
    struct Course {
        var considered: [Explanation.Consideration] = []
        private var audited: Explanation.Reason?

        /// Notes what would have denied; the first one counts.
        mutating func audit(_ reason: Explanation.Reason) { audited = audited ?? reason }

        func end(isAllowed: Bool, _ reason: Explanation.Reason) -> Explanation {
            Explanation(isAllowed: isAllowed, reason: reason, audited: audited, considered: considered)
        }
    }

    private func selecting(_ endpoint: PolicyPod, _ direction: PolicyDirection) -> [NetworkPolicyObject] {
        policies.values.filter { object in
            guard object.namespace == endpoint.key.namespace, holds(object.podSelector, endpoint.labels) else {
                return false
            }
            if let types = object.policyTypes, !types.isEmpty { return types.contains(direction) }
            return direction == .ingress || !object.egress.isEmpty
        }.sorted { $0.name < $1.name }
    }

    func clusterSelecting(_ endpoint: PolicyPod) -> [ClusterPolicyObject] {
        clusterPolicies.values.filter { object in
            guard let labels = namespaces[endpoint.key.namespace] else { return false }
            return holds(object.namespaceSelector, labels) && holds(object.podSelector, endpoint.labels)
        }.sorted { ($0.tier, $0.priority, $0.name) < ($1.tier, $1.priority, $1.name) }
    }

    private func tier(
        _ tier: PolicyTier, _ objects: [ClusterPolicyObject], _ query: PolicyQuery, _ endpoint: PolicyPod,
        _ course: inout Course
    ) -> Explanation? {
        for object in objects where object.tier == tier {
            let rules = query.direction == .ingress ? object.ingress : object.egress
            for (index, rule) in rules.enumerated() {
                let origin = RuleOrigin(
                    policy: name(of: object), direction: query.direction, index: index, ruleName: rule.name)
                let isAudited =
                    rule.action == .deny
                    && (object.isAudited || auditedNamespaces.contains(endpoint.key.namespace))
                let step = Explanation.Consideration(
                    origin: origin, tier: tier, action: rule.action, isAudited: isAudited, peers: rule.peers,
                    ports: rule.ports ?? [],
                    admitsPeer: rule.peers.isEmpty && rule.action == .deny
                        || rule.peers.contains { admits($0, query, home: nil) },
                    admitsPort: admitsPort(rule.ports, query, endpoint))
                course.considered.append(step)
                guard step.matches else { continue }
                if isAudited {
                    course.audit(.rule(origin))
                    continue
                }
                // After the last tier comes the cluster's default, which admits everything.
                if rule.action == .pass, tier == .admin { return nil }
                return course.end(isAllowed: rule.action != .deny, .rule(origin))
            }
        }
        return nil
    }

    private func networkPolicies(
        _ objects: [NetworkPolicyObject], _ query: PolicyQuery, _ endpoint: PolicyPod,
        _ course: inout Course
    ) -> RuleOrigin? {
        for object in objects {
            let rules = query.direction == .ingress ? object.ingress : object.egress
            for (index, rule) in rules.enumerated() {
                let origin = RuleOrigin(policy: name(of: object), direction: query.direction, index: index)
                let peers = rule.peers ?? []
                let step = Explanation.Consideration(
                    origin: origin, tier: .networkPolicy, action: .allow, peers: peers, ports: rule.ports ?? [],
                    admitsPeer: peers.isEmpty || peers.contains { admits($0, query, home: object.namespace) },
                    admitsPort: admitsPort(rule.ports, query, endpoint))
                course.considered.append(step)
                if step.matches { return origin }
            }
        }
        return nil
    }

    private func name(of object: NetworkPolicyObject) -> PolicyName {
        PolicyName(kind: .networkPolicy, namespace: object.namespace, name: object.name)
    }

    func name(of object: ClusterPolicyObject) -> PolicyName {
        PolicyName(kind: .clusterNetworkPolicy, namespace: "", name: object.name)
    }
}

// MARK: - The parts of a rule

extension PolicyOracle {
    /// Whether a peer item covers an address; `home` is the policy's namespace, nil for a cluster policy.
    func admits(_ peer: PolicyPeer, _ query: PolicyQuery, home: String?) -> Bool {
        let address = query.peer
        switch peer {
        case .domains(let patterns):
            return patterns.contains { pattern in
                query.peerNames.contains { OracleNames.matches(pattern, $0) }
            }
        case .block(let block, let except):
            return block.contains(address) && !except.contains { $0.contains(address) }
        case .addresses(let addresses):
            return addresses.contains(address)
        case .pods(let namespaceSelector, let podSelector):
            guard let pod = pod(at: address) else { return false }
            if let namespaceSelector {
                guard let labels = namespaces[pod.key.namespace], holds(namespaceSelector, labels) else { return false }
            } else if let home, pod.key.namespace != home {
                return false
            }
            return podSelector.map { holds($0, pod.labels) } ?? true
        }
    }

    func admitsPort(_ rules: [PortRule]?, _ query: PolicyQuery, _ endpoint: PolicyPod) -> Bool {
        guard let rules, !rules.isEmpty else { return true }
        let receiver = query.direction == .ingress ? endpoint : pod(at: query.peer)
        return rules.contains { rule in
            guard rule.ipProtocol == query.ipProtocol else { return false }
            switch rule.ports {
            case .any:
                return true
            case .number(let number):
                return Int(query.port) == number
            case .range(let first, let last):
                return first <= Int(query.port) && Int(query.port) <= last
            case .name(let name):
                guard query.port != 0, let receiver else { return false }
                return receiver.namedPorts.contains(
                    NamedPort(name: name, ipProtocol: query.ipProtocol, port: query.port))
            }
        }
    }

    func holds(_ selector: LabelSelector, _ labels: [String: String]) -> Bool {
        for (key, value) in selector.matchLabels where labels[key] != value { return false }
        for expression in selector.matchExpressions {
            switch (expression.comparison, labels[expression.key]) {
            case (.isIn, let value?): if !expression.values.contains(value) { return false }
            case (.isIn, nil): return false
            case (.notIn, let value?): if expression.values.contains(value) { return false }
            case (.notIn, nil): break
            case (.exists, let value): if value == nil { return false }
            case (.doesNotExist, let value): if value != nil { return false }
            }
        }
        return true
    }
}
