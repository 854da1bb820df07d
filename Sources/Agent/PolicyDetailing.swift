internal import AgentAPI
internal import Kubernetes
internal import NetworkPolicy

extension NodeController {
    /// The policy objects of a name, and the compiled policy of an id.
    func policies(_ selection: PolicySelection) -> PolicyDetails {
        PolicyDetails(selection, state.policies, diagnostics)
    }

    /// All policy objects.
    func allPolicies() -> PolicyDetails { PolicyDetails(nil, state.policies, diagnostics) }
}

extension PolicyDetails {
    /// What the compiler knows of the policies, all of them without a selection, and what their source says of newer versions.
    init(
        _ selection: PolicySelection?, _ compiler: PolicyCompiler,
        _ diagnostics: SourceDiagnostics = SourceDiagnostics()
    ) {
        let found = compiler.descriptions {
            selection?.matches(namespace: $0.namespace, name: $0.name) ?? true
        }
        let compiled = selection?.id.flatMap { compiler.policy(PolicyID(rawValue: $0)) }
        self.init(
            objects: found.map { policy in
                Object(policy, compiler, ObjectKey(policy.name), diagnostics)
            },
            refused: Self.refused(selection, diagnostics, except: Set(found.compactMap { ObjectKey($0.name) })),
            compiled: compiled?.rules.map { Bit(peers: $0.peerText, ports: $0.portText) })
    }

    /// What is wrong with policies of which the compiler has nothing.
    private static func refused(
        _ selection: PolicySelection?, _ diagnostics: SourceDiagnostics, except known: Set<ObjectKey>
    ) -> [String] {
        diagnostics.all.compactMap { diagnostic in
            guard diagnostic.problem == .invalidObject, let key = diagnostic.key, !known.contains(key),
                PolicyKind(rawValue: key.kind.rawValue) != nil,
                selection?.matches(namespace: key.namespace, name: key.name) ?? true
            else { return nil }
            return diagnostic.description
        }
    }
}

extension ObjectKey {
    init?(_ policy: PolicyName) {
        guard let kind = ObjectKind(rawValue: policy.kind.rawValue) else { return nil }
        self.init(kind, namespace: policy.namespace, name: policy.name)
    }
}

extension SourceDiagnostic {
    /// Where the newest version is and what is wrong with it.
    fileprivate var rejection: String {
        var plain = self
        (plain.key, plain.subject, plain.keepsLastGood) = (nil, nil, false)
        return plain.description
    }
}

extension PolicyDetails.Object {
    fileprivate init(
        _ policy: PolicyDescription, _ compiler: PolicyCompiler, _ key: ObjectKey?, _ diagnostics: SourceDiagnostics
    ) {
        let closings = key.map(diagnostics.closings) ?? []
        let rejections = key.map(diagnostics.rejections) ?? []
        let duplicates = key.map(diagnostics.duplicates) ?? []
        self.init(
            policy: policy.name.text, tier: PolicyJudgement.Tier.Name(policy.tier), priority: policy.priority,
            subject: policy.subject, isolates: policy.isolates.map(\.rawValue),
            directions: policy.directions.map(\.rawValue),
            auditedBy: (policy.isAudited ? ["the policy"] : []) + policy.auditedNamespaces.map { "namespace \($0)" },
            rules: policy.rules.map { PolicyDetails.Rule($0, isAudited: policy.isAudited && $0.action == .deny) },
            problems: policy.problems.map { "\($0.field): \($0.message)" } + closings.map(\.explanation),
            rejected: rejections.map(\.rejection), ignored: duplicates.isEmpty ? nil : duplicates.map(\.rejection),
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
