import Addressing
import Datapath
import FoundationEssentials
import TestSupport
import Testing

extension NameLabTests {
    /// Names with addresses of their own or with many that rotate, and answers in several parts.
    @Suite(.serialized) struct NamePools {
        /// Names to resolve and connect to at once; 100,000 in a long run.
        private static let rounds = ProcessInfo.processInfo.environment["APUS_NAME_ROUNDS"].flatMap(Int.init) ?? 1_000
        /// Seconds that a name with rotating addresses is asked for; 120 in a long run.
        private static let seconds = ProcessInfo.processInfo.environment["APUS_NAME_SECONDS"].flatMap(Int.init) ?? 5

        /// Trusts the outside host, and lets the clients ask it.
        private func withPool(
            _ options: [String], agent: [String] = [], _ body: (NameLab, IPAddress) async throws -> Void
        ) async throws {
            try await NameLab.run(options: ["--dns-server", "172.31.0.0/24"] + agent) { names in
                try await names.startPool(ip("198.18.0.1"), block: "198.18.0.0/15", options)
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                let resolver = names.lab.outside("outside").ipv4
                try await eventually("a resolver that may be asked") {
                    let found = try await names.resolve(
                        "web.test", at: resolver, from: names.client, options: ["--tcp", "--timeout-ms", "2000"])
                    return found.unresolved == 0
                }
                try await body(names, resolver)
            }
        }

        /// dnsmasq makes the addresses up from the numbers in the names.
        @Test func noFirstPacketIsLostWhereEachNameHasAnAddressOfItsOwn() async throws {
            let options =
                ["--dns-server", "172.31.0.0/24", "--dns-server", "fd00:172:31::/64"]
                // Without the agent none of them is let go of.
                + ["--map-size-learned", "1048576", "--map-size-learned-names", "1048576"]
            try await NameLab.run(options: options) { names in
                let outside = names.lab.outside("outside")
                try await names.route("198.16.0.0/14", through: outside.ipv4)
                try await names.route("2001:db8:99::/64", through: outside.ipv6)
                try await outside.serveNames([
                    "--synth-domain=web.test,198.16.0.0,198.19.255.255,n*",
                    "--synth-domain=web.test,2001:db8:99::/110,n*",
                ])
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                let ways = [
                    ("--udp", outside.ipv4), ("--tcp", outside.ipv6), ("--tcp", outside.ipv4), ("--udp", outside.ipv6),
                ]
                for (way, resolver) in ways.prefix(2) {
                    try await eventually("a resolver that may be asked") {
                        try await names.resolve(
                            "web.test", at: resolver, from: names.client,
                            options: [way, "--first", "262143", "--timeout-ms", "2000"]) == .init(ok: 1)
                    }
                }
                let denied = try names.agent.drops(.policyIsolated)
                for (number, (way, resolver)) in ways.enumerated() {
                    if number == 2 { await names.agent.kill() }
                    let found = try await names.resolve(
                        "web.test", at: resolver, from: names.client, count: Self.rounds,
                        options: [way, "--first", "\(number / 2 * Self.rounds)"])
                    let drops = try DatapathReader(bpffs: names.agent.bpffs).drops().filter { $0.dropped.packets > 0 }
                    #expect(found == .init(ok: Self.rounds), "\(resolver) \(way) \(drops)")
                }
                #expect(try names.agent.drops(.policyIsolated) == denied)
                #expect(try names.count(.noRoom) == 0 && names.count(.policyShare) == 0)
            }
        }

        @Test(arguments: [[], ["--fqdn-min-ttl", "1", "--fqdn-grace", "0"]])
        func aNameWithFiveHundredRotatingAddressesIsNeverDenied(agent: [String]) async throws {
            try await withPool(["--pool", "500", "--lifetime", "1", "--count", "8"], agent: agent) { names, resolver in
                let denied = try names.agent.drops(.policyIsolated)
                let requests = 200 * Self.seconds
                let found = try await names.resolve(
                    "web.test", at: resolver, from: names.client, count: requests,
                    options: ["--udp", "--same-name", "--rate", "200"])
                #expect(found == .init(ok: requests))
                #expect(try names.agent.drops(.policyIsolated) == denied)
            }
        }

        /// How often there was no room, in the map or in the policy's share of it.
        private func full(_ names: NameLab) throws -> UInt64 {
            try names.count(.noRoom) + names.count(.policyShare)
        }

