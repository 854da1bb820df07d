internal import Addressing
internal import DomainNames
internal import NetworkPolicy
import Testing

@Suite("Policies with domain names")
struct NameSemanticsTests {
    private static let resolver = PolicyPod(
        key: PodKey(namespace: "kube-system", name: "dns-0"), labels: ["k8s-app": "kube-dns"],
        addresses: Shop.addresses("10.0.2.2"), node: "n2")
    private static let impostor = PolicyPod(
        key: PodKey(namespace: "ops", name: "dns-0"), labels: ["k8s-app": "kube-dns"],
        addresses: Shop.addresses("10.0.2.3"), node: "n2")
    private static let objects: [PolicyInput] =
        Shop.objects + [
            .namespace("kube-system", labels: ["kubernetes.io/metadata.name": "kube-system"]), .pod(resolver),
            .pod(impostor),
        ]

    private static func fqdn(_ rules: FQDNPolicyRule..., name: String = "names") -> PolicyInput {
        .fqdnPolicy(
            FQDNPolicyObject(
                namespace: "shop", name: name, podSelector: Shop.labels(["app": "web"]), egress: rules))
    }

    private static func patterns(_ texts: String...) throws -> [DomainPattern] {
        try texts.map { try DomainPattern(fqdnPattern: $0) }
    }

    /// Whether `shop/web` reaches an address, by the tables and by the oracle, which have to agree.
    private func isAllowed(
        _ inputs: [PolicyInput], _ peer: String, _ names: Set<String>, _ port: Port, _ ipProtocol: IPProtocol = .tcp
    ) throws -> Bool {
        var compiler = PolicyCompiler(node: Shop.node)
        var oracle = PolicyOracle(node: Shop.node)
        var bits: [RuleOrigin: Bool] = [:]
        for input in Self.objects + inputs { oracle.apply(input) }
        _ = compiler.apply(Self.objects + inputs)
        let query = PolicyQuery(
            endpoint: Shop.web.key, direction: .egress, peer: try #require(IPAddress(peer)), ipProtocol: ipProtocol,
            port: port, peerNames: names)
        let explanation = oracle.explain(query)
        // The rules that the names admit, straight from the compiled policy.
        let policy = try #require(compiler.endpoint(Shop.web.key).flatMap { compiler.policy($0.egress) })
        let automaton = DomainAutomaton(compiling: policy.domains.map(\.pattern))
        for pattern in names.flatMap(automaton.patterns(matching:)) {
            for entry in policy.domains where entry.pattern == pattern {
                for rule in entry.bits.rules { bits[policy.rules[rule].origin] = true }
            }
        }
        for step in explanation.considered
        where step.peers.contains(where: { if case .domains = $0 { true } else { false } }
        ) {
            #expect(bits[step.origin] ?? false == step.admitsPeer, "\(query): \(step.origin)")
        }
        return explanation.isAllowed
    }

    @Test("A name admits the address that it was learned for, on the rule's ports, and nothing else does")
    func names() throws {
        let policy = Self.fqdn(
            FQDNPolicyRule(matches: try Self.patterns("*.cdn.example"), ports: [PortRule(.tcp, .number(443))]),
            FQDNPolicyRule(matches: try Self.patterns("time.example"), ports: [PortRule(.udp)]))
        #expect(try isAllowed([policy], "203.0.113.1", ["a.cdn.example"], 443))
        #expect(try !isAllowed([policy], "203.0.113.1", ["a.cdn.example"], 80))
        #expect(try !isAllowed([policy], "203.0.113.1", ["a.b.cdn.example", "cdn.example"], 443))
        #expect(try !isAllowed([policy], "203.0.113.1", [], 443))
        #expect(try isAllowed([policy], "203.0.113.1", ["other.example", "time.example"], 123, .udp))
        #expect(try !isAllowed([policy], "203.0.113.1", ["time.example"], 123, .tcp))
        let anything = Self.fqdn(FQDNPolicyRule(matches: try Self.patterns("*")))
        #expect(try isAllowed([anything], "203.0.113.1", ["a.b.c"], 1, .sctp))
        #expect(try !isAllowed([anything], "203.0.113.1", [], 443), "an address that was never an answer")
    }

    @Test("Every such policy allows DNS to the cluster's resolvers, and to no pod that only looks like one")
    func dns() throws {
        let policy = Self.fqdn(FQDNPolicyRule(matches: try Self.patterns("a.example")))
        for resolver in ["10.0.2.2", "169.254.20.10", "169.254.169.254"] {
            #expect(try isAllowed([policy], resolver, [], 53, .udp) && isAllowed([policy], resolver, [], 53, .tcp))
            #expect(try !isAllowed([policy], resolver, [], 54, .udp))
        }
        #expect(try !isAllowed([policy], "10.0.2.3", [], 53, .udp))
        #expect(try !isAllowed([policy], "8.8.8.8", [], 53, .udp))
    }

    private static func hostResolver(
        _ addresses: [IPAddress], namespace: String = "kube-system", app: String = "kube-dns",
        isTerminated: Bool = false
    ) -> PolicyInput {
        .pod(
            PolicyPod(
                key: PodKey(namespace: namespace, name: "dns-host"), labels: ["k8s-app": app], addresses: addresses,
                node: "n2", isHostNetwork: true, isTerminated: isTerminated))
    }

