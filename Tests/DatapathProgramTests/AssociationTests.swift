internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

/// What a packet of SCTP begins with (RFC 9260, section 3.2).
enum Chunk: UInt8 {
    case data = 0
    case opening = 1
    case openingAnswer = 2
    case abort = 6
    case shutdown = 7
    case shutdownAnswer = 8
    case cookie = 10
    case cookieAnswer = 11
    case shutdownComplete = 14

    /// What says of an association what the flags say of a connection.
    init(_ flags: TCPFlags) {
        switch flags {
        case .syn: self = .opening
        case [.syn, .ack]: self = .openingAnswer
        case .rst, [.rst, .ack]: self = .abort
        case .fin, [.fin, .ack]: self = .shutdown
        default: self = .data
        }
    }

    /// One that is long enough for each kind.
    var bytes: [UInt8] { [rawValue, 0, 0, 20] + [UInt8](repeating: 1, count: 16) }
}

/// The packets of two pods that associate by one port at both ends, as peers of Diameter do.
private struct Association {
    static let port: Port = 3868

    let datapath: DatapathFixture
    let client: Pod
    let server: Pod
    var family = Family.v4

    func packet(from sender: Pod, _ chunk: Chunk) -> Packet {
        let receiver = sender == client ? server : client
        return sender.sends(to: receiver[family]).sctp(from: Self.port, to: Self.port)
            .payload(chunk.bytes)
    }

    @discardableResult
    func client(_ chunk: Chunk) throws -> Fate { try datapath.run(packet(from: client, chunk), on: .fromPod(client)) }

    @discardableResult
    func server(_ chunk: Chunk) throws -> Fate { try datapath.run(packet(from: server, chunk), on: .fromPod(server)) }

    func establish() throws {
        #expect(try client(.opening) == .delivered)
        #expect(try server(.openingAnswer) == .delivered)
        #expect(try client(.cookie) == .delivered)
        #expect(try server(.cookieAnswer) == .delivered)
    }

    /// Either end may begin to shut the association down.
    func shutDown() throws {
        #expect(try client(.shutdown) == .delivered)
        #expect(try server(.shutdownAnswer) == .delivered)
        #expect(try client(.shutdownComplete) == .delivered)
    }

    func found() throws -> FoundConnection { try #require(try datapath.connection(of: packet(from: client, .data))) }
}

extension DatapathFixture {
    /// Two pods, of which one may be opened to by nobody.
    fileprivate func association(_ family: Family = .v4, clientIngress: UInt32 = 0) throws -> Association {
        try set(.denyAll)
        return Association(
            datapath: self, client: try addPod(ingress: clientIngress), server: try addPod(), family: family)
    }
}

@Suite("Associations of SCTP")
struct AssociationTests {
    @Test("An INIT from the other end replaces the association and turns it around", arguments: Family.allCases)
    func turnedAround(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association(family)
        try talk.establish()
        _ = datapath.events()
        #expect(try talk.server(.opening) == .delivered)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.closed, .opened] && events.first?.ending == .replaced)
        #expect(try talk.found().entry.openerSide.endpoint == talk.server.slot)
    }

    @Test("An INIT from the other end that policy denies leaves the association alone", arguments: Family.allCases)
    func deniedOpeningReplacesNothing(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association(family, clientIngress: HandMadePolicy.denyAll.id)
        try talk.establish()
        #expect(try talk.server(.opening) == .dropped(entering: .isolated))
        #expect(try talk.server(.data) == .delivered)
    }

    @Test("What the other end opens after a shutdown is judged, by the same ports too", arguments: Family.allCases)
    func openingAfterShutdown(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association(family, clientIngress: HandMadePolicy.denyAll.id)
        try talk.establish()
        try talk.shutDown()
        #expect(try talk.server(.opening) == .dropped(entering: .isolated))
    }

    @Test("Cut one way and allowed the other, the ends associate the other way round", arguments: Family.allCases)
    func cutAndTurned(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association(family)
        try talk.establish()
        try datapath.setEndpoint(of: talk.client) {
            $0.egress_policy = HandMadePolicy.denyAll.id
            $0.generation += 1
        }
        #expect(try talk.server(.data) == .dropped(leaving: .isolated))
        #expect(try talk.server(.opening) == .delivered)
        #expect(try talk.client(.openingAnswer) == .delivered)
        #expect(try talk.client(.opening) == .dropped(leaving: .isolated))
    }

