internal import AgentAPI
internal import NetworkPolicy

extension NodeController {
    /// The policy objects of a name, and the compiled policy of an id.
    func policies(_ selection: PolicySelection) -> PolicyDetails { PolicyDetails(selection, state.policies) }
}

extension PolicyDetails {
    /// What the compiler knows of the policies.
    init(_ selection: PolicySelection, _ compiler: PolicyCompiler) {
        let found = compiler.descriptions { selection.matches(namespace: $0.namespace, name: $0.name) }
        let compiled = selection.id.flatMap { compiler.policy(PolicyID(rawValue: $0)) }
        self.init(
            objects: found.map { Object($0, compiler) },
            compiled: compiled?.rules.map { Bit(peers: $0.peerText, ports: $0.portText) })
    }
}

extension PolicyDetails.Object {
    fileprivate init(_ policy: PolicyDescription, _ compiler: PolicyCompiler) {
        self.init(
            policy: policy.name.text, tier: PolicyJudgement.Tier.Name(policy.tier), priority: policy.priority,
            subject: policy.subject, isolates: policy.isolates.map(\.rawValue),
            directions: policy.directions.map(\.rawValue),
            auditedBy: (policy.isAudited ? ["the policy"] : []) + policy.auditedNamespaces.map { "namespace \($0)" },
            rules: policy.rules.map { PolicyDetails.Rule($0, isAudited: policy.isAudited && $0.action == .deny) },
            problems: policy.problems.map { "\($0.field): \($0.message)" },
            endpoints: policy.endpoints.map { PolicyDetails.Endpoint($0, compiler.endpoint($0)) })
    }
}

extension PolicyDetails.Rule {
    fileprivate init(_ rule: PolicyDescription.Rule, isAudited: Bool) {
        self.init(
            rule: rule.origin.place, ruleName: rule.origin.ruleName,
            action: rule.action.rawValue + (isAudited ? " (audit)" : ""), peers: rule.peers, ports: rule.ports)
    }
}

extension PolicyDetails.Endpoint {
    fileprivate init(_ pod: PodKey, _ policies: EndpointPolicies?) {
        func text(_ id: PolicyID?) -> String? { id.flatMap { $0 == .none ? nil : "\($0)" } }
        self.init(pod: "\(pod)", ingress: text(policies?.ingress), egress: text(policies?.egress))
    }
}
