internal import Addressing
internal import AgentAPI
internal import Datapath
internal import Flows
internal import Kubernetes
internal import LinuxKernel
internal import LoadBalancing
internal import NetworkPolicy

/// What the egress policies of pods have learned under names.
struct HeldNames {
    /// The names under which an address counts for a pod now.
    var names: (PodKey, IPAddress) -> [PolicyJudgement.Name] = { _, _ in [] }
    /// The addresses that count for a pod now under a name.
    var addresses: (PodKey, String) -> [IPAddress] = { _, _ in [] }
}

/// Answers what policies say of a packet, straight from the objects: the oracle's verdict, not the compiler's.
struct PolicyExplainer: AgentAPI.PolicyNames {
    private let node: String
    private let oracle: PolicyOracle
    private let problems: [PolicyName: [String]]
    private let overflows: [PodKey: [PolicyDirection: PolicyName]]
    private let programs: [Frontend: ServiceProgram]
    private let held: HeldNames

    /// Answers from the objects, with what their source says of them.
    ///
    /// - Parameter held: what is learned under names now.
    init(
        _ state: ClusterState, _ diagnostics: SourceDiagnostics = SourceDiagnostics(), held: HeldNames = HeldNames()
    ) {
        self.held = held
        node = state.node
        oracle = state.policies.oracle(state.policyObjects.values)
        let closings = diagnostics.closings.compactMap { found in
            found.key.flatMap { PolicyName($0) }.map { ($0, found.explanation) }
        }
        let told = state.policies.problems.map { ($0.object, "\($0.field): \($0.message)") } + closings
        problems = Dictionary(grouping: told, by: \.0).mapValues { $0.map(\.1) }
        overflows = state.policies.overflows
        programs = state.services.programs
    }

    /// The ways that the packet can take, judged at the ends that are pods of this node.
    func explain(_ question: PolicyQuestion) throws(AgentError) -> [PolicyPath] {
        var paths = try question.paths(self)
        for index in paths.indices {
            let path = paths[index]
            paths[index].egress = judge(.egress, path.source, path.destination, question, path)
            paths[index].ingress = judge(.ingress, path.destination, path.source, question, path)
        }
        return paths
    }

    private func judge(
        _ direction: PolicyDirection, _ end: PolicyPath.End, _ peer: PolicyPath.End, _ question: PolicyQuestion,
        _ path: PolicyPath
    ) -> PolicyJudgement? {
        guard let address = IPAddress(end.address), let other = IPAddress(peer.address),
            let pod = oracle.pod(at: address), pod.node == node
        else { return nil }
        let names = direction == .egress ? held.names(pod.key, other) : []
        let name = direction == .egress ? path.name : nil
        let assumed = name.flatMap { $0.learned ? nil : $0.name }
        let query = PolicyQuery(
            endpoint: pod.key, direction: direction, peer: other, ipProtocol: question.ipProtocol,
            port: path.port ?? 0, peerNames: Set(names.map(\.name) + [assumed].compactMap { $0 }),
            isReceived: question.isReceived)
        let explanation = oracle.explain(query)
        let isJudged = explanation.reason != .ownTraffic && explanation.reason != .localNode
        if isJudged, let culprit = overflows[pod.key]?[direction] {
            return PolicyJudgement(overflow: culprit, problems[culprit] ?? [])
        }
        var judgement = PolicyJudgement(explanation, problems, names)
        judgement.patterns = name.map { name in
            oracle.patterns(matching: name.name, for: pod.key).map { text, rule in
                let ruleName = rule.ruleName.map { " \($0.debugDescription)" } ?? ""
                return PolicyJudgement.Pattern(
                    pattern: text, rule: "\(rule.policy.text) \(rule.place)\(ruleName)")
            }
        }
        return judgement
    }

    // MARK: Names

    let reach = "that the agent knows of (one on the host's network shares its node's address: give that)"

    func addresses(ofPod namespace: String, _ name: String) -> [IPAddress]? {
        oracle.pod(PodKey(namespace: namespace, name: name))?.addresses
    }

    func end(at address: IPAddress) -> PolicyPath.End {
        let pod = oracle.pod(at: address)
        return PolicyPath.End(address: "\(address)", pod: pod?.key.description, node: pod?.node)
    }

    func frontends(at address: IPAddress) -> [PolicyFrontend] { frontends { key, _ in key.address == address } }

    func frontends(of namespace: String, _ name: String) -> [PolicyFrontend] {
        let service = ServiceName(namespace: namespace, name: name)
        return frontends { _, program in program.service == service }
    }

    private func frontends(where isWanted: (Frontend, ServiceProgram) -> Bool) -> [PolicyFrontend] {
        programs.filter { isWanted($0.key, $0.value) }.sorted { $0.key < $1.key }.map {
            PolicyFrontend($0.key, $0.value)
        }
    }

    func addresses(heldAs name: String, at source: IPAddress) -> [IPAddress]? {
        guard let pod = oracle.pod(at: source), pod.node == node else { return nil }
        return held.addresses(pod.key, name)
    }

    func ports(named name: String, _ ipProtocol: IPProtocol, at address: IPAddress) -> [Port]? {
        let ports = oracle.pod(at: address)?.namedPorts ?? []
        return Set(ports.filter { $0.name == name && $0.ipProtocol == ipProtocol }.map(\.port)).sorted()
    }
}

