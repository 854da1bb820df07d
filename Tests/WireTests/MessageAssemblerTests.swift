internal import Addressing
internal import PolicyGenerators
import Testing
internal import Wire

@Suite("Messages in parts")
struct MessageAssemblerTests {
    private typealias Assembler = MessageAssembler<Int>
    private typealias Outcome = Assembler.Outcome

    /// Bytes of a message and where they belong.
    private struct Part {
        let bytes: [UInt8]
        let offset: Int
        var total: Int?
    }

    private static func message(_ number: UInt32 = 1, connection: Int = 1, isDatagram: Bool = true) -> Assembler.Message
    {
        .init(connection: connection, number: number, isDatagram: isDatagram)
    }

    /// A message cut into random parts, the last of which tells the length; for a stream each one does.
    private static func cut(_ bytes: [UInt8], isDatagram: Bool, _ random: inout RandomSource) -> [Part] {
        var parts: [Part] = []
        var place = 0
        while place < bytes.count {
            let end = min(bytes.count, place + Int.random(in: 1...400, using: &random))
            let isTold = !isDatagram || end == bytes.count
            parts.append(Part(bytes: Array(bytes[place..<end]), offset: place, total: isTold ? bytes.count : nil))
            place = end
        }
        return parts
    }

    @Test("In any order, some twice, parts are the message that was sent", arguments: [true, false])
    func anyOrder(isDatagram: Bool) {
        var random = RandomSource(seed: 11)
        for _ in 0..<500 {
            let sent = (0..<Int.random(in: 1...5_000, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            var parts = Self.cut(sent, isDatagram: isDatagram, &random)
            parts.shuffle(using: &random)
            if parts.count > 1 { parts.insert(parts[0], at: 1) }
            var assembler = Assembler()
            let outcomes = parts.map {
                assembler.add(
                    $0.bytes.span.bytes, at: $0.offset, total: $0.total, of: Self.message(isDatagram: isDatagram),
                    now: 1)
            }
            #expect(outcomes.last == .complete(sent))
            #expect(outcomes.dropLast().allSatisfy { $0 == .waiting } && assembler.count == 0)
        }
    }

    @Test("Segments that TCP sends again with other bounds fit; fragments that overlap do not")
    func overlapping() {
        for isDatagram in [true, false] {
            var assembler = Assembler()
            let message = Self.message(isDatagram: isDatagram)
            let (first, second): ([UInt8], [UInt8]) = ([1, 2, 3, 4], [3, 4, 5, 6])
            #expect(assembler.add(first.span.bytes, at: 0, total: 6, of: message, now: 1) == .waiting)
            let outcome = assembler.add(second.span.bytes, at: 2, total: 6, of: message, now: 1)
            #expect(outcome == (isDatagram ? .refused : .complete([1, 2, 3, 4, 5, 6])))
        }
    }

    /// Two parts of which the second contradicts the first.
    private static let contradictions: [(String, Part, Part)] = [
        ("other bytes", Part(bytes: [1, 2], offset: 0), Part(bytes: [1, 3], offset: 0)),
        ("another length", Part(bytes: [1, 2], offset: 0, total: 8), Part(bytes: [3], offset: 2, total: 9)),
        ("beyond the end", Part(bytes: [1, 2], offset: 0, total: 4), Part(bytes: [3, 4, 5], offset: 2)),
        ("an end before what came", Part(bytes: [1, 2], offset: 4), Part(bytes: [3], offset: 0, total: 5)),
        ("too long", Part(bytes: [1, 2], offset: 0), Part(bytes: [3], offset: 65_535)),
        ("a length that is too much", Part(bytes: [1, 2], offset: 0), Part(bytes: [3], offset: 2, total: 65_536)),
    ]

    @Test("Nothing comes of a message whose parts contradict each other, whatever follows", arguments: [true, false])
    func contradicting(isDatagram: Bool) {
        let message = Self.message(isDatagram: isDatagram)
        for (what, first, second) in Self.contradictions {
            var assembler = Assembler()
            let parts = [first, second, Part(bytes: [1, 2], offset: 0, total: 2)]
            let outcomes = parts.map {
                assembler.add($0.bytes.span.bytes, at: $0.offset, total: $0.total, of: message, now: 1)
            }
            #expect(outcomes == [.waiting, .refused, .refused], "\(what)")
            #expect(assembler.losses.refused == 1, "\(what)")
        }
    }

    @Test("A message has its parts within seconds, or nothing comes of it")
    func late() {
        var assembler = Assembler()
        let (first, second): ([UInt8], [UInt8]) = ([1], [2])
        #expect(assembler.add(first.span.bytes, at: 0, total: 2, of: Self.message(), now: 1) == .waiting)
        let late = 2 + Assembler.Limits().age
        #expect(assembler.add(second.span.bytes, at: 1, total: 2, of: Self.message(), now: late) == .waiting)
        #expect(assembler.losses.incomplete == 1 && assembler.count == 1)
    }

    @Test("One connection can't crowd out the others, and all together have a bound")
    func bounds() {
        var assembler = Assembler()
        let part: [UInt8] = [1]
        for number in 0..<100 {
            _ = assembler.add(part.span.bytes, at: 0, total: 2, of: Self.message(UInt32(number)), now: UInt64(number))
        }
        #expect(assembler.count == 4 && assembler.losses.incomplete == 96)
        for connection in 0..<200 {
            _ = assembler.add(
                part.span.bytes, at: 0, total: 2, of: Self.message(connection: connection),
                now: UInt64(200 + connection))
        }
        #expect(assembler.count == 64)
        #expect(
            assembler.add(part.span.bytes, at: 1, total: 2, of: Self.message(connection: 199), now: 400)
                == .complete([1, 1]))
    }

    @Test("A message has a bounded number of parts")
    func manyParts() {
        var assembler = Assembler()
        let part: [UInt8] = [1]
        let outcomes = (0..<65).map {
            assembler.add(part.span.bytes, at: $0 * 8, total: nil, of: Self.message(), now: 1)
        }
        #expect(outcomes.firstIndex(of: .refused) == 64)
    }

    @Test("A datagram counts when its length and sum are right, with its ends in any order")
    func datagrams() throws {
        let ends = [("192.0.2.1", "192.0.2.9"), ("2001:db8::1", "2001:db8::9")]
        for (source, destination) in ends {
            let pair = (try #require(IPAddress(source)), try #require(IPAddress(destination)))
            var bytes: [UInt8] = [0, 53, 0x9c, 0x40, 0, 11, 0, 0, 1, 2, 3]
            #expect(UDPDatagram(bytes, between: pair) == nil, "no sum")
            let sum = UInt16(Self.checksum(bytes, pair))
            bytes[6] = UInt8(sum >> 8)
            bytes[7] = UInt8(sum & 0xff)
            #expect(UDPDatagram(bytes, between: pair)?.payload == [1, 2, 3])
            #expect(UDPDatagram(bytes, between: (pair.1, pair.0))?.payload == [1, 2, 3])
            bytes[10] ^= 1
            #expect(UDPDatagram(bytes, between: pair) == nil, "another byte")
            bytes[10] ^= 1
            #expect(UDPDatagram(bytes + [0], between: pair) == nil, "another length")
        }
    }

    /// What a sender puts into the header, word by word.
    private static func checksum(_ bytes: [UInt8], _ ends: (IPAddress, IPAddress)) -> UInt32 {
        let addresses = [ends.0, ends.1].flatMap { $0.isIPv4 ? Array($0.bytes.suffix(4)) : $0.bytes }
        let all = addresses + [0, 17, 0, UInt8(bytes.count)] + bytes + (bytes.count % 2 == 0 ? [] : [0])
        var sum: UInt32 = 0
        for place in stride(from: 0, to: all.count, by: 2) { sum += UInt32(all[place]) << 8 + UInt32(all[place + 1]) }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        return 0xffff - sum
    }
}
