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
            let idle = Set(RuleOrderLint(generator.objects).idleRules().map(\.origin))
            let objects = generator.objects + Self.unknownNamespaces(&generator)
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

    /// The namespaces that have pods and no object, with labels that whoever reads the manifests does not know of.
    private static func unknownNamespaces(_ generator: inout ClusterGenerator) -> [PolicyInput] {
        let unknown = Set(generator.pods.keys.map(\.namespace)).subtracting(generator.namespaces.keys)
        return unknown.sorted().map { name in
            var labels = ["kubernetes.io/metadata.name": name]
            for (key, values) in [("env", ["prod", "dev"]), ("team", ["red", "blue"])]
            where Bool.random(using: &generator.random) {
                labels[key] = values.randomElement(using: &generator.random)
            }
            return .namespace(name, labels: labels)
        }
    }

    @Test("What only the labels of a namespace without an object would tell is not stated")
    func unknownLabels() {
        let labelled = PolicyPeer.pods(
            namespaceSelector: LabelSelector(matchExpressions: [LabelRequirement("zone", .doesNotExist)]),
            podSelector: nil)
        func guarded(_ peer: PolicyPeer) -> PolicyInput {
            .clusterPolicy(
                ClusterPolicyObject(
                    name: "guard", tier: .admin, priority: 1, ingress: [ClusterPolicyRule(action: .deny, peers: [peer])]
                ))
        }
        let web = PolicyInput.policy(Shop.policy(ingress: [PolicyRule(peers: [Shop.pods(.everything)])]))
        let known = PolicyInput.namespace("shop", labels: ["kubernetes.io/metadata.name": "shop"])
        #expect(RuleOrderLint([guarded(labelled), web]).idleRules().isEmpty, "it may have the label zone")
        #expect(RuleOrderLint([guarded(labelled), web, known]).idleRules().count == 1)
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