extension NodeController {
    /// What the policies of this node say of a packet.
    func explain(_ question: PolicyQuestion) throws(AgentError) -> [PolicyPath] {
        guard isSynced else { throw AgentError(.unavailable, "the agent is still reading its sources: try again") }
        var paths = try PolicyExplainer(state, diagnostics, held: heldNames).explain(question)
        for index in paths.indices {
            let path = paths[index]
            paths[index].egress?.unwritten = unwritten(path.source, .egress)
            paths[index].ingress?.unwritten = unwritten(path.destination, .ingress)
        }
        return paths
    }

    /// What is learned under names at this moment.
    private var heldNames: HeldNames {
        let now = KernelClock.monotonic()
        let offset = UInt64(bitPattern: KernelClock.realtimeOffset())
        var held = HeldNames()
        held.names = { pod, address in
            guard let policy = self.tables.policies(of: pod)?.egress else { return [] }
            return self.names.held.names(of: address, for: policy).filter { $0.end > now }
                .map { PolicyJudgement.Name(name: $0.name, end: $0.end &+ offset) }
        }
        held.addresses = { pod, name in
            guard let policy = self.tables.policies(of: pod)?.egress else { return [] }
            return self.names.held.addresses(of: name, for: policy, now: now)
        }
        return held
    }

    /// Why the kernel does not hold what judges a pod in a direction; nothing where it does.
    private func unwritten(_ end: PolicyPath.End, _ direction: TrafficDirection) -> [String] {
        guard let pod = end.pod else { return [] }
        let closed = programming.problems.filter { problem in
            guard case .closed(direction, _) = problem.reason else { return false }
            return problem.object == "endpoint \(pod)"
        }
        if closed.isEmpty { return missingEndpoint(pod) }
        return closed.map(\.reason.description) + programming.fullPolicyMaps
    }
}

extension NodeController {
    /// Why a pod of this node has no endpoint.
    private func missingEndpoint(_ name: String) -> [String] {
        unlocated.filter { $0.key.description == name }.map { $0.value.description }
    }
}

extension PolicyFrontend {
    fileprivate init(_ frontend: Frontend, _ program: ServiceProgram) {
        self.init(
            namespace: program.service.namespace, service: program.service.name, portName: program.portName,
            address: SocketAddress(frontend.address, frontend.port), ipProtocol: frontend.ipProtocol,
            backends: program.backends.map(\.address), isOfNode: program.kind == .nodePort)
    }
}

extension PolicyJudgement {
    fileprivate init(_ explanation: Explanation, _ problems: [PolicyName: [String]], _ names: [Name]) {
        let (reason, policies) = Self.reason(explanation.reason)
        let asked = Set(explanation.considered.map(\.origin.policy) + policies).sorted()
        self.init(
            allowed: explanation.isAllowed, reason: reason, audited: explanation.audited.flatMap(Self.audited),
            policies: policies.map(\.text),
            problems: asked.flatMap { name in (problems[name] ?? []).map { "\(name.text): \($0)" } },
            rules: explanation.considered.map(Rule.init), names: names)
    }

    /// What becomes of a packet of a pod that has more rules than can be programmed.
    fileprivate init(overflow policy: PolicyName, _ problems: [String]) {
        self.init(allowed: false, reason: .broken, policies: [policy.text], problems: problems)
    }

    private static func audited(_ reason: Explanation.Reason) -> String? {
        switch reason {
        case .rule(let origin): "\(origin.policy.text) \(origin.place)"
        case .isolation(let names): names.map(\.text).joined(separator: ", ")
        case .ownTraffic, .localNode, .nothing: nil
        }
    }

    private static func reason(_ reason: Explanation.Reason) -> (Reason, [PolicyName]) {
        switch reason {
        case .ownTraffic: (.ownTraffic, [])
        case .localNode: (.localNode, [])
        case .rule: (.rule, [])
        case .isolation(let names): (.isolation, names)
        case .nothing: (.nothing, [])
        }
    }
}

extension PolicyJudgement.Rule {
    fileprivate init(_ step: Explanation.Consideration) {
        let origin = step.origin
        self.init(
            rule: "\(origin.policy.text) \(origin.place)", ruleName: origin.ruleName,
            tier: PolicyJudgement.Tier.Name(step.tier),
            action: step.action.rawValue + (step.isAudited ? " (audit)" : ""),
            admits: PolicyJudgement.Admission(peers: step.peerText, ports: step.portText), admitsPeer: step.admitsPeer,
            admitsPort: step.admitsPort)
    }
}

extension PolicyJudgement.Tier.Name {
    init(_ tier: PolicyTier) {
        switch tier {
        case .admin: self = .admin
        case .networkPolicy: self = .networkPolicy
        case .baseline: self = .baseline
        }
    }
}

extension PolicyName {
    /// The policy of a key; nil for another kind.
    fileprivate init?(_ key: ObjectKey) {
        guard let kind = PolicyKind(rawValue: key.kind.rawValue) else { return nil }
        self.init(kind: kind, namespace: key.namespace, name: key.name)
    }
}
