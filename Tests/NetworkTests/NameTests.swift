import Addressing
import AgentAPI
import Datapath
import FoundationEssentials
import TestSupport
import Testing

extension NameLabTests {
    /// Policies with names, real resolvers and what they teach.
    @Suite(.serialized) struct Names {
        /// Names to resolve and connect to at once; 100,000 in a long run.
        private static let rounds = ProcessInfo.processInfo.environment["APUS_NAME_ROUNDS"].flatMap(Int.init) ?? 1_000

        @Test(arguments: ["on", "off"])
        func aResolvedNameIsReachedAtOnce(redirectPeer: String) async throws {
            try await NameLab.run(options: ["--redirect-peer", redirectPeer]) { names in
                try await expectClosed(names, NameLab.web)
                for address in NameLab.service + names.lab.pod("dns").addresses {
                    for covered in [true, false] {
                        for options in [["--udp"], ["--tcp"]] {
                            let found = try await names.resolve(
                                "web.test", at: address, from: names.client, count: 5, options: options,
                                covered: covered)
                            #expect(found == .init(ok: 5), "\(address) \(covered) \(options)")
                        }
                    }
                }
                #expect(try names.count(.learned) > 0)
            }
        }

        /// The client reaches none of the addresses.
        private func expectClosed(_ names: NameLab, _ addresses: [IPAddress]) async throws {
            for address in addresses {
                let outcome = try await names.client.ask(address, NameLab.port, within: .milliseconds(400))
                #expect(outcome == .timedOut, "\(address)")
            }
        }

        @Test func noFirstPacketIsLostWithAndWithoutTheAgent() async throws {
            try await NameLab.run { names in
                let denied = try names.agent.drops(.policyIsolated)
                for agent in ["with", "without"] {
                    if agent == "without" { await names.agent.kill() }
                    for address in NameLab.service {
                        let found = try await names.resolve(
                            "web.test", at: address, from: names.client, count: Self.rounds)
                        #expect(found == .init(ok: Self.rounds), "\(address) \(agent) the agent")
                    }
                }
                #expect(try names.agent.drops(.policyIsolated) == denied)
                #expect(try names.count(.noRoom) == 0)
            }
        }

        @Test func namesAreWhatTheClientAskedForInAnyCaseAndOverAliases() async throws {
            try await NameLab.run { names in
                let client = names.client
                try await names.startWeb()
                #expect(try await names.fetch("WEB-1.web.TEST", from: client))
                #expect(try await names.fetch("a", from: client, search: "nowhere.test web.test"))
                #expect(try await names.fetch("shop.example.test", from: client))
                for (family, way) in [("-4", []), ("-6", []), ("-4", ["use-vc"]), ("-6", ["use-vc"])] {
                    for name in ["b.web.test", "shop.example.test"] {
                        let isFetched = try await names.fetch(name, from: client, options: [family], resolver: way)
                        #expect(isFetched, "\(name) \(family) \(way)")
                    }
                }
                // The same server under a name that no policy of the pod has, and an address that no name leads to.
                #expect(!(try await names.fetch("a.other.test", from: names.lab.pod("stranger"))))
                try await expectClosed(names, NameLab.unnamed)
                #expect(try names.agent.drops(.policyIsolated) > 0)
            }
        }

        @Test func podsShareWhatTheyLearnedWithThoseOfTheirPolicyAlone() async throws {
            try await NameLab.run { names in
                let (friend, stranger) = (names.lab.pod("friend"), names.lab.pod("stranger"))
                for (resolver, web) in zip(NameLab.service, NameLab.web) {
                    let found = try await names.resolve("web.test", at: resolver, from: names.client)
                    #expect(found == .init(ok: 1))
                    #expect(try await friend.ask(web, NameLab.port).isAnswered)
                    let outcome = try await stranger.ask(web, NameLab.port, within: .milliseconds(400))
                    #expect(outcome == .timedOut)
                    try await eventually("the stranger to be answered") {
                        let unmatched = try await names.resolve(
                            "web.test", at: resolver, from: stranger, options: ["--udp", "--timeout-ms", "500"])
                        #expect(unmatched.ok == 0, "n….web.test is not other.web.test")
                        return unmatched.failed == 1
                    }
                }
            }
        }

