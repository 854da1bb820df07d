internal import Addressing
internal import BPF
internal import DNSMessages
internal import DatapathABI
internal import TestSupport
internal import Testing
internal import Wire

@Suite("Answers in parts, and several at once")
struct AnswerPartsTests {
    @Test("Each of several answers in one segment teaches")
    func pipelined() throws {
        let stream = try StreamAsker()
        for number in 1...8 { try stream.ask(UInt16(number)) }
        try stream.receive((1...8).flatMap { StreamAsker.framed(StreamAsker.answer($0)) }, at: 0)
        for number in 1...8 { #expect(try stream.isTaught(UInt16(number)), "\(number)") }
        #expect(try stream.asker.handedOver().isEmpty)
    }

    @Test("An answer in two segments is handed over wherever it is cut, and those around it teach at once")
    func cutAnywhere() throws {
        let stream = try StreamAsker()
        let (first, second, third) = (StreamAsker.answer(1), StreamAsker.answer(2), StreamAsker.answer(3))
        let framed = [first, second, third].map(StreamAsker.framed)
        let bytes = framed.flatMap { $0 }
        let before = framed[0].count
        var place = 0
        for cut in stride(from: before + 2, to: before + framed[1].count, by: 3) {
            try stream.asker.datapath.maps.learnedAddresses.clear(apus_learned_key.self)
            for number in 1...3 { try stream.ask(UInt16(number)) }
            try stream.receive(bytes[..<cut], at: place)
            try stream.receive(bytes[cut...], at: place + cut)
            let inner = cut - before - 2
            let parts = [
                stream.part(second, after: place + before, 0..<inner),
                stream.part(second, after: place + before, inner..<second.count),
            ]
            // One of which only the length came before is whole.
            #expect(try stream.asker.handedOver() == (inner == 0 ? [] : parts), "\(cut)")
            #expect(try stream.isTaught(1) && stream.isTaught(2) == (inner == 0) && stream.isTaught(3), "\(cut)")
            place += bytes.count
        }
    }

    @Test("A segment that ends within a length hides no answer: neither that one nor those behind it")
    func cutInLength() throws {
        let stream = try StreamAsker()
        for number in 1...3 { try stream.ask(UInt16(number)) }
        let bytes = (1...3).flatMap { StreamAsker.framed(StreamAsker.answer($0)) }
        let cut = StreamAsker.framed(StreamAsker.answer(1)).count + 1
        // The first part once more, as TCP sends again what was not acknowledged.
        for _ in 0..<2 { try stream.receive(bytes[..<cut], at: 0) }
        #expect(try stream.isTaught(1) && !stream.isTaught(2))
        try stream.receive(bytes[cut...], at: cut)
        #expect(try stream.isTaught(2) && stream.isTaught(3) && stream.asker.handedOver().isEmpty)
    }

    @Test(
        "A length in segments of its own hides no answer, and each teaches at once",
        arguments: [[1, 2], [2], [1], [1, 2, 3]])
    func lengthAlone(cuts: [Int]) throws {
        let stream = try StreamAsker()
        for number in 1...2 { try stream.ask(UInt16(number)) }
        let bytes = (1...2).flatMap { StreamAsker.framed(StreamAsker.answer($0)) }
        for (from, to) in zip([0] + cuts, cuts + [bytes.count]) { try stream.receive(bytes[from..<to], at: from) }
        let isWhole = cuts.last != 3
        #expect(try stream.isTaught(1) == isWhole && stream.isTaught(2))
        let parts = try stream.asker.handedOver()
        #expect(parts.map(\.offset) == (isWhole ? [] : [0, 1]))
        #expect(parts.flatMap(\.bytes) == (isWhole ? [] : StreamAsker.answer(1)))
    }

    @Test("A length that is cut may be that of an answer in several segments")
    func cutInLengthAndAnswer() throws {
        let stream = try StreamAsker()
        for number in 1...2 { try stream.ask(UInt16(number)) }
        let long = StreamAsker.answer(1, addresses: 15)
        let bytes = StreamAsker.framed(long) + StreamAsker.framed(StreamAsker.answer(2))
        for (from, to) in [(0, 1), (1, 100), (100, bytes.count)] { try stream.receive(bytes[from..<to], at: from) }
        #expect(
            try stream.asker.handedOver()
                == [0..<98, 98..<long.count].map { stream.part(long, after: 0, $0) })
        #expect(try !stream.isTaught(1) && stream.isTaught(2))
    }

