internal import Addressing
internal import BPF
internal import DNSMessages
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("What the agent is given of answers that the data path can't read")
struct HandOverShareTests {
    /// An answer with a stray record: only the agent reads it.
    private func odd(id: UInt16) -> SentMessage {
        var message = Asker.message(id: id)
        message.answers.append(.init(owner: "elsewhere.test", data: .alias("a.web.test")))
        return message
    }

    @Test("An answer that nobody asked for is not handed over, be it malformed")
    func unasked() throws {
        let asker = try Asker()
        try asker.ask(id: 8)
        for id in 100..<200 { try asker.receive(odd(id: UInt16(id))) }
        let packet = asker.pod.receives(from: Asker.resolver).udp(from: 53, to: 40_000).payload([8])
        #expect(try asker.datapath.run(packet, on: .toPod(asker.pod)) == .passed)
        #expect(try asker.handedOver().isEmpty)
        try asker.expectNothingLearned(.APUS_DNS_COUNT_UNASKED, times: 101)
        try asker.receive(odd(id: 8))
        #expect(try asker.handedOver().count == 1)
    }

    @Test("Nor are answers in a row that nobody asked for, nor the first fragment of one")
    func unaskedParts() throws {
        let stream = try StreamAsker()
        for number in 1...9 { try stream.ask(UInt16(number)) }
        let unasked = (20...31).flatMap { StreamAsker.framed(StreamAsker.answer($0)) }
        try stream.receive(unasked, at: 0)
        #expect(try stream.asker.handedOver().isEmpty)
        try stream.receive(unasked + StreamAsker.framed(StreamAsker.answer(9)), at: unasked.count)
        #expect(try stream.asker.handedOver().map(\.kind) == [.APUS_HANDED_OVER_ROW])
        let asker = stream.asker
        try asker.ask()
        let whole = asker.pod.receives(from: Asker.resolver).udp(from: 53, to: 40_000)
            .payload(StreamAsker.answer(8, addresses: 15))
        let first = try #require(whole.fragments(of: 96).first)
        _ = try asker.datapath.run(first, on: .toPod(asker.pod))
        #expect(try asker.handedOver().isEmpty)
    }

    @Test("A pod that has a quarter of the ring gets no more of it until that is read, and others have theirs")
    func share() throws {
        let asker = try Asker()
        let other = try asker.datapath.addPod(egress: 0x77)
        func ask(_ pod: Pod, id: UInt16) throws {
            let question = pod.sends(to: Asker.resolver).udp(from: 40_000, to: 53)
                .payload(DNSEncoder.encode(Asker.question(id: id)))
            let answer = pod.receives(from: Asker.resolver).udp(from: 53, to: 40_000)
                .payload(DNSEncoder.encode(odd(id: id)))
            #expect(try asker.datapath.run(question, on: .fromPod(pod)) == .passed)
            #expect(try asker.datapath.run(answer, on: .toPod(pod)) == .passed)
        }
        for id in 1...300 { try ask(asker.pod, id: UInt16(id)) }
        try ask(other, id: 1)
        let handed = try asker.handedOver().count
        // A record of two kilobytes each; the last one is the other pod's.
        #expect((100...129).contains(handed))
        #expect(try asker.count(.APUS_DNS_COUNT_POD_SHARE) == UInt64(301 - handed))
        #expect(try asker.count(.APUS_DNS_COUNT_LOST) == 0)
        try ask(asker.pod, id: 301)
        #expect(try asker.handedOver().count == 1)
    }
}