        @Test func resolversOnTheNodeAndOutsideTeachWhereTheyAreTrusted() async throws {
            let options = ["--dns-server", "172.31.0.0/24", "--dns-server", "fd00:172:31::/64"]
            try await NameLab.run(options: options) { names in
                let hosts = [names.lab.node("node-a"), names.lab.outside("outside")]
                for host in hosts { try await names.startUnbound(on: host) }
                // The policy lets the pod ask only the resolvers of the cluster.
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                for host in hosts {
                    for (address, way) in host.addresses.flatMap({ [($0, "--udp"), ($0, "--tcp")] }) {
                        try await eventually("a resolver that may be asked") {
                            try await names.resolve(
                                "web.test", at: address, from: names.client,
                                options: [way, "--timeout-ms", "5000"]) == .init(ok: 1)
                        }
                    }
                }
            }
        }

        @Test func resolverPodsOnTheNodesNetworkMayBeAskedWhileTheyAreThere() async throws {
            try await NameLab.run { names in
                let (node, client) = (names.lab.node("node-a"), names.client)
                try await names.startUnbound(on: node)
                let service = [ip("10.96.0.54"), ip("fd00:10:96::54")]
                try names.agent.manifests.write("node-dns.yaml", NameLab.resolverService(service, node.addresses))
                #expect(try await names.look(up: "a.web.test", from: client, at: node.ipv4).isEmpty)
                try names.agent.manifests.write("resolver.yaml", NameLab.resolver(on: node))
                for address in node.addresses + service {
                    for (covered, way) in [(true, "--udp"), (true, "--tcp"), (false, "--udp"), (false, "--tcp")] {
                        try await eventually("\(address) may be asked, \(covered) \(way)") {
                            try await names.resolve(
                                "web.test", at: address, from: client,
                                options: [way, "--timeout-ms", "5000"], covered: covered) == .init(ok: 1)
                        }
                    }
                }
                try names.agent.manifests.remove("resolver.yaml")
                try await eventually("a node without a resolver") {
                    try await names.look(up: "b.web.test", from: client, at: node.ipv4).isEmpty
                }
            }
        }

        @Test func aResolverPodOfAnotherNodeTeachesItselfByItsLabelAndBehindItsServiceInAnyCase() async throws {
            let options = ["--fqdn-min-ttl", "3", "--fqdn-grace", "0"]
            try await NameLab.run(options: options, plan: NameLab.planOfTwoNodes) { names in
                let (dns, client) = (names.lab.pod("dns"), names.client)
                func expectTaught(at address: IPAddress) async throws {
                    for options in [["--udp"], ["--tcp"]] {
                        for covered in [true, false] {
                            let found = try await names.resolve(
                                "web.test", at: address, from: client, count: 3, options: options, covered: covered)
                            #expect(found == .init(ok: 3), "\(address) \(options) \(covered)")
                        }
                    }
                }
                for address in NameLab.service + dns.addresses { try await expectTaught(at: address) }
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                try names.agent.manifests.edit("pods.yaml", "k8s-app: kube-dns", to: "k8s-app: other")
                for address in dns.addresses {
                    try await eventually("a pod that is no resolver by itself") {
                        try await names.resolve(
                            "web.test", at: address, from: client, options: ["--udp", "--timeout-ms", "500"]
                        ).failed == 1
                    }
                }
                for address in NameLab.service { try await expectTaught(at: address) }
            }
        }

        @Test(arguments: ["169.254.20.10", "169.254.169.254"])
        func resolversOfTheNodeAtAddressesThatAllNodesHaveTeach(text: String) async throws {
            try await NameLab.run { names in
                let (address, node) = (ip(text), names.lab.node("node-a"))
                let outside = names.lab.outside("outside")
                // A cache of the node has the one, what the machine runs on the other one.
                let host = text == "169.254.20.10" ? node : outside
                try await host.output(["ip", "address", "add", "\(address)/32", "dev", "lo"])
                if host.name != node.name {
                    try await node.output(["ip", "route", "add", "\(address)/32", "via", "\(outside.ipv4)"])
                }
                try await names.startDnsmasq(on: host, at: address)
                for options in [["--udp"], ["--tcp"]] {
                    let found = try await names.resolve(
                        "web.test", at: address, from: names.client, count: 5, options: options)
                    #expect(found == .init(ok: 5), "\(options)")
                }
            }
        }

