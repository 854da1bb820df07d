internal import BPF
internal import DNSMessages
internal import DatapathABI
internal import TestSupport
internal import Testing

/// A segment that is lost on the network comes after those that were sent behind it.
@Suite("Answers in segments that come out of order")
struct LateSegmentTests {
    private static let long = StreamAsker.answer(1, addresses: 15)
    private static let framed = StreamAsker.framed(long)
    private static let cuts = [0, 100, 180, framed.count]

    /// The bytes of a segment, and what the agent gets of it.
    private static func segment(_ number: Int) -> (bytes: ArraySlice<UInt8>, place: Int, part: Range<Int>) {
        let (first, end) = (cuts[number - 1], cuts[number])
        return (framed[first..<end], first, max(0, first - 2)..<end - 2)
    }

    private static func asker() throws -> StreamAsker {
        let stream = try StreamAsker()
        for number in 1...3 { try stream.ask(UInt16(number)) }
        return stream
    }

    @Test(
        "Every part is handed over, whatever comes behind the answer meanwhile",
        arguments: [[1, 2, 3], [1, 3, 2], [1, 2, 2, 3], [1, 3, 2, 2], [1, 1, 3, 3, 2]])
    func orders(order: [Int]) throws {
        let stream = try Self.asker()
        for number in order {
            let segment = Self.segment(number)
            try stream.receive(segment.bytes, at: segment.place)
        }
        let expected = order.map { stream.part(Self.long, after: 0, Self.segment($0).part) }
        #expect(try stream.asker.handedOver() == expected)
        let next = StreamAsker.framed(StreamAsker.answer(2))
        try stream.receive(next, at: Self.framed.count)
        #expect(try stream.isTaught(2))
    }

    @Test("What is lost of an answer comes after the next answers, whole ones and the beginning of a long one")
    func behindOthers() throws {
        let stream = try Self.asker()
        let other = StreamAsker.answer(3, addresses: 15)
        let bytes = Self.framed + StreamAsker.framed(StreamAsker.answer(2)) + StreamAsker.framed(other)
        let last = bytes.count - 60
        for (from, to) in [(0, 100), (180, last), (100, 180), (last, bytes.count)] {
            try stream.receive(bytes[from..<to], at: from)
        }
        let before = bytes.count - other.count - 2
        #expect(try stream.isTaught(2))
        #expect(
            try stream.asker.handedOver() == [
                stream.part(Self.long, after: 0, 0..<98), stream.part(Self.long, after: 0, 178..<Self.long.count),
                stream.part(other, after: before, 0..<other.count - 60),
                stream.part(Self.long, after: 0, 98..<178),
                stream.part(other, after: before, other.count - 60..<other.count),
            ])
    }

    @Test("A segment that has what was lost, and all behind it, is told in full")
    func merged() throws {
        let stream = try Self.asker()
        let bytes = Self.framed + StreamAsker.framed(StreamAsker.answer(2))
        for (from, to) in [(0, 100), (180, Self.framed.count), (100, bytes.count)] {
            try stream.receive(bytes[from..<to], at: from)
        }
        #expect(try stream.isTaught(2))
        #expect(try stream.asker.handedOver().map(\.offset) == [0, 178, 98])
    }

    @Test("An answer that was put together is not told again, however often its parts are sent")
    func answered() throws {
        let stream = try Self.asker()
        for number in 1...3 { try stream.receive(Self.segment(number).bytes, at: Self.segment(number).place) }
        #expect(try stream.asker.handedOver().count == 3)
        // As the agent does with what it has learned.
        let maps = stream.asker.datapath.maps
        for key in try maps.dnsQuestions.keys(as: apus_question_key.self) where key.id == 1 {
            try maps.dnsQuestions.delete(key)
        }
        for number in 2...3 { try stream.receive(Self.segment(number).bytes, at: Self.segment(number).place) }
        #expect(try stream.asker.handedOver().isEmpty)
    }
}
