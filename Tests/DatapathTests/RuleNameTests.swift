import Addressing
import Flows
import NetworkPolicy
import Testing

@testable import Datapath

@Suite("Names of rules in the maps")
struct RuleNameTests {
    private func texts(_ origin: RuleOrigin) -> [String] {
        let rule = CompiledRule(origin: origin, tier: .admin, action: .deny)
        let policy = CompiledPolicy(id: PolicyID(rawValue: 7), direction: origin.direction, rules: [rule])
        return EncodedPolicy(policy).names.map { NameKey.text($0.value) }
    }

    private func origin(_ policy: String, _ ruleName: String?) -> RuleOrigin {
        let name = PolicyName(kind: .clusterNetworkPolicy, namespace: "", name: policy)
        return RuleOrigin(policy: name, direction: .ingress, index: 0, ruleName: ruleName)
    }

    @Test("A rule's name stands behind its place, and flows read both")
    func named() throws {
        let text = try #require(texts(origin("guard", "allow/all monitoring")).first)
        #expect(text == "ClusterNetworkPolicy//guard/ingress/0/allow/all monitoring")
        let parts = try #require(RuleReference(text).parts)
        #expect(parts.index == 0 && parts.ruleName == "allow/all monitoring")
        #expect(texts(origin("guard", nil)) == ["ClusterNetworkPolicy//guard/ingress/0"])
    }

    @Test("The longest names lose the end of the rule's name, and nothing else")
    func longest() throws {
        let policy = String(repeating: "p", count: 253)
        let text = try #require(texts(origin(policy, String(repeating: "ä", count: 100))).first)
        #expect(text.utf8.count <= 383)
        let parts = try #require(RuleReference(text).parts)
        #expect(parts.name == policy && parts.index == 0)
        #expect(parts.ruleName == String(repeating: "ä", count: 48))
    }
}
