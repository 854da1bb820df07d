import Addressing
import DNSMessages
import Datapath
import TestSupport
import Testing
import Wire

extension NameLabTests {
    /// Who would like to teach the node an address and must not, with real sockets. What single packets of them do is
    /// tested with the data path's programs alone.
    @Suite(.serialized) struct HostileNames {
        /// The outside host counts as a resolver.
        private static let trusted = ["--dns-server", "172.31.0.0/24", "--dns-server", "fd00:172:31::/64"]

        /// Nothing is held, and the client reaches none of the web's addresses.
        private func expectNothingLearned(_ names: NameLab) async throws {
            #expect(try names.count(.learned) == 0 && names.count(.address) == 0)
            let rows = try await names.agent.apus("fqdn", "list")
            #expect(rows.succeeded && !rows.output.contains("198.51.100."), "\(rows.output)")
            for address in NameLab.web {
                let outcome = try await names.client.ask(address, NameLab.port, within: .milliseconds(400))
                #expect(outcome == .timedOut, "\(address)")
            }
        }

        /// The client gets an answer from the host, by every way, and reaches nothing by it.
        private func expectAnswersTeachNothing(_ names: NameLab, of host: LabHost) async throws {
            try await names.startDnsmasq(on: host)
            try names.agent.manifests.write("ask.yaml", NameLab.asking)
            for address in host.addresses {
                for options in [["--udp"], ["--tcp"]] {
                    let before = try names.count(.untrusted)
                    try await eventually("an answer of \(host.name)") {
                        let found = try await names.resolve(
                            "web.test", at: address, from: names.client, options: options + ["--timeout-ms", "500"])
                        return found.failed == 1
                    }
                    #expect(try names.count(.untrusted) > before, "\(address) \(options)")
                }
            }
            try await expectNothingLearned(names)
        }

        @Test func anotherPodThatIsAskedAsAResolverTeachesNothing() async throws {
            try await NameLab.run { try await expectAnswersTeachNothing($0, of: $0.lab.pod("fake")) }
        }

        @Test func aResolverOutsideThatIsNotTrustedTeachesNothing() async throws {
            try await NameLab.run { try await expectAnswersTeachNothing($0, of: $0.lab.outside("outside")) }
        }

        @Test func aPodThatAnswersItselfTeachesNothing() async throws {
            try await NameLab.run { names in
                let client = names.client
                try await names.startDnsmasq(on: client)
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                for address in client.addresses + [ip("127.0.0.1"), ip("::1")] {
                    for options in [["--udp"], ["--tcp"]] {
                        try await eventually("its answer") {
                            let found = try await names.resolve(
                                "web.test", at: address, from: client, options: options + ["--timeout-ms", "500"])
                            #expect(found.ok == 0, "\(address) \(options)")
                            return found.failed == 1
                        }
                    }
                }
                try await expectNothingLearned(names)
            }
        }

        @Test func anotherPodThatTakesTheResolversAddressSendsNothing() async throws {
            try await NameLab.run { names in
                let (fake, client) = (names.lab.pod("fake"), names.client)
                let sources = NameLab.service + names.lab.pod("dns").addresses
                let frames = sources.flatMap { source in (0..<64).map { forged($0, by: fake, as: source, to: client) } }
                let before = try names.agent.drops(.invalidSource)
                let command = [try BuiltProducts.path(of: "apus-traffic"), "inject", "--interface", fake.interface]
                try await fake.output(command, input: frames.map { "\($0.hexadecimal)\n" }.joined())
                #expect(try names.agent.drops(.invalidSource) == before + UInt64(frames.count))
                try await expectNothingLearned(names)
                let found = try await names.resolve("web.test", at: NameLab.service[0], from: client)
                #expect(found == .init(ok: 1), "the real answer counts")
            }
        }

