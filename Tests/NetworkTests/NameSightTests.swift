import Addressing
import AgentAPI
import Datapath
import Flows
import Foundation
import TestSupport
import Testing

extension NameLabTests {
    /// What people see of names: lists, explanations and flows, with the agent and without it.
    @Suite(.serialized) struct NameSight {
        /// One row of `apus fqdn list -o json`, and of the patterns of `apus fqdn explain`.
        private struct Row: Decodable {
            struct Address: Decodable {
                let address: String
                let remaining_ns: UInt64
            }

            let pattern: String
            let in_force: Bool
            let name: String?
            let addresses: [Address]
            let rules: [String]
            let endpoints: [String]
        }

        private func list(_ names: NameLab) async throws -> [Row] {
            let result = try await names.agent.apus("fqdn", "list", "-o", "json")
            guard result.succeeded else { throw LabError("apus fqdn list", result.errors) }
            return try JSONDecoder().decode([Row].self, from: Data(result.output.utf8))
        }

        /// Long enough for a whole test.
        private static let lasting = ["--fqdn-min-ttl", "600"]

        @Test func whatWasLearnedIsListedWithAndWithoutTheAgent() async throws {
            try await NameLab.run(options: Self.lasting) { names in
                let patterns = Set(try await list(names).filter(\.in_force).map(\.pattern))
                #expect(patterns == ["*.web.test", "shop.example.test", "other.web.test"])
                for isRunning in [true, false] {
                    if !isRunning { await names.agent.kill() }
                    let name = isRunning ? "a.web.test" : "b.web.test"
                    #expect(try await names.look(up: name, from: names.client).contains("\(NameLab.web[0])"))
                    let rows = try await list(names).filter { $0.name == name }
                    let row = try #require(rows.first, "\(rows)")
                    #expect(rows.count == 1 && row.pattern == "*.web.test")
                    #expect(row.addresses.map(\.address) == ["\(NameLab.web[0])"])
                    #expect(row.addresses.allSatisfy { $0.remaining_ns > 300_000_000_000 })
                    #expect(row.rules == ["FQDNNetworkPolicy default/web egress[0]"])
                    #expect(row.endpoints == ["default/client", "default/friend"])
                    let text = try await names.agent.apus("fqdn", "explain", name)
                    for word in ["*.web.test", "FQDNNetworkPolicy default/web egress[0]", "\(NameLab.web[0])"] {
                        #expect(text.succeeded && text.output.contains(word), "\(word): \(text.output)\(text.errors)")
                    }
                    // Several patterns match, those of another policy as well; nothing is held under it.
                    let other = try await names.agent.apus("fqdn", "explain", "Other.Web.test.")
                    for word in ["default/stranger", "default/other egress[0]", "default/web egress[0]", "no address"] {
                        #expect(other.output.contains(word), "\(word): \(other.output)\(other.errors)")
                    }
                    let unknown = try await names.agent.apus("fqdn", "explain", "web.test")
                    #expect(unknown.status == 1 && unknown.output.contains("no pattern"), "\(unknown.output)")
                }
            }
        }

        /// `apus fqdn explain -o json`.
        private struct Explanation: Decodable {
            struct Learned: Decodable {
                let admitted: Bool
                let endpoints: [String]
            }

            let matches: [Row]
            let learned: [Learned]
        }

        private func explain(_ names: NameLab, _ name: String) async throws -> Explanation {
            let result = try await names.agent.apus("fqdn", "explain", name, "-o", "json")
            guard result.succeeded else { throw LabError("apus fqdn explain", result.output + result.errors) }
            return try JSONDecoder().decode(Explanation.self, from: Data(result.output.utf8))
        }

        @Test func explanationsTellWhatIsHeldButNotAdmittedAndWhichPatternsAreNotInForce() async throws {
            try await NameLab.run(options: Self.lasting) { names in
                // The pattern is that of the client's policy.
                for pod in [names.client, names.lab.pod("stranger")] {
                    _ = try await names.look(up: "a.web.test", from: pod)
                }
                let web = try await explain(names, "a.web.test")
                #expect(web.matches.map(\.endpoints) == [["default/client", "default/friend"]])
                let admitted = Dictionary(uniqueKeysWithValues: web.learned.map { ($0.endpoints, $0.admitted) })
                #expect(admitted == [["default/client", "default/friend"]: true, ["default/stranger"]: false])
                // Each of them fits, but not all together.
                let heavy = "abcdefuvwxyz".map { "{pattern: \"*\($0)*\($0)*\"}" }
                try names.agent.manifests.write(
                    "heavy.yaml", NameLab.policy("heavy", app: "stranger", heavy))
                var refused: Row?
                try await eventually("a pattern that is refused", within: .seconds(20)) {
                    let rows = try await list(names)
                    refused = rows.first { !$0.in_force }
                    return refused != nil && rows.contains { $0.pattern == "*a*a*" && $0.in_force }
                }
                let pattern = try #require(refused).pattern
                for isRunning in [true, false] {
                    if !isRunning { await names.agent.kill() }
                    let row = try #require(try await explain(names, pattern.replacing("*", with: "")).matches.first)
                    #expect(row.pattern == pattern && !row.in_force && row.endpoints == ["default/stranger"])
                }
            }
        }

