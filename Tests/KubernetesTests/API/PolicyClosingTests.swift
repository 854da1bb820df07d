import Addressing
import Kubernetes
import Testing

@Suite("Parts of an API server's policies that can't be read")
struct PolicyClosingTests {
    private static func received(_ kind: ObjectKind, spec: String, meta: String = "") throws -> ReceivedObject {
        let text = #"{"metadata":{"name":"web","namespace":"shop","resourceVersion":"9"\#(meta)},"spec":\#(spec)}"#
        return try #require(try ReceivedObject(item: Array(text.utf8), kind: kind))
    }

    private static func networkPolicy(_ spec: String) throws -> (NetworkPolicy, [SourceDiagnostic]) {
        let received = try received(.networkPolicy, spec: spec)
        guard case .networkPolicy(let policy) = received.object else { throw WrongKind() }
        return (policy, received.diagnostics)
    }

    private static func clusterPolicy(_ rules: String) throws -> (ClusterNetworkPolicy, [SourceDiagnostic]) {
        let spec = #"{"tier":"Admin","priority":1,"subject":{"namespaces":{}},\#(rules)}"#
        let received = try received(.clusterNetworkPolicy, spec: spec)
        guard case .clusterNetworkPolicy(let policy) = received.object else { throw WrongKind() }
        return (policy, received.diagnostics)
    }

    // MARK: - NetworkPolicy

    static let nobody = NetworkPolicyRule(peers: [.unreadable])

