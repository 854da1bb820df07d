import Addressing
import DomainNames
import Kubernetes
import NetworkPolicy
import Testing

@testable import PolicyTranslation

@Suite("Policies with domain names")
struct DomainNameTranslationTests {
    private func object(_ rules: [FQDNNetworkPolicyRule]) -> FQDNPolicyObject {
        FQDNPolicyObject(FQDNNetworkPolicy(meta: ObjectMeta(name: "web", namespace: "shop"), egress: rules))
    }

    @Test("names and patterns become patterns, and a protocol ALL becomes all of them")
    func rules() throws {
        let object = object([
            FQDNNetworkPolicyRule(
                matches: [.name("Example.COM."), .pattern("*.cdn.example")],
                ports: [FQDNNetworkPolicyPort(port: 443), FQDNNetworkPolicyPort(protocol: .udp)]),
            FQDNNetworkPolicyRule(
                matches: [.pattern("*")], ports: [FQDNNetworkPolicyPort(protocol: .tcp), FQDNNetworkPolicyPort()]),
        ])
        #expect(object.egress[0].matches.map(\.text) == ["example.com", "*.cdn.example"])
        #expect(
            object.egress[0].ports == [
                PortRule(.tcp, .number(443)), PortRule(.udp, .number(443)), PortRule(.sctp, .number(443)),
                PortRule(.udp),
            ])
        #expect(object.egress[1].matches.map(\.form) == [.everything])
        #expect(object.egress[1].ports == nil, "one item stands for every port")
    }

    @Test("a policy fails closed, and says by which fields")
    func problems() {
        let found = object([FQDNNetworkPolicyRule(matches: [.name("ok.example"), .name("-.example")])]).invalidFields
        #expect(found.map(\.field) == ["spec.egress[0].matches[1].name"])
        let rule = ClusterNetworkPolicyRule(action: .accept, peers: [.domainNames(["example", "*.a.example"])])
        let cluster = ClusterNetworkPolicy(meta: ObjectMeta(name: "guard"), tier: .admin, priority: 1, egress: [rule])
        #expect(cluster.domainNameProblems.map(\.field) == ["spec.egress[0].to[0].domainNames[0]"])
    }

    @Test("a policy and its deletion are told to the compiler")
    func inputs() {
        var inputs = PolicyInputs()
        let policy = FQDNNetworkPolicy(
            meta: ObjectMeta(name: "web", namespace: "shop"), egress: [FQDNNetworkPolicyRule(matches: [.pattern("*")])])
        let name = PolicyName(kind: .fqdnNetworkPolicy, namespace: "shop", name: "web")
        #expect(inputs.apply([.upsert(.fqdnNetworkPolicy(policy))]).map(\.policy) == [name])
        let gone = inputs.apply([.delete(ObjectKey(.fqdnNetworkPolicy, namespace: "shop", name: "web"))])
        #expect(gone == [.fqdnPolicyRemoved(namespace: "shop", name: "web")])
    }
}