        @Test func flowsNameWhatWasLearnedBeforeTheAgentCameBack() async throws {
            try await NameLab.run(options: Self.lasting) { names in
                let client = names.client
                await names.agent.kill()
                #expect(try await names.look(up: "late.web.test", from: client).contains("\(NameLab.web[0])"))
                // As the ring buffer tells it.
                #expect(try await client.ask(NameLab.web[0], NameLab.port).isAnswered)
                let past = try await names.agent.apus("flow", "observe", "--fqdn", "late.web.test", "--last", "100")
                #expect(past.output.contains("late.web.test. A NOERROR \(NameLab.web[0])"), "\(past.output)")
                #expect(past.output.contains(":\(NameLab.port) (late.web.test) TCP opened"), "\(past.output)")
                try names.agent.start()
                try await names.agent.ready()
                #expect(try await list(names).contains { $0.name == "late.web.test" })
                #expect(try await client.ask(NameLab.web[0], NameLab.port).isAnswered)
                let opened = try await names.agent.flow("a connection to a name") {
                    $0.kind == .opened && $0.tuple.destination == SocketAddress(NameLab.web[0], NameLab.port)
                }
                #expect(opened.destinationNames == ["late.web.test"])
                // A port that no rule admits.
                #expect(try await client.ask(NameLab.web[0], 81, within: .milliseconds(400)) == .timedOut)
                let denied = try await names.agent.flow("a denial by the port") {
                    $0.kind == .denied && $0.tuple.destination == SocketAddress(NameLab.web[0], 81)
                }
                #expect(denied.destinationNames == ["late.web.test"])
                let line = try await names.agent.apus("flow", "observe", "--fqdn", "late.*", "--verdict", "denied")
                #expect(line.output.contains("\(NameLab.web[0]):81 (late.web.test) TCP denied"), "\(line.output)")
                // What no name leads to has none, and so has what another policy's pod reaches.
                _ = try await client.ask(NameLab.unnamed[0], NameLab.port, within: .milliseconds(400))
                _ = try await names.lab.pod("stranger").ask(NameLab.web[0], NameLab.port, within: .milliseconds(400))
                for (source, address) in [(client, NameLab.unnamed[0]), (names.lab.pod("stranger"), NameLab.web[0])] {
                    let nameless = try await names.agent.flow("a denial without a name") {
                        $0.kind == .denied && source.addresses.contains($0.tuple.source.address)
                            && $0.tuple.destination == SocketAddress(address, NameLab.port)
                    }
                    #expect(nameless.destinationNames.isEmpty, "\(nameless)")
                }
            }
        }

        @Test func answersAreFlowsWithTheirCodeAndLatency() async throws {
            try await NameLab.run { names in
                let began = ContinuousClock.now
                let questions: [(name: String, type: String, options: [String], code: UInt16, found: IPAddress?)] = [
                    ("one.web.test", "A", [], 0, NameLab.web[0]),
                    ("two.web.test", "AAAA", ["edns0"], 0, NameLab.web[1]),
                    ("three.web.test", "A", ["use-vc"], 0, NameLab.web[0]), ("gone.test", "A", [], 3, nil),
                ]
                for question in questions {
                    _ = try await names.look(
                        up: question.name, from: names.client, ipv6: question.type == "AAAA",
                        options: question.options)
                    let flow = try await names.agent.flow("an answer about \(question.name)") {
                        $0.dns?.query == question.name
                    }
                    let answer = try #require(flow.dns)
                    #expect(flow.kind == .dns && flow.source.name == "client" && flow.destination.name == "dns")
                    #expect(flow.service?.frontend == SocketAddress(NameLab.service[0], 53))
                    #expect(flow.service?.name == "kube-dns")
                    #expect(flow.tuple.ipProtocol == (question.options == ["use-vc"] ? .tcp : .udp))
                    #expect(answer.code == question.code && answer.addresses == [question.found].compactMap { $0 })
                    #expect(answer.addressCount == answer.addresses.count)
                    #expect(answer.typeText == question.type)
                    let passed = ContinuousClock.now - began
                    #expect(answer.latency > 0 && Duration.nanoseconds(Int64(answer.latency)) < passed)
                    #expect(flow.egressRule?.text == "FQDNNetworkPolicy/default/web/egress/1/dns", "\(flow)")
                }
                let line = try await names.agent.apus("flow", "observe", "--kind", "dns", "--fqdn", "gone.test")
                #expect(line.output.contains("UDP dns gone.test. A NXDOMAIN after "), "\(line.output)")
                let json = try await names.agent.apus(
                    "flow", "observe", "--fqdn", "two.*", "--kind", "dns", "-o", "json")
                #expect(json.output.contains(#""qtypes":["AAAA"],"query":"two.web.test.","rcode":0"#), "\(json.output)")
                // A pod without a policy with names: its answers are nobody's business.
                _ = try await names.look(up: "five.web.test", from: names.lab.pod("fake"))
                #expect(try await names.agent.flows().allSatisfy { $0.dns?.query != "five.web.test" })
            }
        }

