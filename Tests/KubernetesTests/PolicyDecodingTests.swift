import Addressing
import Kubernetes
import Testing

@Suite("Decoding of NetworkPolicies")
struct PolicyDecodingTests {
    @Test("missing and empty lists of rules stay apart")
    func rules() throws {
        let missing = try policy("podSelector: {}")
        #expect(missing.policyTypes == nil && missing.ingress == nil && missing.egress == nil)
        let null = try policy("podSelector: null, policyTypes: null, ingress: null, egress: null")
        #expect(null.policyTypes == nil && null.ingress == nil && null.egress == nil)
        let empty = try policy("policyTypes: [], ingress: [], egress: []")
        #expect(empty.policyTypes == [] && empty.ingress == [] && empty.egress == [])
    }

    @Test(
        "missing and empty lists of a rule stay apart",
        arguments: [
            ("{}", NetworkPolicyRule()), ("null", NetworkPolicyRule()),
            ("{from: [], ports: []}", NetworkPolicyRule(peers: [], ports: [])),
            ("{from: null}", NetworkPolicyRule()),
            ("{ports: [null, {}]}", NetworkPolicyRule(ports: [NetworkPolicyPort(), NetworkPolicyPort()])),
        ])
    func rule(text: String, rule: NetworkPolicyRule) throws {
        #expect(try policy("ingress: [\(text)]").ingress == [rule])
    }

    @Test(
        "a policy isolates for the types it names, or for ingress and for the egress rules it has",
        arguments: [
            ("podSelector: {}", true, false), ("policyTypes: []", true, false), ("egress: []", true, false),
            ("egress: [{}]", true, true), ("policyTypes: [Egress]", false, true),
            ("policyTypes: [Ingress], egress: [{}]", true, false), ("policyTypes: [Ingress, Egress]", true, true),
        ])
    func isolation(spec: String, ingress: Bool, egress: Bool) throws {
        let policy = try policy(spec)
        #expect(policy.isolatesIngress == ingress)
        #expect(policy.isolatesEgress == egress)
    }

    @Test("peers are ranges with exceptions, or selectors")
    func peers() throws {
        let policy = try policy(
            """
            egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 192.0.2.128/25]}}, {podSelector: {}},
            {namespaceSelector: {matchLabels: {team: web}}},
            {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]}]
            """)
        #expect(
            policy.egress?.first?.peers == [
                .ipBlock(try cidr("0.0.0.0/0"), except: [try cidr("10.0.0.0/8"), try cidr("192.0.2.128/25")]),
                .selectors(pods: LabelSelector(), namespaces: nil),
                .selectors(pods: nil, namespaces: LabelSelector(matchLabels: ["team": "web"])),
                .selectors(pods: LabelSelector(matchLabels: ["app": "web"]), namespaces: LabelSelector()),
            ])
    }

    @Test(
        "ports are numbers, names, ranges or all of a protocol",
        arguments: [
            ("{port: 80}", NetworkPolicyPort(port: .number(80))),
            ("{port: http, protocol: TCP}", NetworkPolicyPort(port: .name("http"))),
            ("{protocol: SCTP}", NetworkPolicyPort(protocol: .sctp)),
            (
                "{port: 32000, endPort: 32768, protocol: UDP}",
                NetworkPolicyPort(protocol: .udp, port: .number(32000), endPort: 32768)
            ),
            ("{port: 6000, endPort: 6000}", NetworkPolicyPort(port: .number(6000), endPort: 6000)),
        ])
    func ports(text: String, port: NetworkPolicyPort) throws {
        #expect(try policy("ingress: [{ports: [\(text)]}]").ingress == [NetworkPolicyRule(ports: [port])])
    }

    @Test("what kubectl prints around the spec is no mistake")
    func printed() throws {
        let text = """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata:
              name: web
              generation: 3
              annotations: {example.com/anything: "1"}
              managedFields: [{manager: kubectl, fieldsV1: {"f:spec": {"f:podSelectr": {}}}}]
            spec: {podSelector: {}, policyTypes: [Ingress]}
            status: {conditions: []}
            """
        guard case .networkPolicy(let policy) = try onlyObject(text) else { throw WrongKind() }
        #expect(policy.isolatesIngress && policy.podSelector == LabelSelector())
    }

    private func annotated(_ kind: String, _ version: String, _ spec: String, audit: String) -> String {
        """
        apiVersion: \(version)
        kind: \(kind)
        metadata: {name: web, annotations: {apus.dev/policy-audit: "\(audit)"}}
        spec: \(spec)
        """
    }

    private static let auditable = [
        ("NetworkPolicy", "networking.k8s.io/v1", "{podSelector: {}}"), ("Namespace", "v1", "{}"),
        (
            "ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2",
            "{tier: Admin, priority: 1, subject: {namespaces: {}}}"
        ),
    ]

    @Test("policies and namespaces may be in audit mode", arguments: auditable)
    func audit(kind: String, version: String, spec: String) throws {
        for (value, isAudited) in [("true", true), ("false", false)] {
            let object = try onlyObject(annotated(kind, version, spec, audit: value))
            #expect(object.meta.isPolicyAudited == isAudited)
        }
        let wrong = manifest(annotated(kind, version, spec, audit: "yes"))
        let error = wrong.diagnostics.first
        #expect(wrong.objects.isEmpty == (kind != "Namespace") && wrong.diagnostics.count == 1)
        #expect(error?.fieldPath == #"metadata.annotations["apus.dev/policy-audit"]"#)
        #expect(error?.message.hasPrefix(#"expected "true" or "false", got "yes""#) == true)
    }

    @Test(
        "a namespace with another value is there with its labels and not in audit mode", arguments: [#""yes""#, "true"])
    func closedAudit(value: String) throws {
        let found = manifest(
            "{apiVersion: v1, kind: Namespace, metadata: "
                + "{name: web, labels: {zone: dmz}, annotations: {apus.dev/policy-audit: \(value)}}}")
        let namespace = try #require(found.objects.first)
        #expect(namespace.meta.labels == ["zone": "dmz"] && !namespace.meta.isPolicyAudited)
        let told = try #require(found.diagnostics.first)
        #expect(told.problem == .closedPart && told.isClosing && told.key == namespace.key)
        #expect(told.fieldPath == #"metadata.annotations["apus.dev/policy-audit"]"#)
        #expect(told.message.hasSuffix("what it denies is denied, not audited"))
    }

    @Test("a namespace with wrong labels is refused, whatever its annotation")
    func refusedNamespace() {
        let found = manifest(
            "{apiVersion: v1, kind: Namespace, metadata: "
                + "{name: web, labels: 5, annotations: {apus.dev/policy-audit: 'yes'}}}")
        #expect(found.objects.isEmpty && found.diagnostics.contains { $0.fieldPath == "metadata.labels" })
    }

    @Test("selectors have labels and requirements")
    func selectors() throws {
        let selector = try policy(
            """
            podSelector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: In, values: [a, b]},
            {key: tier, operator: NotIn, values: [c]}, {key: x, operator: Exists, values: []},
            {key: z, operator: DoesNotExist}]}
            """
        ).podSelector
        #expect(
            selector
                == LabelSelector(
                    matchLabels: ["app": "web"],
                    matchExpressions: [
                        LabelRequirement(key: "tier", operator: .in, values: ["a", "b"]),
                        LabelRequirement(key: "tier", operator: .notIn, values: ["c"]),
                        LabelRequirement(key: "x", operator: .exists),
                        LabelRequirement(key: "z", operator: .doesNotExist),
                    ]))
    }
}
