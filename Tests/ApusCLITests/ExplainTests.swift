import Addressing
import AgentAPI
import Foundation
import Testing

import struct Datapath.VerdictQuestion

@testable import ApusCLI

@Suite struct `apus policy explain` {
    private static let rule = PolicyJudgement.Rule(
        rule: "NetworkPolicy shop/cart ingress[0]", number: 0, tier: .networkPolicy, action: "allow", admitsPeer: true,
        admitsPort: true)
    private static let allowed = PolicyJudgement(allowed: true, reason: .rule, rules: [rule])
    private static let isolated = PolicyJudgement(
        allowed: false, reason: .isolation, policies: ["NetworkPolicy shop/cart"], rules: [admitsOnlyPeer])
    private static let open = PolicyJudgement(allowed: true, reason: .nothing)

    private static var admitsOnlyPeer: PolicyJudgement.Rule {
        var rule = rule
        rule.admitsPort = false
        return rule
    }

    /// What the agent says of a packet from front to cart.
    private static func path(_ ingress: PolicyJudgement?, _ port: UInt16 = 8080) -> PolicyPath {
        var path = PolicyPath(
            source: .init(address: "10.244.0.6", pod: "shop/front-7d9f", node: "node-a"),
            destination: .init(address: "10.244.0.5", pod: "shop/cart-0", node: "node-a"), ipProtocol: "TCP",
            port: port)
        path.egress = open
        path.ingress = ingress
        return path
    }

    /// A data path that judges it so.
    private static func maps(_ ingress: PolicyJudgement?, port: UInt16 = 8080) throws -> FakeDatapath {
        let cart = try #require(IPAddress("10.244.0.5"))
        let front = try #require(IPAddress("10.244.0.6"))
        func question(_ endpoint: IPAddress, _ isIngress: Bool, _ peer: IPAddress) -> VerdictQuestion {
            VerdictQuestion(
                endpoint: endpoint, direction: isIngress ? .ingress : .egress, peer: peer, ipProtocol: .tcp, port: port)
        }
        var datapath = FakeDatapath()
        datapath.judgements[question(cart, true, front)] = ingress
        datapath.judgements[question(front, false, cart)] = open
        return datapath
    }

    private static let question = [
        "policy", "explain", "--from", "shop/front-7d9f", "--to", "shop/cart-0", "--port", "8080",
    ]

    private func ask(
        agent ingress: PolicyJudgement?, maps: PolicyJudgement?, _ more: String...
    ) async throws -> Outcome {
        let datapath = try Self.maps(maps)
        var outcome: Outcome?
        try await withAgent(FakeAgent { _ in [Self.path(ingress)] }) { socket in
            outcome = await run(arguments: Self.question + more, datapath: datapath, socket: socket)
        }
        return try #require(outcome)
    }

