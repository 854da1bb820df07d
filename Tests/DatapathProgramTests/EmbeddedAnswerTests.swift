internal import DNSMessages
internal import DatapathABI
internal import TestSupport
internal import Testing

/// A pod that gets the bytes of an answer into another one, such as the text of a record in a zone of its own, and has
/// a segment begin with them: where segments begin is up to the pod's window and to what it acknowledges.
@Suite("Answers within other answers")
struct EmbeddedAnswerTests {
    /// An answer that a hostile zone hides in a record, in a long one that nobody asked for.
    private static let hidden = StreamAsker.framed(StreamAsker.answer(7))
    private static let inner = StreamAsker.answer(2, addresses: 4) + hidden
    private static let carrier = StreamAsker.framed(inner + StreamAsker.answer(3, addresses: 4))
    /// Where the hidden answer begins, its length included.
    private static let place = 2 + inner.count - hidden.count

    private static func asker() throws -> StreamAsker {
        let stream = try StreamAsker()
        try stream.ask(7)
        return stream
    }

    private static func expectUntaught(_ stream: StreamAsker, _ comment: Comment) throws {
        #expect(try !stream.asker.isTaught, comment)
        #expect(try stream.asker.handedOver().isEmpty, comment)
    }

    @Test("A segment that begins with one, within an answer that nobody asked for, teaches nothing")
    func withinUnasked() throws {
        let stream = try Self.asker()
        try stream.receive(Self.carrier[..<Self.place], at: 0)
        try stream.receive(Self.carrier[Self.place...], at: Self.place)
        try Self.expectUntaught(stream, "in order")
        // The real answer comes behind it, and counts.
        try stream.receive(Self.hidden, at: Self.carrier.count)
        #expect(try stream.isTaught(7))
    }

    @Test("A segment that is sent again from there teaches nothing, whatever came behind it")
    func sentAgain() throws {
        let stream = try Self.asker()
        try stream.receive(Self.carrier, at: 0)
        for end in [Self.carrier.count, Self.place + Self.hidden.count] {
            try stream.receive(Self.carrier[Self.place..<end], at: Self.place)
        }
        try Self.expectUntaught(stream, "again")
        try stream.receive(Self.carrier[Self.place...] + Self.hidden, at: Self.place)
        #expect(try stream.isTaught(7), "what is behind the carrier is the real one")
    }

    @Test("A segment behind a missing one teaches nothing, and is counted")
    func behindGap() throws {
        let stream = try Self.asker()
        try stream.receive(Self.carrier[Self.place...], at: Self.place)
        try Self.expectUntaught(stream, "gap")
        #expect(try stream.asker.count(.APUS_DNS_COUNT_UNALIGNED) == 1)
        try stream.receive(Self.carrier[..<Self.place], at: 0)
        try stream.receive(Self.hidden, at: Self.carrier.count)
        #expect(try stream.isTaught(7))
    }

    @Test("Without the resolver's SYN it is not known where an answer begins: nothing is learned")
    func withoutBeginning() throws {
        let stream = try Self.asker()
        try stream.asker.datapath.maps.dnsStreams.clear(apus_connection_key.self)
        try stream.receive(Self.hidden, at: 0)
        try Self.expectUntaught(stream, "forgotten")
        #expect(try stream.asker.count(.APUS_DNS_COUNT_UNALIGNED) == 1)
    }

    @Test("A connection that takes the ports of another one begins anew")
    func portsAgain() throws {
        let stream = try Self.asker()
        try stream.receive(Self.carrier, at: 0)
        try stream.send([], flags: [.rst, .ack])
        try stream.open()
        try stream.ask(7)
        try stream.receive(Self.hidden, at: 0)
        #expect(try stream.isTaught(7))
    }
}
