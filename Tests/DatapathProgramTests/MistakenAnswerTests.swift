internal import Addressing
internal import DNSMessages
internal import DatapathABI
internal import TestSupport
internal import Testing
internal import Wire

@Suite("Answers of a trusted resolver's address that are not the one that was asked for")
struct MistakenAnswerTests {
    private static let forged = ip("203.0.113.66")

    @Test("An answer that nobody asked for teaches nothing")
    func unasked() throws {
        let asker = try Asker()
        try asker.ask(id: 8)
        try asker.answer()
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNASKED)
    }

    @Test("A thousand guesses of the id that come before the real answer teach nothing, and it teaches its own")
    func guessedIDs() throws {
        let asker = try Asker()
        try asker.ask(id: 40_000)
        // Every 64th id, and never that of the question.
        for id in stride(from: UInt16(1), through: UInt16.max, by: 64) {
            try asker.answer(id: id, addresses: [Self.forged])
        }
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNASKED, times: 1024)
        try asker.answer(id: 40_000)
        #expect(try asker.reaches(Asker.web[0], from: 50_001) && !asker.reaches(Self.forged, from: 50_002))
    }

    @Test("The right id with another name teaches nothing, and the real answer still counts")
    func otherName() throws {
        let asker = try Asker()
        try asker.ask("a.web.test")
        try asker.answer("b.web.test", addresses: [Self.forged])
        try asker.expectNothingLearned(.APUS_DNS_COUNT_MISMATCHED)
        try asker.answer("a.web.test")
        #expect(try asker.reaches(Asker.web[0], from: 50_001) && !asker.reaches(Self.forged, from: 50_002))
    }

    @Test("The right id and name with another type teach nothing")
    func otherType() throws {
        let asker = try Asker()
        try asker.ask()
        try asker.answer(type: .aaaa)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_MISMATCHED)
    }

    @Test("An answer about a name that no pattern matches teaches nothing")
    func unmatched() throws {
        let asker = try Asker()
        try asker.ask("web.test")
        try asker.answer("web.test")
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNMATCHED)
    }

    @Test("A second answer to one question teaches nothing, be it the forged one")
    func second() throws {
        let asker = try Asker()
        try asker.ask()
        try asker.answer(addresses: [])
        try asker.answer()
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNASKED)
    }

    @Test("An answer after the question's time teaches nothing")
    func late() throws {
        let asker = try Asker { $0.question_timeout_ns = 1 }
        try asker.ask()
        asker.datapath.passTime()
        try asker.answer()
        try asker.expectNothingLearned(.APUS_DNS_COUNT_LATE)
    }

    @Test("A question that comes back as an answer teaches nothing, and is left to the agent")
    func question() throws {
        let asker = try Asker()
        try asker.ask()
        try asker.answer(flags: 0x0100)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNPARSED)
    }

    @Test("An answer with addresses of other names among its own is left to the agent, who takes the name's own only")
    func strayAnswers() throws {
        let asker = try Asker()
        try asker.ask()
        var message = Asker.message()
        message.answers.append(.init(owner: "b.web.test", data: .address(Self.forged)))
        message.answers.append(.init(owner: "elsewhere.test", data: .alias("a.web.test")))
        try asker.receive(message)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNPARSED)
        let parts = try asker.handedOver()
        #expect(parts.map(\.kind) == [.APUS_HANDED_OVER_MESSAGE])
        let bytes = try #require(parts.first).bytes
        let read = try DNSResponse(parsing: bytes.span.bytes)
        #expect(read.name == "a.web.test" && read.addresses.map(\.address) == Asker.web)
    }

    @Test("Addresses in the authority and additional sections teach nothing, be they of the name in question")
    func otherSections() throws {
        let asker = try Asker()
        try asker.ask()
        var message = Asker.message()
        message.authorities = [.init(owner: "a.web.test", data: .address(Self.forged))]
        message.additionals = [
            .init(owner: "a.web.test", data: .address(ip("203.0.113.67"))),
            .init(owner: "ns.web.test", data: .address(ip("203.0.113.68"))),
            .init(owner: "a.web.test", data: .alias("b.web.test")),
        ]
        try asker.receive(message)
        #expect(try asker.count(.APUS_DNS_COUNT_LEARNED) == 1 && asker.count(.APUS_DNS_COUNT_ADDRESSES) == 2)
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
        for number in 66...68 {
            #expect(try !asker.reaches(ip("203.0.113.\(number)"), from: Port(50_000 + UInt16(number))))
        }
    }

    @Test("An alias leads only from the name in question on: what it leads to is not learned under a name of its own")
    func alias() throws {
        let asker = try Asker()
        try asker.ask("web.test")
        // The name in question matches nothing; the alias' target would.
        var message = SentMessage(id: 7, name: "web.test")
        message.answers = [
            .init(owner: "web.test", data: .alias("a.web.test")),
            .init(owner: "a.web.test", data: .address(Asker.web[0])),
        ]
        try asker.receive(message)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNMATCHED)
    }
}