    @Test(
        "Each of eight datagrams that the receive offload has merged teaches, and the agent gets those behind them",
        arguments: [3, 30])
    func mergedDatagrams(count: Int) throws {
        let asker = try Asker()
        for number in 1...count { try asker.ask("n\(100 + number).web.test", id: UInt16(number)) }
        // Of one length but for the last; the second one is no answer to a question.
        let answers = (1...count).map { number in
            let id = UInt16(number == 2 ? 9_999 : number)
            let addresses = [ip("203.0.113.\(number)")] + (number == count ? [] : [ip("198.51.100.\(number)")])
            return DNSEncoder.encode(Asker.message("n\(100 + number).web.test", id: id, addresses: addresses))
        }
        #expect(Set(answers.dropLast().map(\.count)).count == 1)
        let packet = asker.pod.receives(from: Asker.resolver).udp(from: 53, to: 40_000)
            .payload(answers.flatMap { $0 })
        let run = try asker.datapath.runMerged(packet, toPod: asker.pod, size: answers[0].count, count: count)
        #expect(run == .passed)
        for number in 1...count {
            let reaches = try asker.reaches(ip("203.0.113.\(number)"), from: Port(50_000 + UInt16(number)))
            #expect(reaches == (number != 2 && number <= 8), "\(number)")
        }
        #expect(try asker.handedOver().map(\.bytes) == Array(answers.dropFirst(8)))
        #expect(try asker.count(.APUS_DNS_COUNT_UNASKED) == 1)
    }

    @Test("From the ninth answer of a segment on the agent gets them in a row")
    func ninth() throws {
        let stream = try StreamAsker()
        for number in 1...11 { try stream.ask(UInt16(number)) }
        let answers = (1...11).map { StreamAsker.framed(StreamAsker.answer($0)) }
        try stream.receive(answers.flatMap { $0 }, at: 0)
        for number in 1...11 { #expect(try stream.isTaught(UInt16(number)) == (number <= 8), "\(number)") }
        let row = try stream.asker.handedOver()
        #expect(row.map(\.kind) == [.APUS_HANDED_OVER_ROW])
        #expect(row.first?.bytes == answers[8...].flatMap { $0 })
        #expect(try stream.asker.count(.APUS_DNS_COUNT_SEGMENTED) == 1)
    }

    @Test("A segment that TCP sends again is told again, and one that is missing puts nothing off for long")
    func again() throws {
        let stream = try StreamAsker()
        let long = StreamAsker.answer(1, addresses: 15)
        let framed = StreamAsker.framed(long)
        for number in 1...2 { try stream.ask(UInt16(number)) }
        for _ in 0..<2 { try stream.receive(framed[..<100], at: 0) }
        try stream.receive(framed[50..<120], at: 50)
        #expect(
            try stream.asker.handedOver() == [0..<98, 0..<98, 48..<118].map { stream.part(long, after: 0, $0) })
        // Beyond the end of the answer, which has not come.
        let next = StreamAsker.framed(StreamAsker.answer(2))
        try stream.receive(next, at: framed.count + 7)
        #expect(try !stream.isTaught(2) && stream.asker.handedOver().isEmpty)
        try stream.receive(next, at: framed.count)
        #expect(try stream.isTaught(2))
    }

    @Test("The beginning of what nobody asked for is not handed over")
    func unasked() throws {
        let stream = try StreamAsker()
        try stream.ask(1)
        let answer = StreamAsker.framed(StreamAsker.answer(2, addresses: 15))
        try stream.receive(answer[..<100], at: 0)
        try stream.receive(answer[100...] + StreamAsker.framed(StreamAsker.answer(1)), at: 100)
        #expect(try stream.asker.handedOver().isEmpty)
        // What comes behind it is an answer.
        #expect(try stream.asker.count(.APUS_DNS_COUNT_UNASKED) == 1 && stream.isTaught(1))
    }

