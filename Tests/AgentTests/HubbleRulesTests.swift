import Addressing
import HubbleServer
import Kubernetes
import Testing

@testable import Agent

@Suite("What the rules of policies ask for, as verdicts tell it")
struct HubbleRulesTests {
    private static let everybody = NetworkPolicyRule()
    private static let pods = NetworkPolicyPeer.selectors(pods: LabelSelector(), namespaces: nil)
    private static let web = NetworkPolicyPort(port: .number(80))
    private static let anyUDP = NetworkPolicyPort(protocol: .udp)

    /// A rule of a NetworkPolicy and what Cilium would print of it.
    static let cases: [(NetworkPolicyRule, String)] = [
        (NetworkPolicyRule(), "all"), (NetworkPolicyRule(peers: [], ports: []), "all"),
        (NetworkPolicyRule(peers: [pods]), "L3-Only"), (NetworkPolicyRule(peers: [pods], ports: [web]), "L3-L4"),
        (NetworkPolicyRule(ports: [web]), "L4-Only"),
        (NetworkPolicyRule(peers: [pods], ports: [anyUDP]), "L3-Proto"),
        (NetworkPolicyRule(ports: [web, anyUDP]), "Proto-Only"),
    ]

    private static let texts = ["none", "L3-Only", "L3-L4", "L4-Only", "all", "L3-Proto", "Proto-Only"]

    private static func text(_ rules: HubbleRules, _ reference: String) -> String {
        texts[Int(rules.matchType(of: reference))]
    }

    @Test("by peers and ports", arguments: cases)
    func shapes(rule: NetworkPolicyRule, text: String) {
        let rules = HubbleRules()
        let meta = ObjectMeta(name: "web", namespace: "shop")
        rules.apply([.upsert(.networkPolicy(NetworkPolicy(meta: meta, ingress: [Self.everybody, rule])))])
        #expect(Self.text(rules, "NetworkPolicy/shop/web/ingress/1") == text)
        for other in ["ingress/isolation", "ingress/2", "egress/1"] {
            #expect(Self.text(rules, "NetworkPolicy/shop/web/\(other)") == "none")
        }
        #expect(Self.text(rules, "NetworkPolicy/visitors/web/ingress/1") == "none")
        rules.apply([.delete(ObjectKey(.networkPolicy, namespace: "shop", name: "web"))])
        #expect(Self.text(rules, "NetworkPolicy/shop/web/ingress/1") == "none")
    }

    @Test("of policies of the cluster and of names, whose rule for DNS is the last")
    func otherKinds() {
        let rules = HubbleRules()
        let guarding = ClusterNetworkPolicy(
            meta: ObjectMeta(name: "guard"), tier: .admin, priority: 1,
            ingress: [.init(name: "deny", action: .deny, peers: [.namespaces(LabelSelector())])],
            egress: [.init(action: .accept, peers: [.networks([])], ports: [Self.web])])
        let names = FQDNNetworkPolicy(
            meta: ObjectMeta(name: "names", namespace: "shop"),
            egress: [
                .init(matches: [.name("a.test")]),
                .init(matches: [.name("a.test")], ports: [.init(port: 443)]),
                .init(matches: [.name("a.test")], ports: [.init(protocol: .udp)]),
                .init(matches: [.name("a.test")], ports: [.init(port: 443), .init()]),
            ])
        rules.apply([.upsert(.clusterNetworkPolicy(guarding)), .upsert(.fqdnNetworkPolicy(names))])
        #expect(Self.text(rules, "ClusterNetworkPolicy//guard/ingress/0/deny") == "L3-Only")
        #expect(Self.text(rules, "ClusterNetworkPolicy//guard/egress/0") == "L3-L4")
        let found = (0...5).map { Self.text(rules, "FQDNNetworkPolicy/shop/names/egress/\($0)") }
        #expect(found == ["L3-Only", "L3-L4", "L3-Proto", "L3-Only", "L3-L4", "none"])
    }
}