    @Test(
        "a peer or port that can't be read matches nothing, and the others do",
        arguments: [
            (#"{"from":[{"planetSelector":{}}]}"#, nobody, ["from[0].planetSelector"]),
            (#"{"from":[{}]}"#, nobody, ["from[0]"]),
            (#"{"from":[{"podSelector":{},"hue":1}]}"#, nobody, ["from[0].hue"]),
            (#"{"from":[{"podSelector":{"hue":[]}}]}"#, nobody, ["from[0].podSelector.hue"]),
            (#"{"from":[{"ipBlock":{"cidr":"10.0.0.0/40"}}]}"#, nobody, ["from[0].ipBlock.cidr"]),
            (
                #"{"from":[{"hue":1},{"podSelector":{}}]}"#,
                NetworkPolicyRule(peers: [.unreadable, .selectors(pods: LabelSelector(), namespaces: nil)]),
                ["from[0].hue"]
            ),
            (#"{"ports":[{"port":80,"shade":1}]}"#, nobody, ["ports[0].shade"]),
            (#"{"ports":[{"protocol":"QUIC"},{"port":"a b"}]}"#, nobody, ["ports[0].protocol", "ports[1].port"]),
            (
                #"{"ports":[{"protocol":"QUIC"},{"port":80}]}"#,
                NetworkPolicyRule(ports: [NetworkPolicyPort(port: .number(80))]), ["ports[0].protocol"]
            ),
            (#"{"from":"all"}"#, nobody, ["from"]),
            (#"{"shade":1}"#, nobody, ["shade"]),
            (#"7"#, nobody, [""]),
        ] as [(String, NetworkPolicyRule, [String])])
    func entries(rule: String, expected: NetworkPolicyRule, fields: [String]) throws {
        let (policy, told) = try Self.networkPolicy(#"{"podSelector":{},"ingress":[\#(rule),{}]}"#)
        #expect(policy.ingress == [expected, NetworkPolicyRule()])
        #expect(told.map(\.fieldPath) == fields.map { "spec.ingress[0]" + ($0.isEmpty ? "" : ".\($0)") })
        #expect(told.allSatisfy { $0.isClosing && !$0.keepsLastGood })
    }

    @Test("what may narrow a whole policy leaves its isolation and no more")
    func narrowed() throws {
        let (policy, told) = try Self.networkPolicy(#"{"podSelector":{},"shade":1,"ingress":[{}],"egress":[]}"#)
        #expect(policy.ingress == [Self.nobody] && policy.egress == [])
        #expect(policy.isolatesIngress && !policy.isolatesEgress)
        #expect(
            told.map(\.explanation) == [
                "spec.shade: is not known to this version of Apus: it may narrow what the policy admits, so its rules "
                    + "admit nothing"
            ])
    }

    @Test("types that can't be read are both of them; rules that are no list admit nothing")
    func types() throws {
        let (types, _) = try Self.networkPolicy(#"{"podSelector":{},"policyTypes":["Ingress","Mesh"]}"#)
        #expect(types.isolatesIngress && types.isolatesEgress)
        let (rules, _) = try Self.networkPolicy(#"{"podSelector":{},"egress":7}"#)
        #expect(rules.egress == [Self.nobody] && rules.isolatesEgress)
    }

    @Test(
        "what says which pods a policy selects must be read, or the policy is refused",
        arguments: [
            (.networkPolicy, #"{"podSelector":{"hue":1}}"#, "spec.podSelector.hue"),
            (.networkPolicy, #"{"podSelector":7}"#, "spec.podSelector"), (.networkPolicy, "7", "spec"),
            (
                .clusterNetworkPolicy, #"{"tier":"Admin","priority":1,"subject":{"planets":{}}}"#,
                "spec.subject.planets"
            ),
            (
                .clusterNetworkPolicy, #"{"tier":"Mesh","priority":1,"subject":{"namespaces":{}}}"#, "spec.tier"
            ),
            (.fqdnNetworkPolicy, #"{"podSelector":{"hue":1},"egress":[{"matches":[]}]}"#, "spec.podSelector.hue"),
        ] as [(ObjectKind, String, String)])
    func selections(kind: ObjectKind, spec: String, field: String) throws {
        let received = try Self.received(kind, spec: spec)
        #expect(received.object == nil)
        #expect(received.diagnostics.map(\.problem) == [.invalidObject])
        #expect(received.diagnostics.map(\.fieldPath) == [field])
    }

    @Test("an audit annotation that is neither yes nor no is none, of a policy and of a namespace")
    func audit() throws {
        let meta = #","annotations":{"apus.dev/policy-audit":"maybe"}"#
        for kind in [ObjectKind.networkPolicy, .namespace] {
            let received = try Self.received(kind, spec: "{}", meta: meta)
            #expect(received.object?.meta.isPolicyAudited == false)
            #expect(received.diagnostics.map(\.fieldPath) == [#"metadata.annotations["apus.dev/policy-audit"]"#])
        }
    }

    @Test("where too much is wrong, all rules are closed")
    func tooMuch() throws {
        let peers = (0..<100).map { _ in #"{"hue":1}"# }.joined(separator: ",")
        let (policy, told) = try Self.networkPolicy(
            #"{"podSelector":{},"ingress":[{"from":[\#(peers)]},{}],"egress":[{}]}"#)
        #expect(policy.ingress == [Self.nobody] && policy.egress == [Self.nobody])
        #expect(told.count == 65 && told.last?.message.contains("too much is wrong") == true)
    }

    // MARK: - ClusterNetworkPolicy

    static let deny = ClusterNetworkPolicyRule(action: .deny, peers: [.unreadable])
    static let accept = ClusterNetworkPolicyRule(action: .accept, peers: [.unreadable])
    static let tcp = [NetworkPolicyPort(port: .number(80))]

    @Test(
        "an Accept rule with what can't be read matches nothing, Deny and Pass rules deny all that they may match",
        arguments: [
            (#"{"action":"Accept","from":[{"planets":{}},{"namespaces":{}}]}"#, accept),
            (#"{"action":"Deny","from":[{"planets":{}},{"namespaces":{}}]}"#, deny),
            (#"{"action":"Pass","from":[{}]}"#, deny),
            (
                #"{"action":"Deny","from":[{}],"protocols":[{"tcp":{"destinationPort":{"number":80}}}]}"#,
                ClusterNetworkPolicyRule(action: .deny, peers: [.unreadable], ports: tcp)
            ),
            (#"{"action":"Accept","from":[{"namespaces":{}}],"protocols":[{"quic":{}}]}"#, accept),
            (
                #"{"action":"Pass","from":[{"namespaces":{}}],"protocols":[{"quic":{}}]}"#,
                ClusterNetworkPolicyRule(action: .deny, peers: [.namespaces(LabelSelector())])
            ),
            (#"{"action":"Accept","from":[{"namespaces":{}}],"hours":"9-17"}"#, accept),
            (
                #"{"action":"Deny","from":[{"namespaces":{}}],"hours":"9-17"}"#,
                ClusterNetworkPolicyRule(action: .deny, peers: [.namespaces(LabelSelector())])
            ),
            (
                #"{"action":"Pass","from":[{"namespaces":{}}],"hours":"9-17"}"#,
                ClusterNetworkPolicyRule(action: .deny, peers: [.namespaces(LabelSelector())])
            ),
            (
                #"{"action":"Mirror","from":[{"namespaces":{}}]}"#,
                ClusterNetworkPolicyRule(action: .deny, peers: [.namespaces(LabelSelector())])
            ),
            (#"7"#, deny),
        ] as [(String, ClusterNetworkPolicyRule)])
    func clusterRules(rule: String, expected: ClusterNetworkPolicyRule) throws {
        let (policy, told) = try Self.clusterPolicy(#""ingress":[\#(rule)]"#)
        #expect(policy.ingress == [expected] && policy.egress.isEmpty)
        #expect(told.count == 1 && told.allSatisfy(\.isClosing))
    }

    @Test("what may narrow a whole cluster policy takes Accept and Pass from it, and leaves Deny")
    func narrowedCluster() throws {
        let peers = #""from":[{"namespaces":{}}]"#
        let rules = ["Accept", "Deny", "Pass"].map { #"{"action":"\#($0)",\#(peers)}"# }.joined(separator: ",")
        let (policy, _) = try Self.clusterPolicy(#""shade":1,"ingress":[\#(rules)]"#)
        #expect(policy.ingress.map(\.action) == [.accept, .deny, .deny])
        #expect(policy.ingress[0].peers == [.unreadable] && policy.ingress[1].peers == policy.ingress[2].peers)
    }

    // MARK: - FQDNNetworkPolicy

    @Test(
        "a name that can't be read is none, and a rule without any admits nothing",
        arguments: [
            (#"{"matches":[{"regex":"a"},{"name":"b"}]}"#, [.name("b")]), (#"{"matches":[{"regex":"a"}]}"#, []),
            (#"{"matches":[{"name":"b"}],"ports":[{"port":"x"}]}"#, []), (#"{"matches":[{"name":"b"}],"shade":1}"#, []),
        ] as [(String, [FQDNNetworkPolicyRule.Match])])
    func names(rule: String, expected: [FQDNNetworkPolicyRule.Match]) throws {
        let received = try Self.received(.fqdnNetworkPolicy, spec: #"{"podSelector":{},"egress":[\#(rule)]}"#)
        guard case .fqdnNetworkPolicy(let policy) = received.object else { throw WrongKind() }
        #expect(policy.egress.map(\.matches) == [expected] && received.diagnostics.count == 1)
    }

    // MARK: - Addresses of old objects

    @Test(
        "addresses are read as servers before 1.36 took them",
        arguments: [
            ("010.001.0.0/8", "10.0.0.0/8"), ("10.1.2.3/8", "10.0.0.0/8"), ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:a00:0/104", "10.0.0.0/8"), ("::ffff:0.0.0.0/96", "0.0.0.0/0"), ("fd00::/08", "fd00::/8"),
            ("::ffff:010.0.0.1/128", "10.0.0.1/32"), ("::ffff:10.0.0.0/95", "::fffe:0:0/95"),
            ("::ffff:10.0.0.0/0", "::/0"),
        ])
    func ranges(written: String, read: String) throws {
        let (policy, told) = try Self.networkPolicy(
            #"{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"\#(written)"}}]}]}"#)
        #expect(policy.ingress == [NetworkPolicyRule(peers: [.ipBlock(try cidr(read), except: [])])] && told.isEmpty)
    }

    @Test(
        "what no server took is no range",
        arguments: [
            "256.0.0.0/8", "10.0.0/8", "10.0.0.0/33", "::ffff:10.0.0.0/129", "10.0.0.0/+8", "10.0.0.0", "10.0..0/8",
        ])
    func noRanges(written: String) throws {
        let (policy, told) = try Self.networkPolicy(
            #"{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"\#(written)"}}]}]}"#)
        #expect(policy.ingress == [Self.nobody] && told.count == 1)
    }
}
