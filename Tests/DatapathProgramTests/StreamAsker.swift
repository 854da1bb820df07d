internal import Addressing
internal import BPF
internal import DNSMessages
internal import DatapathABI
internal import TestSupport
internal import Testing
internal import Wire

/// What the agent gets of an answer.
struct HandedOverPart: Equatable {
    let kind: apus_handed_over_kind
    let number: UInt32
    let offset: UInt32
    let total: UInt32
    let bytes: [UInt8]
}

/// A pod with a connection to its resolver over TCP.
struct StreamAsker {
    let asker: Asker
    let resolver: IPAddress
    private let start: UInt32 = 1_000

    init(to resolver: IPAddress = Asker.resolver) throws {
        asker = try Asker()
        self.resolver = resolver
        try open()
    }

    /// Opens the connection; the resolver's bytes begin behind its SYN.
    func open() throws {
        try send([], flags: .syn)
        try receive([UInt8](), at: -1, flags: [.syn, .ack])
    }

    func send(_ bytes: [UInt8], flags: TCPFlags) throws {
        let packet = asker.pod.sends(to: resolver).tcp(from: 40_000, to: 53, flags: flags).payload(bytes)
        #expect(try asker.datapath.run(packet, on: .fromPod(asker.pod)) == .passed)
    }

    static func framed(_ message: [UInt8]) -> [UInt8] {
        [UInt8(message.count >> 8), UInt8(message.count & 0xff)] + message
    }

    static func question(_ number: UInt16) -> [UInt8] {
        var message = SentMessage(id: number, name: "n\(number).web.test")
        message.flags = 0x0100
        return DNSEncoder.encode(message)
    }

    func ask(_ number: UInt16) throws { try send(Self.framed(Self.question(number)), flags: [.ack, .psh]) }

    /// An answer with an address of its own and as many others.
    static func answer(_ number: UInt16, addresses count: Int = 1) -> [UInt8] {
        let name = "n\(number).web.test"
        return DNSEncoder.encode(
            SentMessage(
                id: number, name: name,
                answers: (0..<count).map { .init(owner: name, data: .address(address(number, $0))) }))
    }

    static func address(_ number: UInt16, _ place: Int = 0) -> IPAddress {
        IPAddress(v4: 0xcb00_7100 | UInt32(number) << 4 | UInt32(place))
    }

    /// A segment of the resolver; where its bytes begin is told from the first one on.
    func receive(_ bytes: some Collection<UInt8>, at place: Int, flags: TCPFlags = [.ack]) throws {
        let packet = asker.pod.receives(from: resolver)
            .tcp(from: 53, to: 40_000, flags: flags, sequence: UInt32(Int(start) + place)).payload(Array(bytes))
        #expect(try asker.datapath.run(packet, on: .toPod(asker.pod)) == .passed)
    }

    func isTaught(_ number: UInt16) throws -> Bool {
        let key = apus_learned_key(address: apus_address(Self.address(number)), policy: 0x77, part: 0)
        return try asker.datapath.maps.learnedAddresses.lookup(key, as: apus_learned_address.self) != nil
    }

    /// The part of an answer that begins behind `place` bytes and their length.
    func part(_ message: [UInt8], after place: Int, _ range: Range<Int>) -> HandedOverPart {
        HandedOverPart(
            kind: .APUS_HANDED_OVER_SEGMENT, number: start + UInt32(place) + 2, offset: UInt32(range.lowerBound),
            total: UInt32(message.count), bytes: Array(message[range]))
    }
}

extension Asker {
    /// What was handed over since the last call.
    func handedOver() throws -> [HandedOverPart] {
        var parts: [HandedOverPart] = []
        _ = datapath.loaded.answers.drain { record in
            let header = record.unsafeLoadUnaligned(as: apus_handed_over.self)
            let size = MemoryLayout<apus_handed_over>.size
            let bytes = record.extracting(size..<size + Int(header.length)).withUnsafeBytes { Array($0) }
            guard let kind = apus_handed_over_kind(rawValue: header.kind) else { return }
            parts.append(
                HandedOverPart(
                    kind: kind, number: header.number, offset: header.offset, total: header.total, bytes: bytes))
        }
        return parts
    }
}
