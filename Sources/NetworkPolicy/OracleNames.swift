internal import Addressing
internal import DomainNames

// MARK: - FQDNNetworkPolicy

extension PolicyOracle {
    func fqdnSelecting(_ endpoint: PolicyPod, _ direction: PolicyDirection) -> [FQDNPolicyObject] {
        if direction == .ingress { return [] }
        return fqdnPolicies.values.filter { object in
            object.namespace == endpoint.key.namespace && holds(object.podSelector, endpoint.labels)
        }.sorted { $0.name < $1.name }
    }

    func name(of object: FQDNPolicyObject) -> PolicyName {
        PolicyName(kind: .fqdnNetworkPolicy, namespace: object.namespace, name: object.name)
    }

    func fqdnPolicies(
        _ objects: [FQDNPolicyObject], _ query: PolicyQuery, _ endpoint: PolicyPod,
        _ course: inout Course
    ) -> RuleOrigin? {
        for object in objects {
            for (index, rule) in object.egress.enumerated() {
                let step = consider(
                    object, index, nil, [.domains(rule.matches)], rule.ports ?? [], query, endpoint)
                course.considered.append(step)
                if step.matches { return step.origin }
            }
            let step = consider(
                object, object.egress.count, "dns", Self.resolvers + resolversOnNodes, Self.dns, query, endpoint)
            course.considered.append(step)
            if step.matches { return step.origin }
        }
        return nil
    }

    private func consider(
        _ object: FQDNPolicyObject, _ index: Int, _ ruleName: String?, _ peers: [PolicyPeer], _ ports: [PortRule],
        _ query: PolicyQuery, _ endpoint: PolicyPod
    ) -> Explanation.Consideration {
        Explanation.Consideration(
            origin: RuleOrigin(policy: name(of: object), direction: .egress, index: index, ruleName: ruleName),
            tier: .networkPolicy, action: .allow, peers: peers, ports: ports,
            admitsPeer: peers.contains { admits($0, query, home: nil) },
            admitsPort: admitsPort(ports, query, endpoint))
    }

    /// Who is always asked for names.
    private static let resolvers: [PolicyPeer] =
        ["kube-dns", "node-local-dns"].map { app in
            .pods(
                namespaceSelector: LabelSelector(matchLabels: ["kubernetes.io/metadata.name": "kube-system"]),
                podSelector: LabelSelector(matchLabels: ["k8s-app": app]))
        } + [.addresses(["169.254.20.10", "169.254.169.254"].compactMap { IPAddress($0) })]

    /// Those in the network of their node, by its addresses.
    private var resolversOnNodes: [PolicyPeer] {
        let resolvers = hostPods.values.filter { pod in
            let app = pod.labels["k8s-app"]
            return pod.key.namespace == "kube-system" && !pod.isTerminated
                && (app == "kube-dns" || app == "node-local-dns")
        }
        return resolvers.isEmpty ? [] : [.addresses(Set(resolvers.flatMap(\.addresses)).sorted())]
    }

    private static let dns = [IPProtocol.tcp, .udp, .sctp].map { PortRule($0, .number(53)) }
}

// MARK: - Names

extension PolicyOracle {
    /// The patterns that match a name in the egress rules of a pod's policies, in the order in which they are judged.
    ///
    /// - Parameter name: in lower case, without a trailing dot.
    public func patterns(matching name: String, for key: PodKey) -> [(text: String, rule: RuleOrigin)] {
        guard let endpoint = pod(key) else { return [] }
        let cluster = clusterSelecting(endpoint).map { object in
            (object.tier, self.name(of: object), object.egress.map { ($0.name, $0.peers) })
        }
        let named = fqdnSelecting(endpoint, .egress).map { object in
            (
                PolicyTier.networkPolicy, self.name(of: object),
                object.egress.map { (String?.none, [PolicyPeer.domains($0.matches)]) }
            )
        }
        let byTier = PolicyTier.allCases.flatMap { tier in (cluster + named).filter { $0.0 == tier } }
        return byTier.flatMap { _, policy, rules in
            rules.enumerated().flatMap { index, rule in
                let origin = RuleOrigin(policy: policy, direction: .egress, index: index, ruleName: rule.0)
                return Self.patterns(rule.1, matching: name).map { ($0, origin) }
            }
        }
    }

    private static func patterns(_ peers: [PolicyPeer], matching name: String) -> [String] {
        peers.flatMap { peer -> [String] in
            guard case .domains(let patterns) = peer else { return [] }
            return patterns.filter { OracleNames.matches($0, name) }.map(\.text)
        }
    }
}

/// The oracle's own reading of patterns: character by character, with nothing compiled.
enum OracleNames {
    /// Whether a name, in lower case and without a trailing dot, matches a pattern.
    static func matches(_ pattern: DomainPattern, _ name: String) -> Bool {
        switch pattern.form {
        case .exact: pattern.text == name
        case .everything: true
        case .subdomains: name.utf8.count >= pattern.text.utf8.count && name.hasSuffix(pattern.text.dropFirst())
        case .wildcard: glob(Array(pattern.text.utf8)[...], Array(name.utf8)[...])
        }
    }

    private static func glob(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool {
        guard let wanted = pattern.first else { return name.isEmpty }
        if wanted == UInt8(ascii: "*") {
            if glob(pattern.dropFirst(), name) { return true }
            guard let head = name.first, head != UInt8(ascii: ".") else { return false }
            return glob(pattern, name.dropFirst())
        }
        return name.first == wanted && glob(pattern.dropFirst(), name.dropFirst())
    }
}
