import Kubernetes
import Testing

@Suite("Errors of objects")
struct DecodingErrorTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let kind: String
        let body: String
        let error: String
        var testDescription: String { "\(kind) {\(body)}" }

        init(_ kind: String, _ body: String, _ error: String) {
            (self.kind, self.body, self.error) = (kind, body, error)
        }
    }

    static let versions = [
        "Service": "v1", "Pod": "v1", "Node": "v1", "Namespace": "v1", "EndpointSlice": "discovery.k8s.io/v1",
        "NetworkPolicy": "networking.k8s.io/v1",
    ]

    static let operators = "In, NotIn, Exists or DoesNotExist"
    static let port = "expected an integer from 1 to 65535"
    static let target = "expected an integer from 1 to 65535 or a port name"

    static let services = [
        Case("Service", "spec: []", "spec: expected an object, got a list"),
        Case(
            "Service", "spec: {type: Public}",
            #"spec.type: expected ClusterIP, NodePort, LoadBalancer or ExternalName, got "Public""#),
        Case(
            "Service", "spec: {clusterIP: 10.96.0}", #"spec.clusterIP: expected an IP address or None, got "10.96.0""#),
        Case(
            "Service", "spec: {clusterIPs: [10.96.0.1, 1]}", "spec.clusterIPs[1]: expected an IP address or None, got 1"
        ),
        Case("Service", "spec: {ports: {port: 80}}", "spec.ports: expected a list, got an object"),
        Case("Service", "spec: {ports: [80]}", "spec.ports[0]: expected an object, got 80"),
        Case("Service", "spec: {ports: [{}]}", "spec.ports[0].port: required"),
        Case("Service", "spec: {ports: [{port: http}]}", #"spec.ports[0].port: \#(port), got "http""#),
        Case("Service", "spec: {ports: [{port: '80'}]}", #"spec.ports[0].port: \#(port), got "80""#),
        Case("Service", "spec: {ports: [{port: 80.5}]}", "spec.ports[0].port: \(port), got 80.5"),
        Case("Service", "spec: {ports: [{port: 0}]}", "spec.ports[0].port: \(port), got 0"),
        Case("Service", "spec: {ports: [{port: 65536}]}", "spec.ports[0].port: \(port), got 65536"),
        Case("Service", "spec: {ports: [{port: -1}]}", "spec.ports[0].port: \(port), got -1"),
        Case(
            "Service", "spec: {ports: [{port: 99999999999999999999}]}",
            "spec.ports[0].port: \(port), got 99999999999999999999"),
        Case("Service", "spec: {ports: [{port: yes}]}", "spec.ports[0].port: \(port), got the boolean true"),
        Case(
            "Service", "spec: {ports: [{port: 80, protocol: tcp}]}",
            #"spec.ports[0].protocol: expected TCP, UDP or SCTP, got "tcp""#),
        Case(
            "Service", "spec: {ports: [{port: 80, targetPort: '8080'}]}",
            #"spec.ports[0].targetPort: \#(target), got "8080" (remove the quotes)"#),
        Case(
            "Service", "spec: {ports: [{port: 80, targetPort: Http}]}",
            #"spec.ports[0].targetPort: \#(target), got "Http""#),
        Case(
            "Service", "spec: {ports: [{port: 80, targetPort: 70000}]}",
            "spec.ports[0].targetPort: \(target), got 70000"),
        Case(
            "Service", "spec: {ports: [{port: 80, targetPort: []}]}",
            "spec.ports[0].targetPort: \(target), got a list"),
        Case("Service", "spec: {ports: [{port: 80, nodePort: 70000}]}", "spec.ports[0].nodePort: \(port), got 70000"),
        Case(
            "Service", "spec: {ports: [{port: 80, name: a}, {port: 81}]}",
            "spec.ports[1].name: required when there is more than one port"),
        Case(
            "Service", "spec: {ports: [{port: 80, name: a}, {port: 81, name: a}]}",
            #"spec.ports[1].name: "a" is there twice"#),
        Case(
            "Service", "spec: {ports: [{port: 80, name: a}, {port: 80, name: b}]}",
            "spec.ports[1]: TCP 80 is there twice"),
        Case("Service", "spec: {externalIPs: [node]}", #"spec.externalIPs[0]: expected an IP address, got "node""#),
        Case(
            "Service", "spec: {sessionAffinity: Cookie}",
            #"spec.sessionAffinity: expected None or ClientIP, got "Cookie""#),
        Case(
            "Service", "spec: {sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}}",
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: expected an integer from 1 to 86400, got 0"),
        Case(
            "Service", "spec: {externalTrafficPolicy: Near}",
            #"spec.externalTrafficPolicy: expected Cluster or Local, got "Near""#),
        Case("Service", "spec: {healthCheckNodePort: x}", #"spec.healthCheckNodePort: \#(port), got "x""#),
        Case(
            "Service", "spec: {publishNotReadyAddresses: 'true'}",
            #"spec.publishNotReadyAddresses: expected true or false, got "true""#),
        Case("Service", "spec: {ipFamilies: [IPv5]}", #"spec.ipFamilies[0]: expected IPv4 or IPv6, got "IPv5""#),
        Case(
            "Service", "spec: {selector: {app: true}}",
            #"spec.selector["app"]: expected a string, got the boolean true (put it in quotes)"#),
        Case(
            "Service", "spec: {loadBalancerSourceRanges: [10.0.0.0]}",
            #"spec.loadBalancerSourceRanges[0]: expected a range of the form ADDRESS/LENGTH, got "10.0.0.0""#),
        Case(
            "Service", "status: {loadBalancer: {ingress: [{ip: x}]}}",
            #"status.loadBalancer.ingress[0].ip: expected an IP address, got "x""#),
        Case(
            "Service", "status: {loadBalancer: {ingress: [{ipMode: NAT}]}}",
            #"status.loadBalancer.ingress[0].ipMode: expected VIP or Proxy, got "NAT""#),
    ]

    static let others = [
        Case(
            "Node", "spec: {podCIDRs: [10.0.0.0/33]}",
            #"spec.podCIDRs[0]: expected a range of the form ADDRESS/LENGTH, got "10.0.0.0/33""#),
        Case(
            "Node", "status: {addresses: [{type: InternalIP, address: node-a}]}",
            #"status.addresses[0].address: expected an IP address, got "node-a""#),
        Case(
            "Pod", "status: {podIPs: [{ip: 10.0.0.256}]}",
            #"status.podIPs[0].ip: expected an IP address, got "10.0.0.256""#),
        Case(
            "Pod", "status: {phase: Gone}",
            #"status.phase: expected Pending, Running, Succeeded, Failed or Unknown, got "Gone""#),
        Case("Pod", "spec: {nodeName: 7}", "spec.nodeName: expected a string, got 7 (put it in quotes)"),
        Case(
            "Pod", "spec: {containers: [{}, {ports: [{containerPort: x}]}]}",
            #"spec.containers[1].ports[0].containerPort: \#(port), got "x""#),
        Case("EndpointSlice", "endpoints: []", "addressType: required"),
        Case("EndpointSlice", "addressType: IPX", #"addressType: expected IPv4, IPv6 or FQDN, got "IPX""#),
        Case("EndpointSlice", "addressType: IPv4, endpoints: [{}]", "endpoints[0].addresses: required"),
        Case(
            "EndpointSlice", "addressType: IPv4, endpoints: [{addresses: ['fd00::1']}]",
            #"endpoints[0].addresses[0]: expected an IPv4 address, got "fd00::1""#),
        Case(
            "EndpointSlice", "addressType: IPv6, endpoints: [{addresses: [10.0.0.1]}]",
            #"endpoints[0].addresses[0]: expected an IPv6 address, got "10.0.0.1""#),
        Case(
            "EndpointSlice", "addressType: IPv4, endpoints: [{addresses: [10.0.0.1], conditions: {ready: 1}}]",
            "endpoints[0].conditions.ready: expected true or false, got 1"),
        Case(
            "EndpointSlice", "addressType: IPv4, endpoints: [{addresses: [10.0.0.1], hints: {forZones: [north]}}]",
            #"endpoints[0].hints.forZones[0]: expected an object, got "north""#),
        Case("EndpointSlice", "addressType: IPv4, ports: [{port: 0}]", "ports[0].port: \(port), got 0"),
    ]

    static let policies = [
        Case("NetworkPolicy", "spec: {podSelectr: {matchLabels: {app: web}}}", "spec.podSelectr: is not known"),
        Case("NetworkPolicy", "spec: {podSelector: {}, egres: null}", "spec.egres: is not known"),
        Case(
            "NetworkPolicy", "spec: {podSelector: {matchLabel: {app: web}}}",
            "spec.podSelector.matchLabel: is not known"),
        Case(
            "NetworkPolicy", "spec: {podSelector: {matchExpressions: [{key: a, operator: Exists, value: [b]}]}}",
            "spec.podSelector.matchExpressions[0].value: is not known"),
        Case("NetworkPolicy", "spec: {ingress: [{}, {form: []}]}", "spec.ingress[1].form: is not known"),
        Case("NetworkPolicy", "spec: {ingress: [{to: []}]}", "spec.ingress[0].to: is not known"),
        Case("NetworkPolicy", "spec: {egress: [{from: []}]}", "spec.egress[0].from: is not known"),
        Case(
            "NetworkPolicy", "spec: {ingress: [{from: [{podSelector: {}, nameSpaceSelector: {}}]}]}",
            "spec.ingress[0].from[0].nameSpaceSelector: is not known"),
        Case(
            "NetworkPolicy", "spec: {egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, exept: [10.0.0.0/8]}}]}]}",
            "spec.egress[0].to[0].ipBlock.exept: is not known"),
        Case(
            "NetworkPolicy", "spec: {ingress: [{ports: [{protocol: TCP, prt: 80}]}]}",
            "spec.ingress[0].ports[0].prt: is not known"),
        Case(
            "NetworkPolicy", "spec: {policyTypes: [ingress]}",
            #"spec.policyTypes[0]: expected Ingress or Egress, got "ingress""#),
        Case(
            "NetworkPolicy", "spec: {ingress: [{from: [{}]}]}",
            "spec.ingress[0].from[0]: expected podSelector, namespaceSelector or ipBlock"),
        Case("NetworkPolicy", "spec: {egress: [{to: [null]}]}", "spec.egress[0].to[0]: expected an object, got null"),
        Case(
            "NetworkPolicy", "spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}",
            "spec.ingress[0].from[0]: ipBlock excludes podSelector and namespaceSelector"),
        Case("NetworkPolicy", "spec: {egress: [{to: [{ipBlock: {}}]}]}", "spec.egress[0].to[0].ipBlock.cidr: required"),
        Case(
            "NetworkPolicy", "spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}}]}]}",
            #"spec.egress[0].to[0].ipBlock.except[0]: expected a range inside 10.0.0.0/8, got "11.0.0.0/8""#),
        Case(
            "NetworkPolicy", "spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}",
            #"spec.egress[0].to[0].ipBlock.except[0]: expected a range strictly smaller than its cidr 10.0.0.0/8, got "10.0.0.0/8""#
        ),
        Case(
            "NetworkPolicy", "spec: {ingress: [{ports: [{port: '80'}]}]}",
            #"spec.ingress[0].ports[0].port: \#(target), got "80" (remove the quotes)"#),
        Case(
            "NetworkPolicy", "spec: {ingress: [{ports: [{port: http, endPort: 90}]}]}",
            "spec.ingress[0].ports[0].endPort: needs a port that is a number"),
        Case(
            "NetworkPolicy", "spec: {ingress: [{ports: [{endPort: 90}]}]}",
            "spec.ingress[0].ports[0].endPort: needs a port that is a number"),
        Case(
            "NetworkPolicy", "spec: {ingress: [{ports: [{port: 91, endPort: 90}]}]}",
            "spec.ingress[0].ports[0].endPort: expected an integer from 91 to 65535, got 90"),
        Case(
            "NetworkPolicy", "spec: {podSelector: {matchExpressions: [{operator: Exists}]}}",
            "spec.podSelector.matchExpressions[0].key: required"),
        Case(
            "NetworkPolicy", "spec: {podSelector: {matchExpressions: [{key: a, operator: Equals}]}}",
            #"spec.podSelector.matchExpressions[0].operator: expected \#(operators), got "Equals""#),
        Case(
            "NetworkPolicy", "spec: {podSelector: {matchExpressions: [{key: a, operator: In}]}}",
            "spec.podSelector.matchExpressions[0].values: operator In needs at least one value"),
        Case(
            "NetworkPolicy", "spec: {podSelector: {matchExpressions: [{key: a, operator: NotIn, values: []}]}}",
            "spec.podSelector.matchExpressions[0].values: operator NotIn needs at least one value"),
        Case(
            "NetworkPolicy", "spec: {podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}",
            "spec.podSelector.matchExpressions[0].values: operator Exists takes no values"),
        Case(
            "NetworkPolicy", "spec: {podSelector: {matchLabels: {example.com/tier: 1}}}",
            #"spec.podSelector.matchLabels["example.com/tier"]: expected a string, got 1 (put it in quotes)"#),
    ]

    @Test("an error names file, document, object and field", arguments: services + others + policies)
    func errors(_ wrong: Case) throws {
        let namespaced = wrong.kind != "Node" && wrong.kind != "Namespace"
        let version = try #require(Self.versions[wrong.kind])
        let text = """
            apiVersion: v1
            kind: Namespace
            metadata: {name: good}
            ---
            {apiVersion: \(version), kind: \(wrong.kind), metadata: {name: web, namespace: shop}, \(wrong.body)}
            """
        let manifest = manifest(text)
        let subject = "\(wrong.kind) \(namespaced ? "shop/" : "")web"
        #expect(manifest.diagnostics.map(\.description) == ["shop.yaml: document 2: \(subject): \(wrong.error)"])
        #expect(manifest.diagnostics.map(\.problem) == [.invalidObject])
        #expect(manifest.objects.map(\.key.name) == ["good"])
    }

    @Test(
        "all that is wrong with an object is told, and nothing that only follows from that",
        arguments: [
            (
                "spec: {podSelectr: {}, policyTypes: [ingress], ingres: []}",
                ["spec.podSelectr: is not known", "spec.ingres: is not known", "spec.policyTypes[0]: expected"]
            ),
            (
                "spec: {ingress: [{ports: [{port: 0, endPort: 90, protocol: tcp}]}], egress: [{to: [{}]}]}",
                [
                    "spec.ingress[0].ports[0].protocol: expected", "spec.ingress[0].ports[0].port: expected",
                    "spec.egress[0].to[0]: expected podSelector",
                ]
            ),
            (
                "spec: {ingress: [{from: [{podSelectr: {}}, {ipBlock: {cidr: x, except: [y]}}]}], egress: 1}",
                [
                    "spec.ingress[0].from[0].podSelectr: is not known",
                    "spec.ingress[0].from[1].ipBlock.cidr: expected",
                    "spec.egress: expected a list",
                ]
            ),
            (
                "spec: {ingress: [{from: [{}, 7, {podSelector: 7}]}, 7, {from: [{ipBlock: {}}, {}], ports: [{}, 7]}]}",
                [
                    "spec.ingress[0].from[0]: expected podSelector", "spec.ingress[0].from[1]: expected an object",
                    "spec.ingress[0].from[2].podSelector: expected an object", "spec.ingress[1]: expected an object",
                    "spec.ingress[2].from[0].ipBlock.cidr: required", "spec.ingress[2].from[1]: expected podSelector",
                    "spec.ingress[2].ports[1]: expected an object",
                ]
            ),
            (
                "spec: {podSelector: {matchExpressions: [{key: 1, operator: Is}]}, egress: [{too: []}, {tu: []}]}",
                [
                    "spec.podSelector.matchExpressions[0].key: expected",
                    "spec.podSelector.matchExpressions[0].operator: expected", "spec.egress[0].too: is not known",
                    "spec.egress[1].tu: is not known",
                ]
            ),
        ])
    func allErrors(body: String, errors: [String]) {
        let text =
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop}, \(body)}"
        let found = manifest(text).diagnostics
        #expect(found.allSatisfy { $0.problem == .invalidObject && $0.key?.name == "web" })
        let words = found.map { "\($0.fieldPath ?? ""): \($0.message)" }
        #expect(words.count == errors.count && zip(words, errors).allSatisfy { $0.hasPrefix($1) }, "\(words)")
    }

    private static let wrongClusterPolicy = """
        spec: {tier: admin, priority: -1, subject: {pods: {}}, ingress: [
          {action: deny, from: [{pods: {}}, {nodes: {}}, {namespaces: {matchExpressions: [{key: 1, operator: X}]}}]},
          {action: Deny, from: [], protocols: [{tcp: {destinationPort: {range: {start: 0, end: 0}}}}]}],
        egress: [{action: Pass, to: [{namespaces: []}, {domainNames: [a.test]}], protocols: [{destinationNamedPort: "80"}]}]}
        """

    @Test("of a ClusterNetworkPolicy, too, each wrong field is told")
    func allErrorsOfAClusterPolicy() {
        let head = "apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: guard}"
        let found = manifest("{\(head), \(Self.wrongClusterPolicy)}").diagnostics
        #expect(found.allSatisfy { $0.problem == .invalidObject && $0.key?.name == "guard" })
        #expect(
            found.map { $0.fieldPath ?? "" } == [
                "spec.tier", "spec.priority", "spec.ingress[0].action", "spec.ingress[0].from[0].pods.podSelector",
                "spec.ingress[0].from[1].nodes", "spec.ingress[0].from[2].namespaces.matchExpressions[0].key",
                "spec.ingress[0].from[2].namespaces.matchExpressions[0].operator",
                "spec.ingress[1].protocols[0].tcp.destinationPort.range.start",
                "spec.ingress[1].protocols[0].tcp.destinationPort.range.end", "spec.ingress[1].from",
                "spec.egress[0].protocols[0].destinationNamedPort", "spec.egress[0].to[0].namespaces",
                "spec.egress[0].to[1]", "spec.subject.pods.podSelector",
            ])
    }

    @Test("of an FQDNNetworkPolicy, too")
    func allErrorsOfAnFQDNPolicy() {
        let head = "apiVersion: networking.gke.io/v1alpha1, kind: FQDNNetworkPolicy, metadata: {namespace: shop}"
        let rules = "[{matches: [], ports: [{protocol: tcp}]}, {matches: [{name: a, pattern: b}, {nam: a}]}]"
        let found = manifest("{\(head), spec: {egress: \(rules)}}").diagnostics
        #expect(
            found.map { $0.fieldPath ?? "" } == [
                "metadata.name", "spec.podSelector", "spec.egress[0].matches", "spec.egress[0].ports[0].protocol",
                "spec.egress[1].matches[0]", "spec.egress[1].matches[1].nam",
            ])
    }

    @Test("a missing name is one error, whatever else is wrong")
    func missingNames() {
        let head = "apiVersion: networking.k8s.io/v1, kind: NetworkPolicy"
        let found = manifest("{\(head), metadata: {namespace: shop}, spec: {podSelectr: {}}}").diagnostics
        #expect(found.map { $0.fieldPath ?? "" } == ["metadata.name", "spec.podSelectr"])
        let alone = manifest("{\(head), metadata: {namespace: shop}, spec: {podSelector: {}}}").diagnostics
        #expect(alone.map(\.description) == ["shop.yaml: document 1: NetworkPolicy: metadata.name: required"])
    }

    @Test("an object with more errors than anybody reads names the first of them")
    func manyErrors() {
        let fields = (0..<100).map { "x\($0): 1" }.joined(separator: ", ")
        let text = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}, spec: {\(fields)}}"
        #expect(manifest(text).diagnostics.count == 16)
    }

    @Test(
        "an error of metadata or header says as much as is known",
        arguments: [
            ("{apiVersion: v1, kind: Pod}", "Pod: metadata.name: required"),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: ''}}",
                #"Pod: metadata.name: expected a string that is not empty, got """#
            ),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: 1}}",
                "Pod: metadata.name: expected a string, got 1 (put it in quotes)"
            ),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {ok: yes}}}",
                #"Pod default/a: metadata.labels["ok"]: expected a string, got the boolean true (put it in quotes)"#
            ),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {n: 1}}}",
                #"Pod default/a: metadata.labels["n"]: expected a string, got 1 (put it in quotes)"#
            ),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: [x]}}",
                "Pod default/a: metadata.labels: expected an object, got a list"
            ),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: a, ownerReferences: [{kind: X}]}}",
                "Pod default/a: metadata.ownerReferences[0].name: required"
            ),
            ("{kind: Pod, metadata: {name: a}}", "Pod: apiVersion: required"),
            ("{apiVersion: v1, metadata: {name: a}}", "kind: required"),
            ("{apiVersion: v1, kind: [Pod]}", "kind: expected a string, got a list"),
            (
                "{apiVersion: v1, kind: NetworkPolicy, metadata: {name: a}}",
                #"NetworkPolicy default/a: apiVersion: expected networking.k8s.io/v1, got "v1""#
            ),
            (
                "{apiVersion: discovery.k8s.io/v1beta1, kind: EndpointSlice, metadata: {name: a}}",
                #"EndpointSlice default/a: apiVersion: expected discovery.k8s.io/v1, got "discovery.k8s.io/v1beta1""#
            ),
        ])
    func headers(text: String, error: String) {
        #expect(manifest(text).diagnostics.map(\.description) == ["shop.yaml: document 1: \(error)"])
    }
}