    @Test("The first fragment of an INIT is one")
    func fragmented() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association(clientIngress: HandMadePolicy.denyAll.id)
        try talk.establish()
        let fragments = talk.packet(from: talk.server, .opening).fragments(of: 16)
        #expect(try datapath.run(fragments[0], on: .fromPod(talk.server)) == .dropped(entering: .isolated))
    }

    @Test("An INIT repeated by the opener is the same opening")
    func repeated() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association()
        for _ in 0..<3 { try talk.client(.opening) }
        #expect(datapath.events().map(\.kind) == [.opened])
        #expect(try talk.found().entry.openerSide.packets == 3)
    }

    @Test("A packet without a chunk, and one with another behind its end, open nothing", arguments: [0, 4])
    func short(padding: Int) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association(clientIngress: HandMadePolicy.denyAll.id)
        try talk.establish()
        let packet = talk.server.sends(to: talk.client.v4).sctp(from: Association.port, to: Association.port)
        let frame = packet.bytes + [UInt8](repeating: Chunk.opening.rawValue, count: padding)
        #expect(try datapath.run(frame, on: .fromPod(talk.server)) == .delivered)
    }

    @Test("A shutdown ends it when it is complete, with one event, and the next INIT opens")
    func finished() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association()
        try talk.establish()
        try talk.shutDown()
        try talk.client(.shutdownComplete)
        let events = datapath.events()
        #expect(events.map(\.kind) == [.opened, .closed] && events.last?.ending == .finished)
        #expect(events.last?.forward_packets == 4 && events.last?.reverse_packets == 3)
        #expect(try talk.found().entry.has(APUS_CONNECTION_CLOSED))
        #expect(try talk.client(.opening) == .delivered)
        #expect(datapath.events().map(\.kind) == [.opened])
        #expect(try talk.found().entry.openerSide.packets == 1)
    }

    @Test("An ABORT ends it at once, from either end", arguments: [true, false])
    func aborted(byClient: Bool) throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association()
        try talk.establish()
        _ = byClient ? try talk.client(.abort) : try talk.server(.abort)
        #expect(datapath.events().map(\.ending) == [.live, .reset])
        let entry = try talk.found().entry
        #expect(entry.has(APUS_CONNECTION_CLOSED) && entry.has(APUS_CONNECTION_RESET))
    }

    @Test("What has ended is forgotten after its own time")
    func expires() throws {
        let datapath = try DatapathFixture { $0.closing_timeout_ns = 1 }
        let talk = try datapath.association(clientIngress: HandMadePolicy.denyAll.id)
        try talk.establish()
        try talk.shutDown()
        datapath.passTime()
        #expect(try talk.server(.data) == .dropped(entering: .isolated))
    }

    @Test("A refused INIT ends half open")
    func refused() throws {
        let datapath = try DatapathFixture()
        let talk = try datapath.association()
        try talk.client(.opening)
        #expect(try talk.server(.abort) == .delivered)
        let found = try talk.found()
        #expect(found.isHalfOpen && found.entry.has(APUS_CONNECTION_CLOSED))
        #expect(datapath.events().map(\.ending) == [.live, .reset])
    }

    @Test("One that is cut off stays so as long as either end tries", arguments: [true, false])
    func staysCut(byClient: Bool) throws {
        let datapath = try DatapathFixture { $0.established_timeout_ns = 60 * DatapathFixture.second }
        let talk = try datapath.association()
        try talk.establish()
        try datapath.setEndpoint(of: talk.client) {
            $0.egress_policy = HandMadePolicy.denyAll.id
            $0.generation += 1
        }
        for _ in 0..<3 {
            #expect(try (byClient ? talk.client(.data) : talk.server(.data)) == .dropped(leaving: .isolated))
            try datapath.age(talk.packet(from: talk.client, .data), seconds: 40)
        }
        #expect(try talk.server(.data) == .dropped(leaving: .isolated))
    }
}
