import Addressing
import Kubernetes
import Testing

@Suite("Decoding of FQDNNetworkPolicies")
struct FQDNPolicyDecodingTests {
    private static let head =
        "apiVersion: networking.gke.io/v1alpha1, kind: FQDNNetworkPolicy, metadata: {name: web, namespace: shop}"
    private static let subject = "podSelector: {matchLabels: {app: web}}"
    private static let rule = "{matches: [{name: example.com}]}"

    private func policy(_ spec: String) throws -> FQDNNetworkPolicy {
        guard case .fqdnNetworkPolicy(let policy) = try onlyObject("{\(Self.head), spec: {\(spec)}}") else {
            throw WrongKind()
        }
        return policy
    }

    @Test("a policy selects pods and allows names and patterns on ports")
    func whole() throws {
        let policy = try policy(
            """
            \(Self.subject), egress: [
            {matches: [{name: Example.com.}, {pattern: '*.cdn.example'}],
            ports: [{port: 443}, {protocol: TCP}, {port: 53, protocol: UDP}, {protocol: ALL}, {}]},
            {matches: [{pattern: '*'}]}]
            """)
        #expect(policy.meta.namespace == "shop" && policy.podSelector == LabelSelector(matchLabels: ["app": "web"]))
        #expect(policy.egress.map(\.matches) == [[.name("Example.com."), .pattern("*.cdn.example")], [.pattern("*")]])
        #expect(
            policy.egress[0].ports == [
                FQDNNetworkPolicyPort(port: 443), FQDNNetworkPolicyPort(protocol: .tcp),
                FQDNNetworkPolicyPort(protocol: .udp, port: 53), FQDNNetworkPolicyPort(), FQDNNetworkPolicyPort(),
            ])
        #expect(policy.egress[1].ports == nil)
    }

    @Test(
        "what the API would refuse is an error that names the field",
        arguments: [
            ("egress: [\(rule)]", "spec.podSelector: required"),
            (subject, "spec.egress: needs at least one entry"),
            ("\(subject), egress: []", "spec.egress: needs at least one entry"),
            ("\(subject), egres: [\(rule)]", "spec.egres: is not known"),
            ("\(subject), egress: [{ports: []}]", "spec.egress[0].matches: needs at least one entry"),
            ("\(subject), egress: [\(rule), {matches: [], to: []}]", "spec.egress[1].to: is not known"),
            (
                "\(subject), egress: [{matches: [{name: a.example, pattern: b.example}]}]",
                "spec.egress[0].matches[0]: expected exactly one of name, pattern"
            ),
            ("\(subject), egress: [{matches: [{names: [a]}]}]", "spec.egress[0].matches[0].names: is not known"),
            (
                "\(subject), egress: [{matches: [{name: a.example}], ports: [{protocol: SCTP}]}]",
                #"spec.egress[0].ports[0].protocol: expected TCP, UDP or ALL, got "SCTP""#
            ),
            (
                "\(subject), egress: [{matches: [{name: a.example}], ports: [{port: http}]}]",
                #"spec.egress[0].ports[0].port: expected an integer from 1 to 65535, got "http""#
            ),
        ])
    func errors(spec: String, error: String) throws {
        let result = manifest("{\(Self.head), spec: {\(spec)}}")
        #expect(result.objects.isEmpty)
        let diagnostic = try #require(result.diagnostics.first)
        #expect(diagnostic.problem == .invalidObject || diagnostic.problem == .unknownField)
        #expect(diagnostic.key?.description == "FQDNNetworkPolicy shop/web")
        #expect("\(diagnostic.fieldPath ?? ""): \(diagnostic.message)" == error)
    }
}