    @Test func `what agent and maps agree on is told once`() async throws {
        let outcome = try await ask(agent: Self.allowed, maps: Self.allowed)
        #expect(
            outcome.output == """
                shop/front-7d9f (10.244.0.6) -> shop/cart-0 (10.244.0.5) TCP 8080: allowed
                  egress: allowed, no policy says anything about it
                    admin: no rules; network-policy: no rules; baseline: no rules
                  ingress: allowed, by NetworkPolicy shop/cart ingress[0]
                    admin: no rules; network-policy: decided; baseline: not reached
                    TIER            ACTION  RULE                                PEER  PORT  MATCHES
                    network-policy  allow   NetworkPolicy shop/cart ingress[0]  yes   yes   -

                """)
        #expect(outcome.code == 0 && outcome.notes.isEmpty)
    }

    @Test func `what passes only by audit mode tells what would deny it`() async throws {
        let audited = PolicyJudgement(allowed: true, reason: .nothing, audited: "NetworkPolicy shop/cart")
        let outcome = try await ask(agent: audited, maps: audited)
        #expect(outcome.code == 0)
        #expect(
            outcome.output.contains(
                """
                  ingress: allowed, no policy denies it outside audit mode
                    would be denied by NetworkPolicy shop/cart, which is in audit mode

                """), "\(outcome.output)")
    }

    @Test func `what is denied exits with 1 and tells what is missing`() async throws {
        let outcome = try await ask(agent: Self.isolated, maps: Self.isolated)
        #expect(outcome.code == 1)
        #expect(outcome.output.contains("ingress: denied, no rule matches and NetworkPolicy shop/cart isolates\n"))
        #expect(
            outcome.output.hasSuffix(
                """
                    missing: no rule of the NetworkPolicy tier admits shop/front-7d9f (10.244.0.6) on TCP 8080; \
                closest: NetworkPolicy shop/cart ingress[0] admits the peer, but not the port

                """))
    }

    @Test func `where agent and maps differ both are told, and the kernel's verdict counts`() async throws {
        let outcome = try await ask(agent: Self.isolated, maps: Self.allowed)
        #expect(outcome.code == 1)
        #expect(outcome.output.contains("TCP 8080: allowed\n"))
        #expect(outcome.output.contains("    the maps differ: allowed, by NetworkPolicy shop/cart ingress[0]\n"))
        let json = try await ask(agent: Self.isolated, maps: Self.allowed, "-o", "json")
        #expect(json.code == 1)
        let answer = try JSONDecoder().decode(PolicyExplanation.self, from: Data(json.output.utf8))
        #expect(answer.allowed == true && answer.differs && answer.agent && answer.maps)
        let ingress = answer.paths.first?.ingress
        #expect(ingress?.agent == Self.isolated && ingress?.maps == Self.allowed)
        #expect(answer.paths.first?.egress?.differs == false)
    }

    @Test func `what is missing is told of the one that denies`() async throws {
        let closed = PolicyJudgement(allowed: false, reason: .closed)
        for agent in [Self.allowed, Self.isolated] {
            let outcome = try await ask(agent: agent, maps: closed)
            let told = "    missing: `apus status` says why the policy is not in the maps\n"
            #expect(outcome.code == 1 && outcome.output.hasSuffix(told), "\(outcome.output)")
        }
        let allowed = try await ask(agent: Self.isolated, maps: Self.allowed)
        #expect(!allowed.output.contains("missing: "), "the kernel lets it pass")
    }

    @Test func `audit mode in only one of the two is a difference`() async throws {
        var audited = Self.allowed
        audited.audited = "NetworkPolicy shop/cart"
        #expect(try await ask(agent: Self.allowed, maps: audited).output.contains("the maps differ"))
        #expect(try await !ask(agent: audited, maps: audited).output.contains("the maps differ"))
    }

    @Test func `an endpoint that only one of them knows is a difference`() async throws {
        let unknown = try await ask(agent: Self.allowed, maps: nil)
        #expect(unknown.code == 1)
        #expect(unknown.output.contains(": not in force here\n"))
        let told =
            "not in force, the maps have no endpoint with the address 10.244.0.5\n    by the agent's state: allowed,"
        #expect(unknown.output.contains(told), "\(unknown.output)")
        let stale = try await ask(agent: nil, maps: Self.allowed)
        #expect(stale.code == 1 && stale.output.hasSuffix("    the agent knows no pod of this node there\n"))
    }

    @Test func `without the agent the maps answer, with the names that they have`() async throws {
        let outcome = await run(arguments: Self.question, datapath: try Self.maps(Self.allowed))
        #expect(outcome.code == 0)
        let head = "shop/front-7d9f (10.244.0.6) -> shop/cart-0 (10.244.0.5) TCP 8080: allowed\n"
        #expect(outcome.output.hasPrefix(head))
        #expect(
            outcome.notes == """
                apus: the agent is not running at /nowhere/apus.sock: start apusd, or name its socket with --socket; \
                this is what the maps tell

                """)
    }

    @Test func `without the agent a Service leads to its backends, judged where they are known`() async throws {
        let arguments = ["policy", "explain", "--from", "10.244.0.6", "--to", "shop/cart:http"]
        let outcome = await run(arguments: arguments, datapath: try Self.maps(Self.isolated))
        #expect(outcome.code == 1)
        let service = "(service shop/cart:http 10.96.0.10:80)"
        #expect(
            outcome.output.contains(
                "shop/front-7d9f (10.244.0.6) -> shop/cart-0 (10.244.0.5) TCP 8080 \(service): denied\n"))
        // Those that are no pods of this node are explained together.
        #expect(
            outcome.output.contains(
                "shop/front-7d9f (10.244.0.6) -> 10.244.0.8 TCP 8080 \(service): not judged here\n"
                    + "shop/front-7d9f (10.244.0.6) -> 10.244.0.9 TCP 8080 \(service): not judged here\n"))
        #expect(outcome.output.contains("  ingress: not judged here, the destination is no pod of this node\n"))
    }

    @Test(arguments: [
        (
            ["--to", "shop/other", "--port", "80"],
            "there is neither a pod nor a Service shop/other in the maps, which are all there is without apusd: they name "
                + "pods of this node and Services"
        ),
        (["--to", "shop/cart", "--port", "81"], "Service shop/cart has no TCP port 81: it has TCP 80"),
        (
            ["--to", "shop/gone", "--port", "53", "--protocol", "udp"],
            "Service shop/gone has no backends: it refuses every connection"
        ),
        (
            ["--to", "shop/cart-0", "--port", "http"],
            "the number of port http is not known in the maps, which are all there is without apusd: they name pods of "
                + "this node and Services: give the number"
        ),
    ])
    func `what the maps can't tell is said`(arguments: [String], reason: String) async throws {
        let command = ["policy", "explain", "--from", "10.244.0.6"] + arguments
        let outcome = await run(arguments: command, datapath: try Self.maps(nil))
        #expect(outcome.code == 2 && outcome.output.isEmpty)
        #expect(outcome.notes.hasSuffix("apus: \(reason)\n"), "\(outcome.notes)")
    }

    /// The maps of a pod whose egress policy knows `*.shop.test`, and what they say of packets to an address.
    private static func domains(_ address: String, assumedName: String?, _ judgement: PolicyJudgement) throws
        -> FakeDatapath
    {
        var datapath = FakeDatapath()
        datapath.egressPolicy = "0badcafe"
        let question = VerdictQuestion(
            endpoint: try #require(IPAddress("10.244.0.5")), direction: .egress, peer: try #require(IPAddress(address)),
            ipProtocol: .tcp, port: 443, assumedName: assumedName)
        datapath.judgements[question] = judgement
        return datapath
    }

    @Test func `a name is judged by the addresses that the maps hold under it`() async throws {
        let datapath = try Self.domains("198.51.100.1", assumedName: nil, Self.allowed)
        let command = ["policy", "explain", "--from", "shop/cart-0", "--to", "API.shop.test.:443"]
        let outcome = await run(arguments: command, datapath: datapath)
        #expect(outcome.code == 0, "\(outcome.notes)")
        for line in [
            "shop/cart-0 (10.244.0.5) -> api.shop.test (198.51.100.1) TCP 443: allowed here\n",
            "    the name matches *.shop.test of FQDNNetworkPolicy shop/web egress[0]\n",
        ] {
            #expect(outcome.output.contains(line), "\(outcome.output)")
        }
        #expect(!outcome.output.contains("not learned"))
    }

    @Test func `a name that nothing is learned under is judged by what an answer would bring`() async throws {
        var denied = Self.isolated
        denied.rules[0].admitsPeer = false
        let datapath = try Self.domains("192.0.0.8", assumedName: "www.other.test", denied)
        let command = ["policy", "explain", "--from", "10.244.0.5", "--to", "www.other.test", "--port", "443"]
        let outcome = await run(arguments: command, datapath: datapath)
        #expect(outcome.code == 1, "\(outcome.notes)")
        for line in [
            "shop/cart-0 (10.244.0.5) -> www.other.test (not learned) TCP 443: denied\n",
            "no address is held as www.other.test: judged as one that an answer brings",
            "    no rule of the pod's policies has the name: answers teach nothing\n",
            "    missing: no rule of the NetworkPolicy tier admits www.other.test (not learned) on TCP 443; closest: ",
        ] {
            #expect(outcome.output.contains(line), "\(outcome.output)")
        }
        let json = await run(arguments: command + ["-o", "json"], datapath: datapath)
        let answer = try JSONDecoder().decode(PolicyExplanation.self, from: Data(json.output.utf8))
        #expect(answer.paths.map(\.name) == [.init(name: "www.other.test", learned: false)])
        #expect(answer.paths.first?.egress?.maps?.patterns == [])
    }

    @Test func `what no pod of this node sends or gets is not judged, and no answer`() async throws {
        let command = ["policy", "explain", "--from", "10.244.1.6", "--to", "198.51.100.1", "--port", "80"]
        let outcome = await run(arguments: command, datapath: FakeDatapath())
        #expect(outcome.code == 2)
        #expect(
            outcome.output == """
                10.244.1.6 -> 198.51.100.1 TCP 80: not judged here
                  egress: not judged here, the source is no pod of this node
                  ingress: not judged here, the destination is no pod of this node

                """)
        let json = await run(arguments: command + ["-o", "json"], datapath: FakeDatapath())
        let answer = try JSONDecoder().decode(PolicyExplanation.self, from: Data(json.output.utf8))
        #expect(json.code == 2 && answer.allowed == nil && answer.paths.map(\.judged) == [[]])
    }

    @Test func `the directions that were judged are told`() async throws {
        for (from, judged) in [("10.244.0.6", ["egress", "ingress"]), ("198.51.100.1", ["ingress"])] {
            var datapath = try Self.maps(Self.allowed)
            let (cart, peer) = (try #require(IPAddress("10.244.0.5")), try #require(IPAddress(from)))
            let question = VerdictQuestion(
                endpoint: cart, direction: .ingress, peer: peer, ipProtocol: .tcp, port: 8080)
            datapath.judgements[question] = Self.allowed
            let command = ["policy", "explain", "--from", from, "--to", "10.244.0.5", "--port", "8080", "-o", "json"]
            let outcome = await run(arguments: command, datapath: datapath)
            let answer = try JSONDecoder().decode(PolicyExplanation.self, from: Data(outcome.output.utf8))
            #expect(outcome.code == 0 && answer.allowed == true && answer.paths.map(\.judged) == [judged])
        }
    }

    @Test func `a way that nobody judges beside one that is denied is a denial`() async throws {
        let way = Self.path(nil)
        func path(_ side: PolicyExplanation.Side?) -> PolicyExplanation.Path { .init(way, egress: nil, ingress: side) }
        func side(_ judgement: PolicyJudgement) -> PolicyExplanation.Side? {
            PolicyExplanation.Side(agent: judgement, maps: nil, isCompared: false, peer: "front", port: "TCP 8080")
        }
        func verdict(_ paths: [PolicyExplanation.Path]) -> Bool? {
            PolicyExplanation(paths, agent: true, maps: false).allowed
        }
        #expect(verdict([path(nil), path(side(Self.isolated))]) == false)
        #expect(verdict([path(side(Self.allowed)), path(nil)]) == nil)
        #expect(verdict([path(side(Self.allowed)), path(side(Self.allowed))]) == true)
    }

    @Test func `what the agent does not know is not asked of the maps`() async throws {
        let failure = AgentError(.notFound, "there is no pod shop/front-7d9f")
        try await withAgent(FakeAgent(failure: failure)) { socket in
            let outcome = await run(arguments: Self.question, socket: socket)
            #expect(outcome == Outcome(code: 2, output: "", notes: "apus: \(failure)\n"))
        }
    }

    @Test func `without maps the agent answers alone, and without both nobody does`() async throws {
        try await withAgent(FakeAgent { _ in [Self.path(Self.allowed)] }) { socket in
            let outcome = await run(arguments: Self.question, datapath: nil, socket: socket)
            #expect(outcome.code == 0 && outcome.output.contains("ingress: allowed, by NetworkPolicy shop/cart"))
            #expect(outcome.notes.hasSuffix("; this is what the agent tells\n"))
        }
        let outcome = await run(arguments: Self.question, datapath: nil)
        #expect(outcome.code == 2 && outcome.notes.contains("no Apus maps under"))
    }

    @Test(arguments: [
        (["--from", "10.0.0.1", "--to", "10.0.0.2"], "--port is needed for TCP"),
        (["--from", "10.0.0.1", "--to", "10.0.0.2", "--protocol", "icmp", "--port", "8"], "ICMP has no ports"),
        (["--from", "web", "--to", "10.0.0.2", "--port", "80"], "an end is NAMESPACE/NAME or an address"),
        (["--from", "10.0.0.1", "--to", "10.0.0.2", "--port", "70000"], "a port is a number from 1 to 65535 or"),
        (["--from", "10.0.0.1", "--to", "10.0.0.2", "--protocol", "tpc", "--port", "1"], "a protocol is TCP, UDP"),
        (["--from", "www.test", "--to", "10.0.0.2", "--port", "80"], "--from www.test is a name of the DNS"),
        (["--to", "10.0.0.2", "--port", "80"], "Missing expected argument '--from <from>'"),
        (["--from", "10.0.0.1", "--to", "10.0.0.2:80", "--port", "80"], "--to 10.0.0.2:80 has a port already"),
    ])
    func `wrong usage is explained`(arguments: [String], reason: String) async {
        let outcome = await run(arguments: ["policy", "explain"] + arguments)
        #expect(outcome.code == 64 && outcome.notes.contains(reason), "\(outcome.notes)")
    }
}
