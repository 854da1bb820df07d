internal import Addressing
internal import DNSMessages
internal import DatapathABI
internal import DomainNames
internal import FoundationEssentials
internal import PolicyGenerators
internal import Testing
internal import Wire

@Suite("The kernel's parser of DNS answers")
struct DNSParserTests {
    /// Broken messages to parse; `APUS_DNS_MESSAGES` sets another number.
    private static let messages = ProcessInfo.processInfo.environment["APUS_DNS_MESSAGES"].flatMap(Int.init) ?? 40_000
    private static let seeds = withFreshSeed([1], of: "DNSParserTests")

    /// What the agent's parser makes of a message, in the same form.
    private func expected(_ message: [UInt8]) throws(DNSError) -> DNSParser.Answer {
        let response = try DNSResponse(message)
        return DNSParser.Answer(
            id: response.id, type: response.type.rawValue, code: response.code.rawValue,
            isTruncated: response.isTruncated, name: response.name,
            addresses: response.addresses.map { DNSParser.Address(address: $0.address, lifetime: $0.lifetime) })
    }

    /// An answer for `example.com` as a resolver gives it: so many addresses behind so many aliases.
    private func answer(addresses: Int, aliases: Int = 0, name: String = "www.Example.com") -> SentMessage {
        let names = [name] + (0..<aliases).map { "edge\($0).cdn.net" }
        var message = SentMessage(name: name)
        message.answers = zip(names, names.dropFirst()).map { .init(owner: $0, data: .alias($1)) }
        for number in 0..<UInt32(addresses) {
            let address =
                number % 3 == 2
                ? IPAddress(high: 0x2001_0db8 << 32, low: UInt64(number)) : IPAddress(v4: number)
            message.answers.append(.init(owner: names[aliases], lifetime: number, data: .address(address)))
        }
        message.options = (4096, 0)
        return message
    }

    @Test("Answers as resolvers give them are parsed, whatever their number of addresses and aliases")
    func plainAnswers() throws {
        let parser = try DNSParser()
        for (addresses, aliases) in [
            (0, 0), (1, 0), (2, 1), (8, 4), (100, 0), (120, 15), (180, 2), (700, 1), (1_000, 0),
        ] {
            for compresses in [true, false] {
                let message = DNSEncoder.encode(answer(addresses: addresses, aliases: aliases), compresses: compresses)
                if message.count > Int(APUS_DNS_MESSAGE_MAX) { continue }
                let wanted = try expected(message)
                let found = try parser.parse(message)
                #expect(found == .success(wanted), "\(addresses) addresses, \(aliases) aliases")
            }
        }
    }

    @Test("What is too much or comes out of order is left to the agent, with its reason")
    func handOvers() throws {
        let parser = try DNSParser()
        var swapped = answer(addresses: 1, aliases: 1)
        swapped.answers.reverse()
        var twoQuestions = DNSEncoder.encode(answer(addresses: 1))
        twoQuestions[5] = 2
        // Each of its records leads back to two long names.
        let long = ["a", "b"].map { letter in
            (0..<4).map { _ in String(repeating: letter, count: 60) }.joined(separator: ".")
        }
        var winding = answer(addresses: 1)
        winding.authorities = (0..<400).map { .init(owner: long[$0 % 2], data: .alias(long[($0 + 1) % 2])) }
        let windingBytes = DNSEncoder.encode(winding)
        #expect(windingBytes.count < Int(APUS_DNS_MESSAGE_MAX))
        let cases: [([UInt8], apus_dns_problem)] = [
            (windingBytes, .APUS_DNS_LENGTH),
            (DNSEncoder.encode(answer(addresses: 1, aliases: 16)), .APUS_DNS_ALIASES),
            (DNSEncoder.encode(swapped), .APUS_DNS_STRAY),
            (twoQuestions, .APUS_DNS_HEADER),
            (Array(DNSEncoder.encode(answer(addresses: 1)).prefix(40)), .APUS_DNS_END),
            ([UInt8](repeating: 0, count: 11), .APUS_DNS_LENGTH),
        ]
        for (message, problem) in cases {
            #expect(try parser.parse(message) == .failure(DNSParser.Problem(problem: problem)), "\(problem)")
        }
    }

