internal import Flows

/// Which decisions of policies are logged: what the NetworkLogging object of the cluster says, with the annotations that
/// it leaves the choice to.
public struct PolicyLogChoice: Sendable, Equatable {
    /// Of which policies, or in which namespaces.
    public enum Scope: Sendable, Hashable {
        case none, all
        /// Only those that are annotated.
        case delegated
    }

    /// A policy by its name.
    public struct Policy: Sendable, Hashable {
        public var kind: String
        /// Empty for one of the cluster.
        public var namespace: String
        public var name: String

        public init(kind: String, namespace: String, name: String) {
            self.kind = kind
            self.namespace = namespace
            self.name = name
        }
    }

    public var allow = Scope.none
    public var deny = Scope.none
    /// Policies that are annotated.
    public var policies: Set<Policy> = []
    /// Namespaces that are annotated.
    public var namespaces: Set<String> = []

    /// Nothing is logged.
    public init() {}

    /// Whether what a policy allows is logged.
    func logsAllowed(by policy: Policy) -> Bool {
        switch allow {
        case .none: false
        case .all: true
        case .delegated: policies.contains(policy)
        }
    }

    /// Whether what is denied at a pod is logged.
    func logsDenied(at pod: Peer) -> Bool {
        switch deny {
        case .none: false
        case .all: true
        case .delegated: pod.namespace.map(namespaces.contains) ?? false
        }
    }
}

extension PolicyLogChoice.Policy {
    init(_ rule: RuleReference.Parts) {
        self.init(kind: rule.kind, namespace: rule.namespace, name: rule.name)
    }
}