        @Test func aRestartKeepsWhatWasLearnedAndSoDoesAChangeOfThePolicy() async throws {
            // Long enough for the whole test: what ends is another matter.
            try await NameLab.run(options: ["--fqdn-min-ttl", "600"]) { names in
                let client = names.client
                #expect(try await names.resolve("web.test", at: NameLab.service[0], from: client) == .init(ok: 1))
                let held = try await client.hold(NameLab.web[0], NameLab.port)
                await names.agent.kill()
                #expect(try await names.resolve("web.test", at: NameLab.service[1], from: client) == .init(ok: 1))
                try names.agent.start()
                try await names.agent.ready()
                for address in NameLab.web { #expect(try await client.ask(address, NameLab.port).isAnswered) }
                // Another policy id, and other pattern sets: what was learned goes with both.
                try names.agent.manifests.edit(
                    "web.yaml", "{name: Shop.Example.test}", to: "{pattern: \"n*.web.test\"}")
                let before = try names.agent.endpoints().map(\.egress)
                try await eventually("the new policy") { try names.agent.endpoints().map(\.egress) != before }
                for address in NameLab.web { #expect(try await client.ask(address, NameLab.port).isAnswered) }
                #expect(try await names.agent.apus("verify").succeeded)
                #expect(held.states == ["connected"], "\(held.lines)")
            }
        }

        @Test func aLiveConnectionOutlivesItsNameAndANewOneDoesNot() async throws {
            try await NameLab.run(options: ["--fqdn-min-ttl", "10", "--fqdn-grace", "0"]) { names in
                let client = names.client
                var held: [ChildProcess] = []
                for (resolver, web) in zip(NameLab.service, NameLab.web) {
                    #expect(try await names.resolve("web.test", at: resolver, from: client) == .init(ok: 1))
                    held.append(try await client.hold(web, NameLab.port))
                }
                for web in NameLab.web {
                    try await eventually("the end of the name") {
                        try await client.ask(web, NameLab.port, within: .milliseconds(400)) == .timedOut
                    }
                }
                // Another generation judges the connection again.
                try names.agent.manifests.edit("web.yaml", "Shop.Example.test", to: "shop.web.test")
                let before = try names.agent.endpoints().map(\.egress)
                try await eventually("the new policy") { try names.agent.endpoints().map(\.egress) != before }
                // Longer than the held connection takes to notice that it stalls.
                for web in NameLab.web {
                    let outcome = try await client.ask(web, NameLab.port, within: .milliseconds(1_500))
                    #expect(outcome == .timedOut)
                }
                for held in held { #expect(held.states == ["connected"], "\(held.lines)") }
            }
        }

        @Test func oneAddressCountsUnderEachNameForThatNamesLifetimeAndRule() async throws {
            let options = ["--dns-server", "172.31.0.0/24", "--fqdn-min-ttl", "1", "--fqdn-grace", "0"]
            try await NameLab.run(options: options) { names in
                let (client, outside) = (names.client, names.lab.outside("outside"))
                let (v4, v6) = (NameLab.web[0], NameLab.web[1])
                // A second for the names below web.test.
                try await names.startUnbound(
                    on: outside,
                    records: ["shop.example.test. 600 IN A \(v4)", "shop.example.test. 600 IN AAAA \(v6)"])
                try await names.startWeb()
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                try names.agent.manifests.write(
                    "web.yaml",
                    """
                    apiVersion: networking.gke.io/v1alpha1
                    kind: FQDNNetworkPolicy
                    metadata: {name: web, namespace: default}
                    spec:
                      podSelector: {matchLabels: {app: client}}
                      egress:
                      - matches: [{pattern: "*.web.test"}]
                        ports: [{protocol: TCP, port: \(NameLab.port)}]
                      - matches: [{name: shop.example.test}]
                        ports: [{protocol: TCP, port: \(NameLab.webPort)}]

                    """)
                for (web, isIPv6) in [(v4, false), (v6, true)] {
                    try await eventually("both names to be resolved") {
                        for name in ["shop.example.test", "a.web.test"] {
                            if try await names.look(up: name, from: client, at: outside.ipv4, ipv6: isIPv6).isEmpty {
                                return false
                            }
                        }
                        return try await client.ask(web, NameLab.port, within: .seconds(1)).isAnswered
                    }
                    try await eventually("the end of the one name") {
                        try await client.ask(web, NameLab.port, within: .milliseconds(400)) == .timedOut
                    }
                    let host = isIPv6 ? "[\(web)]" : "\(web)"
                    let page = try await client.run(
                        ["curl", "--silent", "--max-time", "60", "--output", "/dev/null", "http://\(host)/"])
                    #expect(page.succeeded, "\(web) under the other name: \(page.errors)")
                }
            }
        }

        @Test func aNameCountsForItsTimeToLiveWhereThatIsLongerThanTheFloor() async throws {
            let options = ["--dns-server", "172.31.0.0/24", "--fqdn-min-ttl", "1", "--fqdn-grace", "0"]
            try await NameLab.run(options: options) { names in
                let (client, outside) = (names.client, names.lab.outside("outside"))
                // A second for the names below web.test.
                let long = NameLab.unnamed[0]
                try await names.startUnbound(on: outside, records: ["shop.example.test. 600 IN A \(long)"])
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                for name in ["shop.example.test", "a.web.test"] {
                    try await eventually("an answer about \(name)") {
                        try await !names.look(up: name, from: client, at: outside.ipv4).isEmpty
                    }
                }
                try await eventually("the end of the name with the short time") {
                    try await client.ask(NameLab.web[0], NameLab.port, within: .milliseconds(400)) == .timedOut
                }
                #expect(try await client.ask(long, NameLab.port).isAnswered)
            }
        }

        /// 6 kB: a sender gives half of its first window to a segment, which is 7 kB.
        @Test func aNameWithHundredsOfAddressesInOneAnswerIsReachedAtOnceWithAndWithoutTheAgent() async throws {
            try await NameLab.run(options: ["--dns-server", "172.31.0.0/24"]) { names in
                let outside = names.lab.outside("outside")
                try await names.startUnbound(on: outside, more: 400)
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                let options = ["--tcp", "--timeout-ms", "5000"]
                try await eventually("a resolver that may be asked") {
                    let found = try await names.resolve(
                        "web.test", at: outside.ipv4, from: names.client, options: options)
                    return found.unresolved == 0
                }
                for agent in ["with", "without"] {
                    if agent == "without" { await names.agent.kill() }
                    let (before, handedOver) = (try names.count(.learned), try names.count(.handedOver))
                    _ = try await names.resolve("web.test", at: outside.ipv4, from: names.client, options: options)
                    let learned = try DatapathReader(bpffs: names.agent.bpffs).learned()
                    #expect(Set(learned.map(\.address)).count == 401, "\(agent) the agent")
                    #expect(try names.count(.learned) == before + 1, "\(agent) the agent")
                    #expect(try names.count(.handedOver) == handedOver, "\(agent) the agent")
                    #expect(try await names.client.ask(NameLab.web[0], NameLab.port).isAnswered)
                }
            }
        }

        /// 56 kB, which one record of what is handed over has no room for.
        @Test func anAnswerThatIsTooLongForTheDataPathIsLearnedByTheAgent() async throws {
            try await NameLab.run(options: ["--dns-server", "172.31.0.0/24"]) { names in
                let outside = names.lab.outside("outside")
                try await names.startUnbound(on: outside, more: 3_500)
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                try await eventually("an answer") {
                    let found = try await names.resolve(
                        "web.test", at: outside.ipv4, from: names.client, options: ["--tcp", "--timeout-ms", "5000"])
                    return found.unresolved == 0
                }
                try await eventually("the answer to be learned") {
                    try await names.client.ask(NameLab.web[0], NameLab.port, within: .seconds(5)).isAnswered
                }
                #expect(try names.count(.handedOver) > 0 && names.count(.learned) == 0 && names.count(.lost) == 0)
            }
        }

        @Test func anAgentThatCanReadNothingOfTheClusterYetLearnsWhatIsHandedOver() async throws {
            let options = ["--dns-server", "172.31.0.0/24", "--fqdn-min-ttl", "3", "--fqdn-grace", "0"]
            try await NameLab.run(options: options) { names in
                let outside = names.lab.outside("outside")
                try await names.startUnbound(on: outside, more: 1_200)
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                func learnsAndReaches() async throws -> Bool {
                    let found = try await names.resolve(
                        "web.test", at: outside.ipv4, from: names.client, options: ["--tcp", "--timeout-ms", "5000"])
                    if found.unresolved > 0 { return false }
                    return try await names.client.ask(NameLab.web[0], NameLab.port, within: .seconds(2)).isAnswered
                }
                try await eventually("the agent to learn") { try await learnsAndReaches() }
                await names.agent.kill()
                let server = try LabAPIServer(names.lab, manifests: names.agent.manifests)
                let next = AgentProcess(
                    names.lab, manifests: names.agent.manifests, apiServer: server, options: options)
                try next.start()
                try await eventually("an agent without its API server", every: .milliseconds(50)) {
                    try await next.client.status().origin?.synced == false
                }
                try await eventually("the end of the name") {
                    try await names.client.ask(NameLab.web[0], NameLab.port, within: .milliseconds(400)) == .timedOut
                }
                try await eventually("that agent to learn") { try await learnsAndReaches() }
                #expect(try await next.client.status().origin?.synced == false)
                await next.terminate()
            }
        }
    }
}
