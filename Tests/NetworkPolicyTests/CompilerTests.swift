internal import Addressing
internal import NetworkPolicy
import Testing

@Suite("Compiled policies and edits")
struct CompilerTests {
    private let backend = Shop.policy(
        "backend", select: Shop.labels(["app": "db"]),
        ingress: [
            PolicyRule(
                peers: [Shop.pods(Shop.labels(["app": "web"]))],
                ports: [PortRule(.tcp, .name("http")), PortRule(.tcp, .range(8080, 8090))]),
            PolicyRule(peers: [Shop.pods(in: Shop.labels(["env": "dev"]))]),
        ])

    private func compiler() -> PolicyCompiler {
        var compiler = PolicyCompiler(node: Shop.node)
        _ = compiler.apply(Shop.objects)
        return compiler
    }

    private func text(_ edits: [PolicyEdit]) -> String { edits.map { "\($0)\n" }.joined() }

    @Test("A policy becomes content, then pointers")
    func golden() {
        var compiler = compiler()
        #expect(
            text(compiler.apply(.policy(backend))) == """
                + policy 91757ce4 ingress, isolated by NetworkPolicy/shop/backend
                  0 allow NetworkPolicy/shop/backend/ingress/0: pods app=web in namespace shop; TCP 80, TCP 8080-8090
                  1 allow NetworkPolicy/shop/backend/ingress/1: pods {} in namespaces env=dev; every port
                + peers 91757ce4 47cf536d: 1
                + peers 91757ce4 5c202a6d: 0
                + class 10.0.0.2: 5c202a6d
                + class 10.0.1.2: 47cf536d
                + class 10.0.1.3: 47cf536d
                + class fd00::2: 5c202a6d
                + class fd00::1:2: 47cf536d
                + class fd00::1:3: 47cf536d
                + endpoint shop/db: ingress 91757ce4, egress none

                """)
    }

    @Test("A rule's name belongs to what a policy id stands for, and decides nothing")
    func ruleNames() throws {
        func object(_ name: String?) -> PolicyInput {
            let rule = ClusterPolicyRule(name: name, action: .deny, peers: [Shop.pods(in: .everything)])
            return .clusterPolicy(ClusterPolicyObject(name: "guard", tier: .admin, priority: 1, ingress: [rule]))
        }
        let names = [nil, "allow-monitoring", "a/b"]
        let policies = try names.map { name -> CompiledPolicy in
            var compiler = compiler()
            _ = compiler.apply(object(name))
            let id = try #require(compiler.endpoint(Shop.db.key)).ingress
            return try #require(compiler.policy(id))
        }
        #expect(Set(policies.map(\.id)).count == names.count)
        #expect(Set(policies.map(\.pages)).count == 1)
        #expect(policies.map { $0.rules.first?.origin.ruleName } == names)
        #expect(policies[1].rules.first?.origin.description == "ClusterNetworkPolicy/guard/ingress/0/allow-monitoring")
    }

    @Test("A changed rule is new content, a switch and a removal, and no class is left behind")
    func changedRule() throws {
        var compiler = compiler()
        _ = compiler.apply(.policy(backend))
        var changed = backend
        changed.ingress[1] = PolicyRule(peers: [try Shop.block("10.0.1.0/24", except: "10.0.1.2/32")])
        #expect(
            text(compiler.apply(.policy(changed))) == """
                + policy 14df6e15 ingress, isolated by NetworkPolicy/shop/backend
                  0 allow NetworkPolicy/shop/backend/ingress/0: pods app=web in namespace shop; TCP 80, TCP 8080-8090
                  1 allow NetworkPolicy/shop/backend/ingress/1: block 10.0.1.0/24 except 10.0.1.2/32; every port
                + peers 14df6e15 16f5eb02: 1
                + peers 14df6e15 5c202a6d: 0
                + peers 14df6e15 729eb725: 1
                + peers 91757ce4 16f5eb02: 1
                + class 10.0.1.3: 16f5eb02
                + prefix 10.0.1.0/24: 729eb725
                + prefix 10.0.1.2/32: 00000000
                + endpoint shop/db: ingress 14df6e15, egress none
                - peers 91757ce4 16f5eb02
                - peers 91757ce4 47cf536d
                - peers 91757ce4 5c202a6d
                - policy 91757ce4
                - class 10.0.1.2
                - class 10.0.1.3
                - class fd00::1:2
                - class fd00::1:3
                - peers 14df6e15 16f5eb02

                """)
    }

    @Test("Objects that say nothing about this node cause no edit")
    func irrelevantChanges() {
        var compiler = compiler()
        _ = compiler.apply(.policy(backend))
        var elsewhere = backend
        elsewhere.namespace = "ops"
        #expect(compiler.apply(.policy(elsewhere)) == [])
        let stranger = PolicyPod(
            key: PodKey(namespace: "far", name: "x"), addresses: Shop.addresses("10.9.9.9"), node: "n2")
        #expect(compiler.apply(.pod(stranger)) == [])
        #expect(compiler.apply(.node("n3", addresses: Shop.addresses("192.168.0.3"))) == [])
        #expect(compiler.apply(.pod(Shop.web)) == [])
        #expect(compiler.apply(.policy(backend)) == [])
    }

    @Test("A label change of a peer switches its addresses and nothing else")
    func labelChange() {
        var compiler = compiler()
        _ = compiler.apply(.policy(backend))
        var pod = Shop.web
        pod.labels["app"] = "other"
        let edits = compiler.apply(.pod(pod))
        let pointers = edits.filter { if case .removeClass = $0 { true } else { false } }
        #expect(pointers.count == 2)
        #expect(edits.count <= 4, "\(text(edits))")
    }

    @Test("Everything goes when the objects go")
    func nothingIsLeft() {
        var compiler = compiler()
        _ = compiler.apply(.policy(backend))
        _ = compiler.apply(.policyRemoved(namespace: "shop", name: "backend"))
        _ = compiler.apply([.podRemoved(Shop.web.key), .podRemoved(Shop.db.key)])
        _ = compiler.apply([.nodeRemoved("n1"), .localAddresses([])])
        #expect(compiler.everything() == [])
    }

    @Test("Pods with equal lists share a policy, and named ports tell them apart")
    func sharing() {
        var compiler = compiler()
        _ = compiler.apply(.policy(Shop.policy(ingress: [PolicyRule(ports: [PortRule(.tcp, .number(80))])])))
        #expect(compiler.endpoint(Shop.web.key)?.ingress == compiler.endpoint(Shop.db.key)?.ingress)
        #expect(compiler.endpoint(Shop.web.key)?.egress == PolicyID.none)
        _ = compiler.apply(.policy(Shop.policy(ingress: [PolicyRule(ports: [PortRule(.tcp, .name("http"))])])))
        #expect(compiler.endpoint(Shop.web.key)?.ingress != compiler.endpoint(Shop.db.key)?.ingress)
    }

    @Test("A list longer than can be programmed fails closed, says so, and recovers")
    func overflow() {
        var compiler = compiler()
        let rules = (0..<16_385).map { PolicyRule(ports: [PortRule(.tcp, .number($0 % 1000 + 1))]) }
        let long = Shop.policy("long", select: Shop.labels(["app": "db"]), ingress: rules)
        _ = compiler.apply([.policy(long), .policy(Shop.policy("open", ingress: [PolicyRule()]))])
        let id = compiler.endpoint(Shop.db.key)?.ingress ?? .none
        #expect(compiler.policy(id)?.rules == [])
        #expect(compiler.policy(id)?.isolatedBy.map(\.description) == ["NetworkPolicy/shop/long"])
        #expect(
            compiler.problems.map(\.description) == [
                "NetworkPolicy/shop/long: spec.ingress: pod shop/db has more than 16384 rules with this policy"
            ])
        let other = compiler.endpoint(Shop.web.key)?.ingress ?? .none
        #expect(compiler.policy(other)?.rules.count == 1)
        _ = compiler.apply(.policyRemoved(namespace: "shop", name: "long"))
        #expect(compiler.problems == [])
        #expect(compiler.endpoint(Shop.db.key)?.ingress == other)
    }

    @Test("What the reader of an object has found is told, and decides nothing")
    func problems() {
        var object = Shop.policy("half", select: Shop.labels(["app": "db"]), ingress: [PolicyRule()])
        var compiler = compiler()
        _ = compiler.apply(.policy(object))
        let judged = compiler.endpoint(Shop.db.key)
        object.invalidFields = [InvalidField(field: "spec.egress[0].to[0]", message: "is not known")]
        #expect(compiler.apply(.policy(object)) == [])
        #expect(compiler.endpoint(Shop.db.key) == judged)
        #expect(compiler.problems.map(\.description) == ["NetworkPolicy/shop/half: spec.egress[0].to[0]: is not known"])
    }

    @Test("Port entries hold the bits of the shorter prefixes that cover them")
    func accumulatedPorts() throws {
        var compiler = compiler()
        let rules: [[PortRule]] = [[PortRule(.tcp)], [PortRule(.tcp, .range(80, 83))], [PortRule(.tcp, .number(81))]]
        _ = compiler.apply(.policy(Shop.policy(ingress: rules.map { PolicyRule(ports: $0) })))
        let endpoint = try #require(compiler.endpoint(Shop.db.key))
        let policy = try #require(compiler.policy(endpoint.ingress))
        func bits(_ page: PageBits) -> [Int] { (0..<PageBits.width).filter { page[$0] } }
        let entries = policy.pages[0].ports.map { "\($0.ports): \(RuleBits(bits($0.bits)))" }
        #expect(entries == ["TCP: 0", "TCP 80-83: 0 1", "TCP 81: 0 1 2"])
    }
}