    @Test("More answers than are looked for leave it known where the next one begins", arguments: [0, 1, 2, 30])
    func behindRow(cut: Int) throws {
        let stream = try StreamAsker()
        for number in 1...12 { try stream.ask(UInt16(number)) }
        let answers = (1...12).map { StreamAsker.framed(StreamAsker.answer($0)) }
        let bytes = answers.flatMap { $0 }
        let end = answers[..<11].reduce(0) { $0 + $1.count } + cut
        try stream.receive(bytes[..<end], at: 0)
        try stream.receive(bytes[end...], at: end)
        let parts = try stream.asker.handedOver()
        #expect(parts.first?.kind == .APUS_HANDED_OVER_ROW && parts.first?.bytes == answers[8..<11].flatMap { $0 })
        #expect(parts.dropFirst().flatMap(\.bytes) == (cut == 30 ? Array(answers[11].dropFirst(2)) : []))
        #expect(try stream.isTaught(12) == (cut < 30))
    }

    @Test("Eight questions of a segment wait, and one whose length came before it; others are counted")
    func questions() throws {
        let stream = try StreamAsker()
        let asked = (1...9).map { StreamAsker.framed(StreamAsker.question($0)) }
        try stream.send(asked.flatMap { $0 }, flags: [.ack])
        #expect(try stream.asker.count(.APUS_DNS_COUNT_QUESTIONS) == 8)
        #expect(try stream.asker.count(.APUS_DNS_COUNT_UNNOTED) == 1)
        let alone = StreamAsker.framed(StreamAsker.question(10))
        try stream.send(Array(alone.prefix(2)), flags: [.ack])
        try stream.send(Array(alone.dropFirst(2)), flags: [.ack])
        #expect(try stream.asker.count(.APUS_DNS_COUNT_QUESTIONS) == 9)
        let bytes = [8, 10].flatMap { StreamAsker.framed(StreamAsker.answer($0)) }
        try stream.receive(bytes, at: 0)
        #expect(try stream.isTaught(8) && stream.isTaught(10))
        try stream.send(Array(alone.prefix(20)), flags: [.ack])
        #expect(try stream.asker.count(.APUS_DNS_COUNT_UNNOTED) == 2)
    }

    @Test("A segment outside of the pod's connection is nobody's answer")
    func foreign() throws {
        let stream = try StreamAsker()
        try stream.ask(1)
        let packet = stream.asker.pod.receives(from: Asker.resolver)
            .tcp(from: 53, to: 40_001, flags: [.ack], sequence: 1_000)
            .payload(Array(StreamAsker.framed(StreamAsker.answer(1, addresses: 15)).prefix(100)))
        _ = try stream.asker.datapath.run(packet, on: .toPod(stream.asker.pod))
        #expect(try stream.asker.handedOver().isEmpty && !stream.asker.isTaught)
    }

    @Test("Fragments of an answer are handed over with their places and UDP's header")
    func fragments() throws {
        let asker = try Asker()
        try asker.ask()
        let message = StreamAsker.answer(7, addresses: 15)
        let whole = asker.pod.receives(from: Asker.resolver).udp(from: 53, to: 40_000).payload(message)
        for fragment in whole.fragments(of: 96) {
            #expect(try asker.datapath.run(fragment, on: .toPod(asker.pod)) == .passed)
        }
        let parts = try asker.handedOver()
        #expect(parts.allSatisfy { $0.kind == .APUS_HANDED_OVER_FRAGMENT && $0.number == parts[0].number })
        #expect(parts.flatMap(\.bytes).dropFirst(8).elementsEqual(message))
        #expect(parts.map(\.offset) == parts.indices.map { UInt32($0 * 96) })
        let totals = parts.dropLast().map { _ in UInt32(0) } + [UInt32(message.count + 8)]
        #expect(parts.map(\.total) == totals)
        #expect(try !asker.isTaught && asker.count(.APUS_DNS_COUNT_FRAGMENTED) == UInt64(parts.count))
    }
}
