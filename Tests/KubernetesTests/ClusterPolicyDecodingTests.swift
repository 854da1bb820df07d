import Addressing
import Kubernetes
import Testing

@Suite("Decoding of ClusterNetworkPolicies")
struct ClusterPolicyDecodingTests {
    private static let head =
        "apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: guard}"
    private static let subject = "tier: Admin, priority: 7, subject: {namespaces: {}}"
    private static let everyone = "[{namespaces: {}}]"

    private func policy(_ spec: String) throws -> ClusterNetworkPolicy {
        guard case .clusterNetworkPolicy(let policy) = try onlyObject("{\(Self.head), spec: {\(spec)}}") else {
            throw WrongKind()
        }
        return policy
    }

    private func egress(_ rule: String) throws -> ClusterNetworkPolicyRule {
        try #require(try policy("\(Self.subject), egress: [\(rule)]").egress.first)
    }

    @Test("a policy has a tier, a priority and a subject, and no namespace")
    func wholes() throws {
        let namespaces = try policy("tier: Admin, priority: 0, subject: {namespaces: {matchLabels: {env: prod}}}")
        #expect(namespaces.tier == .admin && namespaces.priority == 0 && namespaces.meta.namespace.isEmpty)
        #expect(namespaces.namespaceSelector == LabelSelector(matchLabels: ["env": "prod"]))
        #expect(namespaces.podSelector == LabelSelector())
        let pods = try policy(
            """
            tier: Baseline, priority: 1000,
            subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}
            """)
        #expect(pods.tier == .baseline && pods.priority == 1000 && pods.namespaceSelector == LabelSelector())
        #expect(pods.podSelector == LabelSelector(matchLabels: ["app": "web"]))
        let anywhere = try policy("tier: Admin, priority: 1, subject: {pods: {podSelector: {}}}, ingress: []")
        #expect(anywhere.namespaceSelector == LabelSelector())
    }

    @Test(
        "peers have one form each",
        arguments: [
            ("{namespaces: {matchLabels: {a: b}}}", .namespaces(LabelSelector(matchLabels: ["a": "b"]))),
            (
                "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}}",
                .pods(namespaces: LabelSelector(), pods: LabelSelector(matchLabels: ["a": "b"]))
            ),
            ("{nodes: {}}", .nodes(LabelSelector())),
            ("{domainNames: ['*.example.com']}", .domainNames(["*.example.com"])),
        ] as [(String, ClusterNetworkPolicyPeer)])
    func peers(text: String, peer: ClusterNetworkPolicyPeer) throws {
        #expect(try egress("{action: Accept, to: [\(text)]}").peers == [peer])
    }

    @Test("networks are ranges of both families")
    func networks() throws {
        let rule = try egress("{action: Deny, to: [{networks: [10.0.0.0/8, 'fc00::/7']}]}")
        #expect(rule.peers == [.networks([try cidr("10.0.0.0/8"), try cidr("fc00::/7")])])
    }

    @Test(
        "ports are numbers or ranges, and a named port is of any protocol",
        arguments: [
            ("null", nil),
            ("[{tcp: {destinationPort: {number: 80}}}]", [NetworkPolicyPort(port: .number(80))]),
            (
                "[{sctp: {destinationPort: {range: {start: 1, end: 9}}}}]",
                [NetworkPolicyPort(protocol: .sctp, port: .number(1), endPort: 9)]
            ),
            (
                "[{destinationNamedPort: http}]",
                [IPProtocol.tcp, .udp, .sctp].map { NetworkPolicyPort(protocol: $0, port: .name("http")) }
            ),
        ] as [(String, [NetworkPolicyPort]?)])
    func ports(text: String, ports: [NetworkPolicyPort]?) throws {
        #expect(try egress("{action: Pass, to: \(Self.everyone), protocols: \(text)}").ports == ports)
    }

    @Test("a rule may have a name of up to 100 characters, and an empty one is none")
    func names() throws {
        let longest = String(repeating: "é", count: 100)
        let texts: [(String, String?)] = [
            ("name: allow-monitoring, ", "allow-monitoring"), ("name: '', ", nil), ("", nil),
            ("name: \(longest), ", longest),
        ]
        for (text, name) in texts {
            #expect(try egress("{\(text)action: Deny, to: \(Self.everyone)}").name == name, "\(text)")
        }
    }

