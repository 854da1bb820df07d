import AgentAPI
import Testing

@testable import ApusCLI

@Suite struct `apus policy get` {
    private static let rule = PolicyDetails.Rule(
        rule: "ingress[0]", action: "allow", peers: "pods app=front in namespace shop", ports: "TCP 8080")

    private static func cart(_ ingress: String? = "00c0ffee", problems: [String] = []) -> PolicyDetails.Object {
        PolicyDetails.Object(
            policy: "NetworkPolicy shop/cart", tier: .networkPolicy, subject: "pods app=cart in namespace shop",
            isolates: ["ingress"], directions: ["ingress"], rules: [rule], problems: problems,
            endpoints: [PolicyDetails.Endpoint(pod: "shop/cart-0", ingress: ingress)])
    }

    private func get(_ details: PolicyDetails, _ arguments: String..., datapath: Bool = true) async throws -> Outcome {
        var outcome: Outcome?
        try await withAgent(FakeAgent(details: details)) { socket in
            outcome = await run(
                arguments: ["policy", "get"] + arguments, datapath: datapath ? FakeDatapath() : nil, socket: socket)
        }
        return try #require(outcome)
    }

    @Test func `an object with its rules, its pods, and what became of it`() async throws {
        let outcome = try await get(PolicyDetails(objects: [Self.cart()]), "shop/cart")
        #expect(
            outcome.output == """
                NetworkPolicy shop/cart
                  tier:         network-policy
                  selects:      pods app=cart in namespace shop
                  isolates:     ingress
                  endpoints:    shop/cart-0
                  compiled to:  00c0ffee
                  in force:     yes
                  RULE        ACTION  PEERS                             PORTS
                  ingress[0]  allow   pods app=front in namespace shop  TCP 8080

                """)
        #expect(outcome.code == 0 && outcome.notes.isEmpty)
    }

    @Test func `a cluster policy with a priority, named rules and no pods here`() async throws {
        let rule = PolicyDetails.Rule(
            rule: "egress[0]", ruleName: "keep \"out\"", action: "deny", peers: "every peer", ports: "every port")
        let guarded = PolicyDetails.Object(
            policy: "ClusterNetworkPolicy guard", tier: .admin, priority: 5, subject: "pods {} in namespaces {}",
            directions: ["egress"], rules: [rule])
        let output = try await get(PolicyDetails(objects: [guarded]), "guard").output
        for line in [
            "  tier:       admin, priority 5\n", "  isolates:   no direction\n", "  endpoints:  none\n",
            "  in force:   no pod of this node is concerned\n", #"  egress[0] "keep \"out\""  deny    every peer"#,
        ] {
            #expect(output.contains(line), "\(line): \(output)")
        }
    }

    @Test func `audit mode, of the policy and of a namespace`() async throws {
        let rule = PolicyDetails.Rule(rule: "egress[0]", action: "deny (audit)", peers: "every peer", ports: "TCP 25")
        let watched = PolicyDetails.Object(
            policy: "ClusterNetworkPolicy guard", tier: .admin, priority: 5, subject: "pods {} in namespaces {}",
            directions: ["egress"], auditedBy: ["the policy", "namespace shop"], rules: [rule])
        let output = try await get(PolicyDetails(objects: [watched]), "guard").output
        let line = "  audited by:  the policy, namespace shop: what it would deny passes and is reported\n"
        #expect(output.contains(line) && output.contains("  egress[0]  deny (audit)  every peer"), "\(output)")
        let json = try await get(PolicyDetails(objects: [watched]), "guard", "-o", "json").output
        #expect(json.contains(#""audited_by" : ["#))
    }

    @Test(arguments: [
        (cart("0badcafe"), "no\n    shop/cart-0: ingress is judged by 00c0ffee, not 0badcafe\n"),
        (cart(nil), "no\n    shop/cart-0: ingress is judged by 00c0ffee, not nothing\n"),
        (
            cart(problems: ["spec.ingress[0].from[0].hue: is not known to this version of Apus: it matches nothing"]),
            "not as it is written\n    spec.ingress[0].from[0].hue"
        ),
    ])
    func `what is not in force says why`(object: PolicyDetails.Object, reason: String) async throws {
        let outcome = try await get(PolicyDetails(objects: [object]), "cart")
        #expect(outcome.code == 0 && outcome.output.contains("in force:     \(reason)"), "\(outcome.output)")
        let json = try await get(PolicyDetails(objects: [object]), "cart", "-o", "json")
        #expect(json.output.contains(#""in_force" : false"#))
    }

    @Test func `a newer version that is wrong leaves the last good one in force, which is said`() async throws {
        var object = Self.cart()
        object.rejected = ["policy-cart.yaml: document 1: spec.podSelectr: is not known"]
        let outcome = try await get(PolicyDetails(objects: [object]), "cart")
        let lines = """
              in force:     no, the last good version, which is shown: the newest one is wrong
                policy-cart.yaml: document 1: spec.podSelectr: is not known

            """
        #expect(outcome.code == 0 && outcome.output.contains(lines), "\(outcome.output)")
        let json = try await get(PolicyDetails(objects: [object]), "cart", "-o", "json").output
        #expect(json.contains(#""in_force" : false"#) && json.contains(#""rejected" : ["#), "\(json)")
    }

    @Test func `a version in another file is named with the file that counts`() async throws {
        var object = Self.cart()
        object.ignored = ["b.yaml: ignored, a.yaml has it already"]
        let outcome = try await get(PolicyDetails(objects: [object]), "cart")
        #expect(
            outcome.output.contains("  also in:      b.yaml: ignored, a.yaml has it already\n"), "\(outcome.output)")
        let json = try await get(PolicyDetails(objects: [object]), "cart", "-o", "json").output
        #expect(json.contains(#""ignored" : ["#), "\(json)")
    }

    private static let closed = PolicyRow(
        policy: "00c0ffee", direction: "ingress", isolates: true, closed: true, isolatedBy: "NetworkPolicy shop/long",
        endpoints: ["shop/cart-0"], rules: [])

    @Test func `a policy of a pod that has too many rules with another one is not in force`() throws {
        let endpoint = try #require(try FakeDatapath().endpoints().first)
        let view = PolicyView(
            PolicyDetails(objects: [Self.cart()]), PolicySelection(name: "cart"), maps: [Self.closed],
            endpoints: [endpoint])
        let object = try #require(view.objects.first)
        #expect(object.inForce == false)
        let cause = "ingress is closed: more rules than can be programmed, with NetworkPolicy shop/long"
        #expect(object.pending == ["shop/cart-0: \(cause)"])
        let alone = PolicyView(PolicySelection(name: "long"), maps: [Self.closed]).objects
        #expect(alone.map(\.inForce) == [false] && alone.map(\.pending) == [["shop/cart-0: \(cause)"]])
    }

    @Test func `a policy that was never right is not unknown`() async throws {
        let wrong = "a.yaml: document 1: NetworkPolicy shop/cart: spec.podSelectr: is not known"
        let outcome = try await get(PolicyDetails(refused: [wrong]), "shop/cart")
        #expect(
            outcome.code == 2 && outcome.notes.contains("no version of shop/cart is in force, as it is wrong: a.yaml"))
    }

    @Test func `a pod that the maps don't have is not judged yet`() async throws {
        var object = Self.cart()
        object.endpoints = [PolicyDetails.Endpoint(pod: "shop/new", ingress: "00c0ffee")]
        let outcome = try await get(PolicyDetails(objects: [object]), "cart")
        #expect(outcome.output.contains("    shop/new: is no endpoint yet\n"))
    }

    @Test func `an id shows what was compiled, with what the agent says of its rules`() async throws {
        let bits = [PolicyDetails.Bit(peers: "pods app=front in namespace shop", ports: "TCP 8080")]
        let outcome = try await get(PolicyDetails(compiled: bits), "00c0ffee")
        #expect(
            outcome.output == """
                policy 00c0ffee  ingress  isolates (by NetworkPolicy shop/cart)
                    judges shop/cart-0
                    RULE  ACTION  TIER            FROM                                PEERS                             \
                PORTS
                       0  allow   network-policy  NetworkPolicy shop/cart ingress[0]  pods app=front in namespace shop  \
                TCP 8080

                """)
    }

    @Test func `without the agent the maps tell what they hold`() async throws {
        let outcome = await run("policy", "get", "shop/cart")
        #expect(
            outcome.output == """
                NetworkPolicy shop/cart
                  tier:         network-policy
                  isolates:     ingress
                  endpoints:    shop/cart-0
                  compiled to:  00c0ffee
                  in force:     yes, as the maps have it
                  RULE        ACTION  PEERS  PORTS
                  ingress[0]  allow   -      -

                """)
        #expect(outcome.code == 0 && outcome.notes.contains("this is what the maps tell"))
        #expect(await run("policy", "get", "0badcafe").output.hasPrefix("policy 0badcafe  unused"))
        let unknown = await run("policy", "get", "other")
        #expect(unknown.code == 2 && unknown.notes.contains("there is no policy other in the maps: they hold only"))
    }

    @Test func `the maps tell of policies that only isolate, and of audit mode`() {
        let rule = PolicyRow.Rule(
            number: 0, kind: "ClusterNetworkPolicy", name: "guard", rule: "egress[0]", tier: "admin", action: "deny",
            audit: true)
        let rows = [
            PolicyRow(
                policy: "00000001", direction: "ingress", isolates: true, isolatedBy: "NetworkPolicy shop/deny",
                endpoints: ["shop/b"], rules: []),
            PolicyRow(
                policy: "00000002", direction: "egress", isolates: false, audits: true,
                isolatedBy: "NetworkPolicy shop/deny", endpoints: ["shop/a"], rules: [rule]),
        ]
        let deny = PolicyView(PolicySelection(namespace: "shop", name: "deny"), maps: rows).objects
        #expect(deny.map(\.policy) == ["NetworkPolicy shop/deny"] && deny[0].isolates == ["ingress", "egress"])
        #expect(deny[0].endpoints == ["shop/a", "shop/b"] && deny[0].compiled == ["00000001", "00000002"])
        #expect(deny[0].inForce == true && deny[0].auditedBy == ["itself or its pods' namespaces"])
        let guarded = PolicyView(PolicySelection(name: "guard"), maps: rows).objects
        #expect(guarded.map(\.tier) == ["admin"] && guarded[0].auditedBy?.count == 1 && guarded[0].isolates == nil)
    }

    @Test func `without maps the agent tells what it wants, and what nobody knows is no answer`() async throws {
        let outcome = try await get(PolicyDetails(objects: [Self.cart()]), "cart", datapath: false)
        #expect(outcome.code == 0 && outcome.output.contains("  in force:   not known\n"))
        #expect(outcome.notes.hasSuffix("; this is what the agent tells\n"))
        let unknown = try await get(PolicyDetails(), "shop/none")
        #expect(unknown == Outcome(code: 2, output: "", notes: "apus: there is no policy shop/none\n"))
        #expect(await run("policy", "get", "a/b/c").code == 64)
    }
}
