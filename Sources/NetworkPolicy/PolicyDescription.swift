/// A policy object as the compiler takes it, for people.
public struct PolicyDescription: Sendable, Hashable {
    /// One rule as written.
    public struct Rule: Sendable, Hashable {
        public var origin: RuleOrigin
        public var action: PolicyAction
        /// `pods app=web in namespace shop`, `every peer`.
        public var peers: String
        /// `TCP 80, UDP`, `every port`.
        public var ports: String
    }

    public var name: PolicyName
    public var tier: PolicyTier
    /// Nil where the kind has no priorities.
    public var priority: Int?
    /// The pods that it selects: `pods app=db in namespace shop`.
    public var subject: String
    /// The directions in which it isolates them.
    public var isolates: [PolicyDirection]
    /// The directions that it says anything about.
    public var directions: [PolicyDirection]
    /// Whether it is in audit mode: what it would deny is reported and not denied.
    public var isAudited: Bool
    /// Namespaces of its pods that are in audit mode, in order.
    public var auditedNamespaces: [String]
    public var rules: [Rule]
    /// Why it is not in force as written.
    public var problems: [PolicyProblem]
    /// The pods of this node that it selects, in order.
    public var endpoints: [PodKey]
}

extension PolicyCompiler {
    /// The policy objects of some names, in the order in which they are judged.
    public func descriptions(where isWanted: (PolicyName) -> Bool) -> [PolicyDescription] {
        let problems = problems
        return policies.sources.values.filter { isWanted($0.key.name) }.sorted { $0.key < $1.key }.map { source in
            let name = source.key.name
            let endpoints = (policies.selected[name] ?? []).sorted()
            return PolicyDescription(
                name: name, tier: source.key.tier,
                priority: name.kind == .clusterNetworkPolicy ? source.key.priority : nil,
                subject: "\(PeerBase.pods(source.subject))", isolates: source.isolates.sorted(),
                directions: source.directions.sorted(), isAudited: source.isAudited,
                auditedNamespaces: directory.auditedNamespaces.intersection(endpoints.map(\.namespace)).sorted(),
                rules: source.rules.map(PolicyDescription.Rule.init), problems: problems.filter { $0.object == name },
                endpoints: endpoints)
        }
    }
}

extension PolicyDescription.Rule {
    fileprivate init(_ rule: SourceRule) {
        self.init(
            origin: rule.origin, action: rule.action,
            peers: rule.peers.map { $0.isEmpty ? "nobody" : $0.map(\.description).joined(separator: ", ") }
                ?? "every peer",
            ports: rule.ports.map { $0.map(\.description).joined(separator: ", ") } ?? "every port")
    }
}

extension CompiledRule {
    /// The peers for people.
    public var peerText: String { peers?.joined(separator: ", ") ?? "every peer" }

    /// The ports for people.
    public var portText: String { ports?.portText ?? "every port" }
}