    @Test(
        "what the API would refuse is an error that names the field",
        arguments: [
            ("priority: 1, subject: {namespaces: {}}", "spec.tier: required"),
            (
                "tier: Middle, priority: 1, subject: {namespaces: {}}",
                #"spec.tier: expected Admin or Baseline, got "Middle""#
            ),
            (
                "tier: Admin, priority: 1001, subject: {namespaces: {}}",
                "spec.priority: expected an integer from 0 to 1000, got 1001"
            ),
            ("tier: Admin, priority: 1", "spec.subject: required"),
            ("\(subject), ingres: []", "spec.ingres: is not known"),
            (
                "\(subject), ingress: [{action: Deny, from: \(everyone), ports: []}]",
                "spec.ingress[0].ports: is not known"
            ),
            (
                "tier: Admin, priority: 1, subject: {pods: {podSelectr: {}, podSelector: {}}}",
                "spec.subject.pods.podSelectr: is not known"
            ),
            ("tier: Admin, priority: 1, subject: {}", "spec.subject: expected exactly one of namespaces, pods"),
            (
                "tier: Admin, priority: 1, subject: {pods: {namespaceSelector: {}}}",
                "spec.subject.pods.podSelector: required"
            ),
            ("\(subject), ingress: [{action: Deny}]", "spec.ingress[0].from: needs at least one peer"),
            (
                "\(subject), ingress: [{name: \(String(repeating: "x", count: 101)), action: Deny, from: \(everyone)}]",
                "spec.ingress[0].name: has 101 characters, more than 100"
            ),
            (
                "\(subject), ingress: [{name: 7, action: Deny, from: \(everyone)}]",
                "spec.ingress[0].name: expected a string, got 7 (put it in quotes)"
            ),
            ("\(subject), ingress: [{from: \(everyone)}]", "spec.ingress[0].action: required"),
            (
                "\(subject), ingress: [{action: Deny, from: [{networks: [10.0.0.0/8]}]}]",
                "spec.ingress[0].from[0].networks: is not known"
            ),
            (
                "\(subject), egress: [{action: Deny, to: [{namespaces: {}, nodes: {}}]}]",
                "spec.egress[0].to[0]: expected exactly one of namespaces, pods, nodes, networks, domainNames"
            ),
            (
                "\(subject), egress: [{action: Deny, to: [{domainNames: [a.example]}]}]",
                "spec.egress[0].to[0]: only a rule that accepts can have domainNames"
            ),
            (
                "\(subject), egress: [{action: Deny, to: [{networks: [10.0.0.0]}]}]",
                #"spec.egress[0].to[0].networks[0]: expected a range of the form ADDRESS/LENGTH, got "10.0.0.0""#
            ),
            (
                "\(subject), egress: [{action: Accept, to: \(everyone), protocols: []}]",
                "spec.egress[0].protocols: needs at least one entry"
            ),
            (
                "\(subject), egress: [{action: Accept, to: \(everyone), protocols: [{tcp: {}}]}]",
                "spec.egress[0].protocols[0].tcp.destinationPort: required"
            ),
            (
                "\(subject), egress: [{action: Accept, to: [{nodes: {}}], protocols: [{destinationNamedPort: a}]}]",
                "spec.egress[0].to[0]: only pods have named ports"
            ),
            (
                "\(subject), egress: [{action: Deny, to: \(everyone), protocols: [{icmp: {}}]}]",
                "spec.egress[0].protocols[0].icmp: is not known"
            ),
            (
                """
                \(subject), egress: [{action: Deny, to: \(everyone),
                protocols: [{tcp: {destinationPort: {range: {start: 9, end: 9}}}}]}]
                """,
                "spec.egress[0].protocols[0].tcp.destinationPort.range.end: expected an integer above 9, got 9"
            ),
            (
                """
                \(subject), egress: [{action: Deny, to: [{networks: \(
                    "[\((0..<26).map { "10.0.0.\($0)/32" }.joined(separator: ", "))]")}]}]
                """,
                "spec.egress[0].to[0].networks: has 26 entries, more than 25"
            ),
        ])
    func errors(spec: String, error: String) throws {
        let result = manifest("{\(Self.head), spec: {\(spec)}}")
        #expect(result.objects.isEmpty)
        let diagnostic = try #require(result.diagnostics.first)
        #expect(diagnostic.problem == .invalidObject && diagnostic.key?.description == "ClusterNetworkPolicy guard")
        #expect("\(diagnostic.fieldPath ?? ""): \(diagnostic.message)" == error)
    }
}
