internal import Flows
package import HubbleFlows
internal import Synchronization

/// What the rules of the cluster's policies ask for, which a verdict tells beside who decided.
public final class HubbleRules: Sendable {
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
    package func upsert(_ policy: Policy, ingress: [PolicyMatch], egress: [PolicyMatch]) {
        let rules = Rules(ingress: ingress, egress: egress)
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