    @Test(
        "It allows DNS to resolvers on their node's network, of their addresses nothing else, and to no other such pod")
    func dnsOnHosts() throws {
        let policy = Self.fqdn(FQDNPolicyRule(matches: try Self.patterns("a.example")))
        let (node, other) = (Shop.addresses("192.168.0.2"), "192.168.0.3")
        let all = PolicyInput.policy(
            Shop.policy("plain", types: [.egress], egress: [PolicyRule(peers: [Shop.pods(.everything)])]))
        for app in ["kube-dns", "node-local-dns"] {
            let inputs = [policy, all, Self.hostResolver(node, app: app)]
            for ipProtocol in [IPProtocol.udp, .tcp] {
                #expect(try isAllowed(inputs, "192.168.0.2", [], 53, ipProtocol), "\(app) \(ipProtocol)")
            }
            #expect(try !isAllowed(inputs, "192.168.0.2", [], 54, .udp))
            #expect(try !isAllowed(inputs, other, [], 53, .udp))
        }
        for stranger in [
            Self.hostResolver(node, namespace: "shop"), Self.hostResolver(node, app: "web"),
            Self.hostResolver(node, isTerminated: true), Self.hostResolver([]),
        ] { #expect(try !isAllowed([policy, stranger], "192.168.0.2", [], 53, .udp), "\(stranger)") }
    }

    @Test("A resolver on its node's network that moves or goes takes its node's address along")
    func movingResolver() throws {
        var (compiler, model) = (PolicyCompiler(node: Shop.node), KernelModel())
        func asks(_ inputs: [PolicyInput]) throws -> [String] {
            for edit in compiler.apply(inputs) { #expect(model.apply(edit) == nil) }
            return try ["192.168.0.2", "192.168.0.3"].filter { text in
                let query = PolicyQuery(
                    endpoint: Shop.web.key, direction: .egress, peer: try #require(IPAddress(text)), ipProtocol: .udp,
                    port: 53)
                return model.judge(query, addresses: Shop.web.addresses).isAllowed
            }
        }
        let (first, second) = (Shop.addresses("192.168.0.2"), Shop.addresses("192.168.0.3"))
        let policy = Self.fqdn(FQDNPolicyRule(matches: try Self.patterns("a.example")))
        #expect(try asks(Self.objects + [policy]) == [])
        #expect(try asks([Self.hostResolver(first)]) == ["192.168.0.2"])
        // Two on one node: the address stays when one of them goes.
        let cache = PolicyPod(
            key: PodKey(namespace: "kube-system", name: "cache"), labels: ["k8s-app": "node-local-dns"],
            addresses: first, node: "n2", isHostNetwork: true)
        #expect(try asks([.pod(cache)]) == ["192.168.0.2"])
        #expect(try asks([Self.hostResolver(second)]) == ["192.168.0.2", "192.168.0.3"])
        #expect(try asks([.podRemoved(cache.key)]) == ["192.168.0.3"])
        #expect(try asks([.podRemoved(PodKey(namespace: "kube-system", name: "dns-host"))]) == [])
        #expect(try asks([Self.hostResolver(second)]) == ["192.168.0.3"])
        #expect(try asks([.fqdnPolicyRemoved(namespace: "shop", name: "names")]) == ["192.168.0.2", "192.168.0.3"])
        #expect(try asks([policy]) == ["192.168.0.3"])
    }

    @Test("Rules of both kinds add up, and isolation is of egress alone")
    func together() throws {
        let names = Self.fqdn(FQDNPolicyRule(matches: try Self.patterns("a.example")))
        let block = PolicyRule(peers: [.block(try #require(CIDR("203.0.113.0/24")), except: [])])
        let plain = PolicyInput.policy(Shop.policy("plain", types: [.egress], egress: [block]))
        #expect(try isAllowed([names, plain], "203.0.113.1", [], 80))
        #expect(try isAllowed([names, plain], "198.51.100.1", ["a.example"], 80))
        #expect(try !isAllowed([names, plain], "198.51.100.1", ["b.example"], 80))
        var compiler = PolicyCompiler(node: Shop.node)
        _ = compiler.apply(Self.objects + [names])
        #expect(compiler.endpoint(Shop.web.key)?.ingress == PolicyID.none)
    }

    @Test("A policy of the administrators may accept names, and what denies comes first where it stands first")
    func administrators() throws {
        let domain = try DomainPattern(clusterDomain: "*.example.com")
        let block = PolicyPeer.block(try #require(CIDR("203.0.113.0/24")), except: [])
        func guarding(_ rules: ClusterPolicyRule...) -> PolicyInput {
            .clusterPolicy(ClusterPolicyObject(name: "guard", tier: .admin, priority: 1, egress: rules))
        }
        let accept = ClusterPolicyRule(action: .allow, peers: [.domains([domain])])
        let deny = ClusterPolicyRule(action: .deny, peers: [block])
        #expect(try isAllowed([guarding(accept, deny)], "203.0.113.1", ["a.b.example.com"], 80))
        #expect(try !isAllowed([guarding(accept, deny)], "203.0.113.1", ["example.com"], 80))
        #expect(try !isAllowed([guarding(deny, accept)], "203.0.113.1", ["a.b.example.com"], 80))
    }

    @Test("A rule none of whose names can be read admits nothing, and its policy isolates all the same")
    func unreadable() throws {
        let lost = FQDNPolicyRule(matches: [])
        let other = FQDNPolicyRule(matches: try Self.patterns("a.example"))
        #expect(try !isAllowed([Self.fqdn(lost)], "203.0.113.1", ["a.example"], 443))
        #expect(try isAllowed([Self.fqdn(lost, other)], "203.0.113.1", ["a.example"], 443))
    }
}