        /// Whoever can send with the resolver's address has to guess the id of a question that waits.
        @Test(arguments: [false, true])
        func answersWithGuessedIDsTeachNothingWhileAQuestionWaits(ipv6: Bool) async throws {
            try await NameLab.run(options: Self.trusted) { names in
                let (client, outside) = (names.client, names.lab.outside("outside"))
                let (asker, resolver) = ipv6 ? (client.ipv6, outside.ipv6) : (client.ipv4, outside.ipv4)
                let (type, web) = ipv6 ? (DNSType.aaaa, NameLab.web[1]) : (.a, NameLab.web[0])
                try names.agent.manifests.write("ask.yaml", NameLab.asking)
                // Nobody answers there: the question waits.
                let id: UInt16 = 1_077
                var question = SentMessage(id: id, name: "n0.web.test", type: type)
                question.flags = 0x0100
                let asked = Packet.ethernet(from: client.macAddress, to: mac("ee:ee:ee:ee:ee:ee"))
                    .ip(from: asker, to: resolver).udp(from: 40_000, to: 53)
                    .payload(DNSEncoder.encode(question))
                try await eventually("a question that waits") {
                    try await inject([asked], from: client)
                    return try names.count(.question) > 0
                }
                let (here, there) = (try await hardware(of: outside), try await hardware(of: names.lab.node("node-a")))
                func answer(_ id: UInt16, _ name: String = "n0.web.test") -> Packet {
                    let message = SentMessage(
                        id: id, name: name, type: type, answers: [.init(owner: name, data: .address(web))])
                    return Packet.ethernet(from: here, to: there)
                        .ip(from: resolver, to: asker).udp(from: 53, to: 40_000)
                        .payload(DNSEncoder.encode(message))
                }
                let guesses = (0..<2_000).map { UInt16($0) }.filter { $0 != id }
                try await inject(guesses.map { answer($0) } + [answer(id, "n1.web.test")], from: outside)
                try await eventually("the guesses to be counted") {
                    let (unasked, others) = (try names.count(.unasked), try names.count(.mismatched))
                    if unasked == UInt64(guesses.count), others == 1 { return true }
                    throw LabError("\(guesses.count) guesses", "\(unasked) unasked, \(others) of another name")
                }
                try await expectNothingLearned(names)
                try await inject([answer(id)], from: outside)
                try await eventually("the real answer") { try names.count(.learned) == 1 }
                #expect(try await client.ask(web, NameLab.port).isAnswered)
            }
        }

        /// The address of a host's interface on the fabric.
        private func hardware(of host: LabHost) async throws -> MACAddress {
            let text = try await host.output(["ip", "-o", "link", "show", "dev", host.interface])
            let words = text.split(separator: " ")
            let place = try #require(words.firstIndex(of: "link/ether"), "\(text)")
            return mac(String(words[place + 1]))
        }

        private func inject(_ frames: [Packet], from host: LabHost) async throws {
            let command = [try BuiltProducts.path(of: "apus-traffic"), "inject", "--interface", host.interface]
            try await host.output(command, input: frames.map { "\($0.hexadecimal)\n" }.joined())
        }

        /// An answer to one of the ports that the client may ask from.
        private func forged(_ number: Int, by host: LabHost, as source: IPAddress, to client: LabHost) -> Packet {
            let name = "n\(number).web.test"
            let message = SentMessage(
                id: UInt16(number), name: name, answers: [.init(owner: name, data: .address(NameLab.web[0]))])
            return Packet.ethernet(from: host.macAddress, to: mac("ee:ee:ee:ee:ee:ee"))
                .ip(from: source, to: source.isIPv4 ? client.ipv4 : client.ipv6)
                .udp(from: 53, to: Port(40_000 + UInt16(number)))
                .payload(DNSEncoder.encode(message))
        }

        @Test func aTrustedResolverThatOpensAConnectionItselfTeachesNothing() async throws {
            try await NameLab.run(options: Self.trusted) { names in
                let outside = names.lab.outside("outside")
                for setting in ["ip_unprivileged_port_start=0", "ip_local_port_range=53 60999"] {
                    try await outside.output(["sysctl", "-qw", "net.ipv4.\(setting)"])
                }
                for address in names.client.addresses {
                    let before = try names.count(.unsolicited)
                    let command = [
                        try BuiltProducts.path(of: "apus-traffic"), "crr", "--udp", "--ports", "53-53",
                        "--seconds", "0.2", "\(address)", "40000",
                    ]
                    // Nobody listens there, so it fails; what it sent has passed.
                    _ = try await outside.run(command)
                    #expect(try names.count(.unsolicited) > before, "\(address)")
                }
                try await expectNothingLearned(names)
            }
        }
    }
}
