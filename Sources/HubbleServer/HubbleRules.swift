internal import Flows
internal import HubbleFlows
internal import Synchronization

/// What the rules of the cluster's policies ask for, which a verdict tells beside who decided.
public final class HubbleRules: Sendable {
    /// Whether a rule looks at peers, and how closely at ports.
    public struct Rule: Sendable, Hashable {
        /// What a rule says of ports.
        public enum Ports: Sendable, Hashable {
            /// Nothing.
            case any
            /// Which protocols, and every port of them.
            case protocols
            /// Which ports.
            case numbers
        }

        public var restrictsPeers: Bool
        public var ports: Ports

        public init(restrictsPeers: Bool, ports: Ports) {
            self.restrictsPeers = restrictsPeers
            self.ports = ports
        }
    }

    /// A policy object: its kind, its namespace or an empty text, its name.
    public struct Policy: Sendable, Hashable {
        public var kind: String
        public var namespace: String
        public var name: String

        public init(kind: String, namespace: String, name: String) {
            self.kind = kind
            self.namespace = namespace
            self.name = name
        }
    }

    private struct Rules {
        var ingress: [PolicyMatch]
        var egress: [PolicyMatch]
    }

    private let policies = Mutex<[Policy: Rules]>([:])

    public init() {}

    /// Takes a policy in, with its rules in the order in which flows number them.
    public func upsert(_ policy: Policy, ingress: [Rule], egress: [Rule]) {
        let rules = Rules(ingress: ingress.map(\.match), egress: egress.map(\.match))
        policies.withLock { $0[policy] = rules }
    }

    /// Forgets a policy.
    public func remove(_ policy: Policy) { policies.withLock { _ = $0.removeValue(forKey: policy) } }

    /// Cilium's number for what a rule asks for, 0 where it is none that is known.
    ///
    /// - Parameter rule: as flows name it.
    package func matchType(of rule: String) -> UInt32 { match(RuleReference(rule)).rawValue }

    /// What a rule asks for: nothing where it is none that is known, or the isolation of a pod.
    var match: PolicyMatch.Lookup {
        { [self] reference in
            guard let parts = reference.parts, let index = parts.index else { return .none }
            let policy = Policy(kind: parts.kind, namespace: parts.namespace, name: parts.name)
            let rules = policies.withLock { policies in
                parts.direction == .ingress ? policies[policy]?.ingress : policies[policy]?.egress
            }
            guard let rules, rules.indices.contains(index) else { return .none }
            return rules[index]
        }
    }
}

extension HubbleRules.Rule {
    fileprivate var match: PolicyMatch {
        switch ports {
        case .any: PolicyMatch(restrictsPeers: restrictsPeers, ports: .any)
        case .protocols: PolicyMatch(restrictsPeers: restrictsPeers, ports: .protocols)
        case .numbers: PolicyMatch(restrictsPeers: restrictsPeers, ports: .numbers)
        }
    }
}