        @Test func aQuestionThatNobodyAnswersIsToldWithTheAgentAndWithoutIt() async throws {
            try await NameLab.run(options: ["--dns-server", "172.31.0.0/24"]) { names in
                // Nothing listens there.
                let silent = names.lab.outside("outside").ipv4
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                try await eventually("a question that passes") {
                    _ = try await names.look(
                        up: "slow.web.test", from: names.client, at: silent, options: ["timeout:1"])
                    return try names.count(.question) > 0
                }
                // It takes half a minute to give it up.
                let flow = try await names.agent.flow("a question without an answer") {
                    $0.dns?.query == "slow.web.test"
                }
                let question = try #require(flow.dns)
                #expect(!question.isAnswered && question.latency == 30_000_000_000 && question.addresses.isEmpty)
                #expect(flow.source.name == "client" && flow.tuple.destination == SocketAddress(silent, 53))
                #expect(flow.egressRule?.text == "NetworkPolicy/default/ask/egress/0", "\(flow)")
                await names.agent.kill()
                _ = try await names.look(up: "lost.web.test", from: names.client, at: silent, options: ["timeout:1"])
                try await eventually("a question that is told without the agent") {
                    let line = try await names.agent.apus("flow", "observe", "--kind", "dns", "--last", "10")
                    return line.output.contains("UDP dns lost.web.test. A unanswered after 30.0 s")
                }
            }
        }

        @Test func answersThatTheAgentReadAreFlowsToo() async throws {
            try await NameLab.run(options: ["--dns-server", "172.31.0.0/24"]) { names in
                let outside = names.lab.outside("outside")
                try await names.startUnbound(on: outside, more: 1_200)
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                try await eventually("an answer") {
                    let found = try await names.look(
                        up: "web.test", from: names.client, at: outside.ipv4, options: ["use-vc"])
                    return found.contains("\(NameLab.web[0])")
                }
                let flow = try await names.agent.flow("a long answer") { $0.dns?.query == "web.test" }
                #expect(flow.dns?.addressCount == 1_201 && flow.dns?.addresses.count == DatapathAnswer.addressLimit)
                #expect(flow.dns?.code == 0 && flow.dns?.latency ?? 0 > 0 && flow.tuple.ipProtocol == .tcp)
                #expect(try names.count(.handedOver) > 0)
            }
        }

        @Test func explanationsSayUnderWhichNameAnAddressIsAdmitted() async throws {
            try await NameLab.run(options: Self.lasting) { names in
                func explain(_ target: some CustomStringConvertible) async throws -> ProcessResult {
                    try await names.agent.apus(
                        "policy", "explain", "--from", "default/client", "--to", "\(target)", "--port",
                        "\(NameLab.port)")
                }
                let matching = "the name matches *.web.test of FQDNNetworkPolicy default/web egress[0]"
                let unasked = try await explain("a.web.test")
                #expect(unasked.status == 0 && unasked.output.contains(matching), "\(unasked.output)")
                #expect(unasked.output.contains("no address is held as a.web.test"), "\(unasked.output)")
                let before = try await explain(NameLab.web[0])
                #expect(before.status == 1 && !before.output.contains("the maps differ"), "\(before.output)")
                _ = try await names.look(up: "a.web.test", from: names.client)
                for isRunning in [true, false] {
                    if !isRunning { await names.agent.kill() }
                    let answer = try await explain(NameLab.web[0])
                    #expect(answer.status == 0, "\(answer.output)\(answer.errors)")
                    for word in [
                        "the address is held as a.web.test until 2", "by FQDNNetworkPolicy default/web egress[0]",
                    ] {
                        #expect(answer.output.contains(word), "\(word): \(answer.output)\(answer.errors)")
                    }
                    #expect(!answer.output.contains("the maps differ"), "\(answer.output)")
                    #expect(try await explain(NameLab.unnamed[0]).status == 1)
                    let named = try await explain("A.web.test.")
                    #expect(named.status == 0 && named.output.contains(matching), "\(named.output)\(named.errors)")
                    #expect(
                        named.output.contains("a.web.test (\(NameLab.web[0])) TCP 8080: allowed here"),
                        "\(named.output)")
                    #expect(!named.output.contains("the maps differ"), "\(named.output)")
                    let other = try await explain("b.other.test")
                    #expect(other.status == 1 && other.output.contains("answers teach nothing"), "\(other.output)")
                }
            }
        }
    }
}
