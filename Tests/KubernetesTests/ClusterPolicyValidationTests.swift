import Kubernetes
import Testing

/// What the CRD of ClusterNetworkPolicy refuses, rule by rule. Its server checks each before it stores an object; a
/// directory has none, and a server whose CRD is another version may let it pass.
@Suite("What the CRD of ClusterNetworkPolicy refuses")
struct ClusterPolicyValidationTests {
    private static let everyone = #"[{"namespaces":{}}]"#

    private static func list(_ entry: String, _ count: Int) -> String {
        "[" + (0..<count).map { entry.replacing("#", with: "\($0)") }.joined(separator: ",") + "]"
    }

    /// A rule that is well but for its peers, or for its protocols.
    private static func egress(_ peers: String, action: String = "Accept", protocols: String? = nil) -> String {
        let protocols = protocols.map { #","protocols":\#($0)"# } ?? ""
        return #""egress":[{"action":"\#(action)","to":\#(peers)\#(protocols)}]"#
    }

    private static func egress(protocols: String) -> String { egress(everyone, protocols: protocols) }

    private static func egress(port: String) -> String { egress(protocols: #"[{"tcp":{"destinationPort":\#(port)}}]"#) }

    private static let rule = #"{"action":"Deny","from":\#(everyone)}"#
    private static let anyPeer = "expected exactly one of namespaces, pods, nodes, networks, domainNames"
    private static let portName =
        "expected a port name (1 to 15 lower-case letters, digits or single '-' between them, at least one letter)"
    private static let anyProtocol = "expected exactly one of tcp, udp, sctp, destinationNamedPort"

    /// Fields of a spec, the field that is wrong, and why.
    private static let rules: [(String, String, String)] = [
        (#""ingress":\#(list(rule, 26))"#, "spec.ingress", "has 26 entries, more than 25"),
        (
            #""egress":\#(list(#"{"action":"Deny","to":\#(everyone)}"#, 26))"#, "spec.egress",
            "has 26 entries, more than 25"
        ),
        (
            #""ingress":[{"action":"Deny","from":\#(list(#"{"namespaces":{}}"#, 26))}]"#, "spec.ingress[0].from",
            "has 26 entries, more than 25"
        ),
        (#""ingress":[{"action":"Deny","from":[]}]"#, "spec.ingress[0].from", "needs at least one peer"),
        (#""ingress":[{"action":"Deny","from":null}]"#, "spec.ingress[0].from", "needs at least one peer"),
        (
            #""ingress":[{"action":"deny","from":\#(everyone)}]"#, "spec.ingress[0].action",
            #"expected Accept, Deny or Pass, got "deny""#
        ),
        (
            #""ingress":[{"action":"Accept","from":[{"domainNames":["a.test"]}]}]"#,
            "spec.ingress[0].from[0].domainNames", "is not known"
        ),
        (#""ingress":[{"action":"Accept","from":[{"nodes":{}}]}]"#, "spec.ingress[0].from[0].nodes", "is not known"),
        (#""ingress":[{"action":"Accept","to":\#(everyone)}]"#, "spec.ingress[0].to", "is not known"),
        (egress("[{}]"), "spec.egress[0].to[0]", anyPeer),
        (egress(#"[{"pods":{"podSelector":{}},"networks":["10.0.0.0/8"]}]"#), "spec.egress[0].to[0]", anyPeer),
        (egress(#"[{"pods":{"namespaceSelector":{}}}]"#), "spec.egress[0].to[0].pods.podSelector", "required"),
        (egress(#"[{"networks":[]}]"#), "spec.egress[0].to[0].networks", "needs at least one entry"),
        (
            egress(#"[{"networks":\#(list(#""10.0.#.0/24""#, 26))}]"#), "spec.egress[0].to[0].networks",
            "has 26 entries, more than 25"
        ),
        (egress(#"[{"domainNames":[]}]"#), "spec.egress[0].to[0].domainNames", "needs at least one entry"),
        (
            egress(#"[{"domainNames":\#(list(#""n#.test""#, 26))}]"#), "spec.egress[0].to[0].domainNames",
            "has 26 entries, more than 25"
        ),
        (
            egress(#"[{"domainNames":["a.test"]}]"#, action: "Pass"), "spec.egress[0].to[0]",
            "only a rule that accepts can have domainNames"
        ),
        (
            egress(#"[{"namespaces":{"matchExpressions":[{"key":"a","operator":"In"}]}}]"#),
            "spec.egress[0].to[0].namespaces.matchExpressions[0].values", "operator In needs at least one value"
        ),
        (egress(protocols: "[]"), "spec.egress[0].protocols", "needs at least one entry"),
        (
            egress(protocols: list(#"{"tcp":{"destinationPort":{"number":80}}}"#, 26)), "spec.egress[0].protocols",
            "has 26 entries, more than 25"
        ),
        (egress(protocols: "[{}]"), "spec.egress[0].protocols[0]", anyProtocol),
        (
            egress(protocols: #"[{"tcp":{"destinationPort":{"number":1}},"udp":{"destinationPort":{"number":1}}}]"#),
            "spec.egress[0].protocols[0]", anyProtocol
        ),
        (egress(protocols: #"[{"sctp":{}}]"#), "spec.egress[0].protocols[0].sctp.destinationPort", "required"),
        (
            egress(port: "{}"), "spec.egress[0].protocols[0].tcp.destinationPort",
            "expected exactly one of number, range"
        ),
        (
            egress(port: #"{"number":1,"range":{"start":1,"end":2}}"#),
            "spec.egress[0].protocols[0].tcp.destinationPort", "expected exactly one of number, range"
        ),
        (
            egress(port: #"{"number":0}"#), "spec.egress[0].protocols[0].tcp.destinationPort.number",
            "expected an integer from 1 to 65535, got 0"
        ),
        (
            egress(port: #"{"range":{"start":0,"end":2}}"#),
            "spec.egress[0].protocols[0].tcp.destinationPort.range.start", "expected an integer from 1 to 65535, got 0"
        ),
        (
            egress(port: #"{"range":{"start":9,"end":65536}}"#),
            "spec.egress[0].protocols[0].tcp.destinationPort.range.end",
            "expected an integer from 1 to 65535, got 65536"
        ),
        (
            egress(port: #"{"range":{"start":9}}"#), "spec.egress[0].protocols[0].tcp.destinationPort.range.end",
            "required"
        ),
        (
            egress(protocols: #"[{"destinationNamedPort":""}]"#),
            "spec.egress[0].protocols[0].destinationNamedPort",
            #"\#(portName), got """#
        ),
        (
            egress(protocols: #"[{"destinationNamedPort":"80"}]"#),
            "spec.egress[0].protocols[0].destinationNamedPort", #"\#(portName), got "80""#
        ),
        (
            egress(protocols: #"[{"destinationNamedPort":8080}]"#),
            "spec.egress[0].protocols[0].destinationNamedPort", "\(portName), got 8080"
        ),
        (
            egress(protocols: #"[{"destinationNamedPort":"UPPER_x"}]"#),
            "spec.egress[0].protocols[0].destinationNamedPort", #"\#(portName), got "UPPER_x""#
        ),
        (
            egress(#"[{"networks":["10.0.0.0/8"]}]"#, protocols: #"[{"destinationNamedPort":"http"}]"#),
            "spec.egress[0].to[0]", "only pods have named ports"
        ),
        (
            egress(
                #"[{"namespaces":{}},{"domainNames":["a.test"]}]"#, protocols: #"[{"destinationNamedPort":"http"}]"#),
            "spec.egress[0].to[1]", "only pods have named ports"
        ),
    ]

    @Test("it is an error in a directory, and closed where a server lets it pass", arguments: rules.indices)
    func parts(_ number: Int) throws {
        let (fields, field, reason) = Self.rules[number]
        let spec = #"{"tier":"Admin","priority":1,"subject":{"namespaces":{}},\#(fields)}"#
        try expectRefused(spec, field, reason)
        let received = try Self.received(spec)
        let told = try #require(received.diagnostics.first)
        #expect(received.object != nil && told.isClosing && told.fieldPath == field)
        #expect(told.message.hasPrefix(reason), "\(told.message)")
        guard case .clusterNetworkPolicy(let policy)? = received.object else { throw WrongKind() }
        for rule in policy.ingress + policy.egress where rule.action == .accept {
            #expect(rule.peers == [.unreadable], "\(fields): nothing is accepted")
        }
        #expect(!(policy.ingress + policy.egress).contains { $0.action == .pass })
    }

    @Test(
        "what says whom a policy is about, or when it is asked, is an error wherever it comes from",
        arguments: [
            (
                #"{"tier":"admin","priority":1,"subject":{"namespaces":{}}}"#, "spec.tier",
                #"expected Admin or Baseline, got "admin""#
            ),
            (
                #"{"tier":"Admin","priority":-1,"subject":{"namespaces":{}}}"#, "spec.priority",
                "expected an integer from 0 to 1000, got -1"
            ),
            (
                #"{"tier":"Admin","priority":"1","subject":{"namespaces":{}}}"#, "spec.priority",
                #"expected an integer from 0 to 1000, got "1""#
            ),
            (#"{"tier":"Admin","subject":{"namespaces":{}}}"#, "spec.priority", "required"),
            (
                #"{"tier":"Admin","priority":1,"subject":{"namespaces":{},"pods":{"podSelector":{}}}}"#,
                "spec.subject", "expected exactly one of namespaces, pods"
            ),
        ])
    func wholes(spec: String, field: String, reason: String) throws {
        try expectRefused(spec, field, reason)
        let received = try Self.received(spec)
        #expect(received.object == nil && received.diagnostics.map(\.fieldPath) == [field])
    }

    @Test("the most that it takes is taken")
    func limits() throws {
        let rule = #"{"action":"Deny","from":\#(Self.list(#"{"namespaces":{}}"#, 25))}"#
        let networks = Self.list(#""10.0.#.0/24""#, 25)
        let fields = #""ingress":\#(Self.list(rule, 25)),\#(Self.egress(#"[{"networks":\#(networks)}]"#))"#
        let spec = #"{"tier":"Baseline","priority":1000,"subject":{"pods":{"podSelector":{}}},\#(fields)}"#
        let received = try Self.received(spec)
        #expect(received.object != nil && received.diagnostics.isEmpty)
        guard case .clusterNetworkPolicy(let policy)? = received.object else { throw WrongKind() }
        #expect(policy.ingress.count == 25 && policy.ingress.allSatisfy { $0.peers.count == 25 })
    }

    private func expectRefused(_ spec: String, _ field: String, _ reason: String) throws {
        let head = "apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: guard}"
        let result = manifest("{\(head), spec: \(spec)}")
        let told = try #require(result.diagnostics.first)
        #expect(result.objects.isEmpty && told.problem == .invalidObject)
        #expect(told.key?.description == "ClusterNetworkPolicy guard")
        #expect(told.fieldPath == field && told.message == reason, "\(told.fieldPath ?? ""): \(told.message)")
    }

    private static func received(_ spec: String) throws -> ReceivedObject {
        let text = #"{"metadata":{"name":"guard","resourceVersion":"9"},"spec":\#(spec)}"#
        return try #require(try ReceivedObject(item: Array(text.utf8), kind: .clusterNetworkPolicy))
    }
}
