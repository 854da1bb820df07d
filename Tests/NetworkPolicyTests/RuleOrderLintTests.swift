internal import Addressing
internal import NetworkPolicy
internal import PolicyGenerators
import Testing

@Suite("Rules without effect")
struct RuleOrderLintTests {
    @Test("Without them no verdict is another, in random clusters", arguments: [1, 2, 3, 4] as [UInt64])
    func nothingChangesWithoutThem(seed: UInt64) {
        var found = 0
        var generator = ClusterGenerator(seed: seed)
        _ = generator.fill()
        for _ in 0..<150 {
            for _ in 0..<5 { _ = generator.change() }
            let objects = Self.objects(generator)
            let idle = Set(RuleOrderLint(objects).idleRules().map(\.origin))
            found += idle.count
            if idle.isEmpty { continue }
            var before = PolicyOracle(node: ClusterGenerator.node)
            var after = before
            for input in objects {
                before.apply(input)
                after.apply(Self.without(idle, input))
            }
            for _ in 0..<40 {
                guard let query = generator.query() else { continue }
                let (old, new) = (before.explain(query), after.explain(query))
                #expect(old.isAllowed == new.isAllowed, "\(query): \(old), \(new) without \(idle)")
            }
        }
        #expect(found > 50, "a test without rules that have no effect proves nothing")
    }

    /// The objects, and those of namespaces that have pods only: whoever reads manifests knows them by their names.
    private static func objects(_ generator: ClusterGenerator) -> [PolicyInput] {
        let unknown = Set(generator.pods.keys.map(\.namespace)).subtracting(generator.namespaces.keys)
        return generator.objects
            + unknown.sorted().map { .namespace($0, labels: ["kubernetes.io/metadata.name": $0]) }
    }

    /// An object without some of its rules; what it isolates stays as it is.
    private static func without(_ idle: Set<RuleOrigin>, _ input: PolicyInput) -> PolicyInput {
        func kept<Rule>(_ rules: [Rule], _ direction: PolicyDirection) -> [Rule] {
            rules.enumerated().filter { index, _ in
                !idle.contains { $0.policy == input.policy && $0.direction == direction && $0.index == index }
            }.map(\.element)
        }
        switch input {
        case .policy(var object):
            if object.policyTypes?.isEmpty ?? true {
                object.policyTypes = object.egress.isEmpty ? [.ingress] : [.ingress, .egress]
            }
            object.ingress = kept(object.ingress, .ingress)
            object.egress = kept(object.egress, .egress)
            return .policy(object)
        case .clusterPolicy(var object):
            object.ingress = kept(object.ingress, .ingress)
            object.egress = kept(object.egress, .egress)
            return .clusterPolicy(object)
        default: return input
        }
    }

    @Test("Rules of a direction that policyTypes leaves out are not spoken of, and don't count")
    func directionsLeftOut() {
        let rule = PolicyRule(peers: [Shop.pods(.everything)])
        let web = PolicyInput.policy(
            NetworkPolicyObject(
                namespace: "shop", name: "web", policyTypes: [.ingress], ingress: [rule], egress: [rule, rule]))
        #expect(RuleOrderLint([web]).idleRules().isEmpty)
        #expect(Array(RuleOrderLint([web]).ruleCounts.values) == [1])
        let deny = ClusterPolicyRule(action: .deny, peers: [Shop.pods(in: .everything)])
        let guarding = PolicyInput.clusterPolicy(
            ClusterPolicyObject(name: "guard", tier: .admin, priority: 1, ingress: [deny], egress: [deny]))
        #expect(RuleOrderLint([guarding, web]).idleRules().map(\.origin.direction) == [.ingress])
    }

    @Test("A policy that is not in force as written decides nothing about others, and is not spoken of")
    func broken() {
        let everyone = Shop.pods(in: .everything)
        let deny = ClusterPolicyRule(action: .deny, peers: [everyone])
        func guarded(_ found: InvalidField...) -> PolicyInput {
            .clusterPolicy(
                ClusterPolicyObject(
                    name: "guard", tier: .admin, priority: 1, ingress: [deny, deny], invalidFields: found))
        }
        let web = PolicyInput.policy(Shop.policy(ingress: [PolicyRule(peers: [Shop.pods(.everything)])]))
        #expect(RuleOrderLint([guarded(), web]).idleRules().count == 2)
        #expect(RuleOrderLint([guarded(InvalidField(field: "spec", message: "is odd")), web]).idleRules().isEmpty)
    }
}