        @Test func evictionSparesWhatALiveConnectionLeadsTo() async throws {
            let agent = ["--map-size-learned", "32", "--fqdn-min-ttl", "600"]
            try await withPool(["--pool", "65536", "--lifetime", "600"], agent: agent) { names, resolver in
                let client = names.client
                let found = try await names.look(up: "live.web.test", from: client, at: resolver)
                let address = try #require(found.split(separator: " ").first.flatMap { IPAddress(String($0)) })
                let held = try await client.hold(address, NameLab.port)
                // The policy's share is half of the map, and each name has an address of its own.
                for number in 0..<60 {
                    _ = try await names.look(up: "other\(number).web.test", from: client, at: resolver)
                }
                try await eventually("room for the last one") {
                    _ = try await names.look(up: "last.web.test", from: client, at: resolver)
                    return try DatapathReader(bpffs: names.agent.bpffs).learned().contains {
                        $0.name == "last.web.test"
                    }
                }
                let learned = try DatapathReader(bpffs: names.agent.bpffs).learned()
                #expect(learned.count <= 16 && learned.contains { $0.name == "live.web.test" })
                try await eventually("word of it") { names.agent.logged.contains("Learned addresses were evicted") }
                // Another generation judges the connection again.
                try names.agent.manifests.edit("web.yaml", "Shop.Example.test", to: "shop.web.test")
                try await eventually("the new policy") {
                    try await names.agent.apus("fqdn", "list").output.contains("shop.web.test")
                }
                #expect(try await client.ask(address, NameLab.port).isAnswered)
                #expect(held.states == ["connected"], "\(held.lines)")
            }
        }

        @Test func anAnswerThatFindsTheMapFullIsLearnedOnceThereIsRoom() async throws {
            try await withPool(["--pool", "65536", "--lifetime", "60"], agent: ["--map-size-learned", "8"]) {
                names, resolver in
                // The agent makes room once a second: it has to be quicker once.
                for number in 0..<400 {
                    let before = try full(names)
                    let found = try await names.look(up: "full\(number).web.test", from: names.client, at: resolver)
                    if try full(names) == before { continue }
                    let address = try #require(found.split(separator: " ").first.flatMap { IPAddress(String($0)) })
                    try await eventually("the answer to be learned", within: .seconds(40)) {
                        try DatapathReader(bpffs: names.agent.bpffs).learned().contains { $0.address == address }
                    }
                    return
                }
                Issue.record("the map was never full")
            }
        }

        @Test func whatFindsNoRoomBesideLiveConnectionsIsLearnedWhenOneEnds() async throws {
            // A policy may have four of these.
            let agent = ["--map-size-learned", "8", "--fqdn-min-ttl", "600"]
            try await withPool(["--pool", "65536", "--lifetime", "600"], agent: agent) { names, resolver in
                func resolve(_ name: String) async throws -> IPAddress {
                    let found = try await names.look(up: name, from: names.client, at: resolver)
                    return try #require(found.split(separator: " ").first.flatMap { IPAddress(String($0)) })
                }
                func isLearned(_ address: IPAddress) throws -> Bool {
                    try DatapathReader(bpffs: names.agent.bpffs).learned().contains { $0.address == address }
                }
                var held: [ChildProcess] = []
                for number in 0..<4 {
                    let address = try await resolve("live\(number).web.test")
                    try await eventually("room for live\(number)", within: .seconds(20)) { try isLearned(address) }
                    held.append(try await names.client.hold(address, NameLab.port))
                }
                let waiting = try await resolve("waiting.web.test")
                try await eventually("the log to tell that nothing can go", within: .seconds(20)) {
                    names.agent.logged.contains("each address is in use")
                }
                #expect(try !isLearned(waiting))
                _ = await held[0].stop()
                // Its entry is there for ten more seconds.
                try await eventually("the answer to be learned", within: .seconds(20)) { try isLearned(waiting) }
                #expect(try await names.client.ask(waiting, NameLab.port).isAnswered)
                #expect(held.dropFirst().allSatisfy { $0.states == ["connected"] })
            }
        }

        @Test(arguments: [["--tcp"], ["--udp"]])
        func anAnswerInSegmentsOrFragmentsIsLearnedByTheAgent(options: [String]) async throws {
            // 200 addresses: 3.2 kB, in segments of 700 bytes, or in fragments of what the link takes.
            try await withPool(["--pool", "200", "--count", "200", "--size", "700", "--lifetime", "60"]) {
                names, resolver in
                let before = try names.count(.handedOver)
                try await eventually("the answer to be learned") {
                    let found = try await names.resolve(
                        "web.test", at: resolver, from: names.client, options: ["--timeout-ms", "10000"] + options)
                    #expect(found.unresolved == 0)
                    return try await names.client.ask(ip("198.18.0.7"), NameLab.port, within: .seconds(5)).isAnswered
                }
                #expect(try names.count(.handedOver) > before)
                #expect(try names.count(options == ["--tcp"] ? .segmented : .fragmented) > 0)
            }
        }
    }
}
