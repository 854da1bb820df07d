internal import Addressing
internal import BPF
internal import DNSMessages
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Questions of one pod and those of others")
struct QuestionShareTests {
    @Test("A pod that asks without end forgets its own questions, and no other pod's")
    func flood() throws {
        let asker = try Asker(sizes: ["dns_questions": 4096])
        let other = try asker.datapath.addPod(egress: 0x77)
        let question = other.sends(to: Asker.resolver).udp(from: 41_000, to: 53)
            .payload(DNSEncoder.encode(Asker.question(id: 9)))
        #expect(try asker.datapath.run(question, on: .fromPod(other)) == .passed)
        for number in 0..<6_000 { try asker.ask(id: UInt16(number)) }
        #expect(try asker.count(.APUS_DNS_COUNT_FORGOTTEN) == 6_000 - UInt64(APUS_QUESTIONS_OF_POD))
        let answer = other.receives(from: Asker.resolver).udp(from: 53, to: 41_000)
            .payload(DNSEncoder.encode(Asker.message(id: 9)))
        #expect(try asker.datapath.run(answer, on: .toPod(other)) == .passed)
        #expect(try asker.count(.APUS_DNS_COUNT_LEARNED) == 1)
        // Its own last one still waits, and its first one does not.
        try asker.answer(id: 5_999)
        #expect(try asker.count(.APUS_DNS_COUNT_LEARNED) == 2)
        try asker.answer(id: 0)
        #expect(try asker.count(.APUS_DNS_COUNT_LEARNED) == 2 && asker.count(.APUS_DNS_COUNT_UNASKED) == 1)
    }

    @Test("A question that is asked again does not go with its first place")
    func askedAgain() throws {
        let asker = try Asker()
        try asker.ask(id: 1)
        for number in 2..<UInt16(APUS_QUESTIONS_OF_POD) { try asker.ask(id: number) }
        try asker.ask(id: 1)
        for number in 1_000..<1_100 as Range<UInt16> { try asker.ask(id: number) }
        try asker.answer(id: 1)
        #expect(try asker.count(.APUS_DNS_COUNT_LEARNED) == 1)
    }
}