    @Test("What the kernel parses, of broken messages too, is what the agent's parser finds", arguments: seeds)
    func mutations(seed: UInt64) throws {
        let parser = try DNSParser()
        var generator = MessageGenerator(seed: seed)
        var parsed = 0
        var problems: [DNSParser.Problem: Int] = [:]
        for round in 0..<Self.messages {
            var bytes = DNSEncoder.encode(generator.response().message, compresses: round % 4 > 0)
            if round % 8 > 0 { generator.mutate(&bytes) }
            switch try parser.parse(bytes) {
            case .success(let found):
                parsed += 1
                let wanted = try? expected(bytes)
                try #require(found == wanted, "seed \(seed): \(bytes)")
            case .failure(let problem):
                problems[problem, default: 0] += 1
                // What nothing is wrong with is left to the agent for its order or its length alone.
                let isForAgent: [apus_dns_problem] = [.APUS_DNS_STRAY, .APUS_DNS_ALIASES, .APUS_DNS_LENGTH]
                if isForAgent.contains(problem.problem) { continue }
                let wanted = try? expected(bytes)
                try #require(wanted == nil, "seed \(seed), \(problem): \(bytes)")
            }
        }
        // Both outcomes and every kind of refusal have to occur, or the mutations prove little.
        #expect(parsed > Self.messages / 20, "seed \(seed): \(parsed)")
        #expect(problems.count >= 6, "seed \(seed): \(problems)")
        let names = problems.map { "\($0.key.problem.rawValue): \($0.value)" }.sorted()
        print("DNSParserTests: seed \(seed): \(Self.messages) messages, \(parsed) parsed, left: \(names)")
    }

    @Test("The walk through the patterns ends in the set that the automaton says", arguments: seeds)
    func patterns(seed: UInt64) throws {
        let parser = try DNSParser()
        var random = RandomSource(seed: seed)
        #expect(try parser.patternSet(DNSEncoder.encode(answer(addresses: 1))) == 0, "no automaton is in force")
        for round in 0..<20 {
            let automaton = DomainAutomaton(compiling: try randomPatterns(1 + round * 5, &random))
            try parser.install(automaton)
            for _ in 0..<200 {
                let name = randomName(&random)
                let found = try parser.patternSet(DNSEncoder.encode(answer(addresses: 1, name: name)))
                try #require(found == automaton.patternSet(matching: name.utf8), "seed \(seed): \(name)")
            }
        }
    }

    private func randomName(_ random: inout RandomSource) -> String {
        (0...Int.random(in: 0...3, using: &random)).map { _ in
            String(
                (0...Int.random(in: 0...2, using: &random)).map { _ in "abA-_1".randomElement(using: &random) ?? "a" })
        }.joined(separator: ".")
    }

    private func randomPatterns(_ count: Int, _ random: inout RandomSource) throws -> [DomainPattern] {
        (0..<count).compactMap { _ in
            let name = randomName(&random)
            return switch Int.random(in: 0...3, using: &random) {
            case 0: try? DomainPattern(fqdnName: name)
            case 1: try? DomainPattern(fqdnPattern: name.replacing("a", with: "*"))
            case 2: try? DomainPattern(clusterDomain: "*." + name)
            default: try? DomainPattern(fqdnPattern: "*")
            }
        }
    }

    @Test("What parsing and matching take is printed, for one name and for thousands")
    func cost() throws {
        let parser = try DNSParser()
        for count in [1, 100, 5_000] {
            let patterns = try (0..<count).map { try DomainPattern(fqdnName: "host\($0).example.com") }
            try parser.install(DomainAutomaton(compiling: patterns))
            for addresses in [1, 8] {
                let message = DNSEncoder.encode(answer(addresses: addresses, aliases: 1, name: "host0.example.com"))
                #expect(try parser.patternSet(message) != 0)
                let time = try parser.nanoseconds(message, repeat: 10_000)
                print("DNSParserTests: \(count) names, \(addresses) addresses behind an alias: \(time) ns")
            }
        }
    }
}
