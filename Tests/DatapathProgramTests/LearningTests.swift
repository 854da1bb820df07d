internal import Addressing
internal import BPF
internal import DatapathABI
internal import DomainNames
internal import TestSupport
internal import Testing

@Suite("What DNS answers teach the data path")
struct LearningTests {
    @Test("An answer to the pod's own question opens its addresses and no others")
    func learns() throws {
        let asker = try Asker()
        #expect(try !asker.reaches(Asker.web[0], from: 50_000))
        try asker.ask("A.Web.TEST")
        try asker.answer("a.WEB.test")
        for (number, address) in Asker.web.enumerated() {
            #expect(try asker.reaches(address, from: Port(50_001 + UInt16(number))))
        }
        #expect(try !asker.reaches(ip("203.0.113.3"), from: 50_009))
        #expect(try asker.count(.APUS_DNS_COUNT_LEARNED) == 1 && asker.count(.APUS_DNS_COUNT_ADDRESSES) == 2)
    }

    @Test("Each of nine names of one address counts, as those of one set make room for each other")
    func manyNames() throws {
        let asker = try Asker()
        for number in 0..<9 {
            try asker.ask("n\(number).web.test", id: UInt16(number))
            try asker.answer("n\(number).web.test", id: UInt16(number), lifetime: UInt32(100 + number))
        }
        #expect(try asker.count(.APUS_DNS_COUNT_CROWDED) == 0)
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
    }

    /// How many names are held.
    private func names(_ asker: Asker) throws -> Int {
        try asker.datapath.maps.learnedNames.keys(as: UInt64.self).count
    }

    @Test("A name goes with the last of its addresses")
    func namesGo() throws {
        let asker = try Asker()
        for number in 0..<100 {
            try asker.ask("n\(number).web.test", id: UInt16(number))
            try asker.answer("n\(number).web.test", id: UInt16(number), lifetime: UInt32(100 + number))
            #expect(try names(asker) == min(number + 1, Int(APUS_LEARNED_NAMES * APUS_LEARNED_PARTS)))
        }
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
    }

    @Test(
        "A full map lets go of what has ended and never admitted a connection, and of nothing else",
        arguments: ["learned_addresses", "learned_names"])
    func makesRoom(full: String) throws {
        let asker = try Asker(sizes: [full: 4]) { config in
            config.name_minimum_ns = 0
            config.name_grace_ns = 0
        }
        let addresses = (1...6).map { ip("203.0.113.\($0)") }
        func learn(_ number: Int, lifetime: UInt32) throws {
            try asker.ask("n\(number).web.test", id: UInt16(number))
            try asker.answer(
                "n\(number).web.test", id: UInt16(number), lifetime: lifetime, addresses: [addresses[number]])
        }
        try learn(0, lifetime: 1)
        #expect(try asker.reaches(addresses[0], from: 50_000))
        try learn(1, lifetime: 60)
        for number in 2...3 { try learn(number, lifetime: 0) }
        asker.datapath.passTime()
        try asker.end(addresses[0])
        try learn(4, lifetime: 60)
        #expect(try asker.count(.APUS_DNS_COUNT_MADE_ROOM) == 2 && asker.count(.APUS_DNS_COUNT_NO_ROOM) == 0)
        for number in [1, 4] { #expect(try asker.reaches(addresses[number], from: Port(50_001 + UInt16(number)))) }
        #expect(try names(asker) == 3, "a connection leads to what the first one was learned for")
    }

    @Test("A name that has ended counts for a live connection that is judged again, and for no new one")
    func ends() throws {
        let asker = try Asker()
        try asker.ask()
        try asker.answer()
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
        for address in Asker.web { try asker.end(address) }
        try asker.datapath.bumpGeneration(of: asker.pod)
        #expect(try asker.reaches(Asker.web[0], from: 50_000))
        #expect(try !asker.reaches(Asker.web[0], from: 50_001))
    }

    @Test("Without policies that have names nothing is noted")
    func nothingInForce() throws {
        let asker = try Asker()
        try asker.datapath.maps.domainAutomaton.delete(UInt32(0))
        try asker.ask()
        try asker.answer()
        #expect(try asker.count(.APUS_DNS_COUNT_QUESTIONS) == 0 && !asker.isTaught)
    }
}
