internal import Addressing
internal import DNSMessages
import Testing
internal import Wire

@Suite("DNS messages, byte by byte")
struct DNSTableTests {
    /// A response to `a.b A` with one question and what follows.
    private static func response(answers: UInt8 = 0, additional: UInt8 = 0, _ rest: [UInt8]) -> [UInt8] {
        [0xab, 0xcd, 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, additional] + [1, 0x41, 1, 0x62, 0, 0, 1, 0, 1] + rest
    }

    /// A record with its owner written as a pointer to the question's name.
    private static func record(_ type: UInt8, _ data: [UInt8], lifetime: [UInt8] = [0, 0, 0, 60]) -> [UInt8] {
        [0xc0, 12, 0, type, 0, 1] + lifetime + [0, UInt8(data.count)] + data
    }

    @Test("An answer gives the question in lower case and the address with its lifetime")
    func oneAnswer() throws {
        let response = try DNSResponse(Self.response(answers: 1, Self.record(1, [192, 0, 2, 1])))
        #expect(response.id == 0xabcd)
        #expect(response.name == "a.b")
        #expect(response.type == .a)
        #expect(response.code == .noError)
        #expect(response.addresses == [.init(IPAddress(v4: 0xc000_0201), lifetime: 60)])
        #expect(response.isTruncated == false)
        #expect(response.options == nil)
    }

    @Test("A query gives its question, and what EDNS says")
    func query() throws {
        let header: [UInt8] = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
        let query = try DNSQuery(header + [1, 0x58, 0, 0, 28, 0, 1] + [0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0])
        #expect(query.id == 7)
        #expect(query.name == "x")
        #expect(query.type == .aaaa)
        #expect(query.isRecursionDesired)
        #expect(query.options?.payloadSize == 1_232)
        #expect(query.options?.version == 0)
    }

    @Test("The flags give truncation and the code, EDNS its upper bits")
    func flags() throws {
        var bytes = Self.response(additional: 1, [0, 0, 41, 0x10, 0, 1, 0, 0, 0, 0, 0])
        bytes[2] |= 0x02
        bytes[3] |= 0x03
        let response = try DNSResponse(bytes)
        #expect(response.isTruncated)
        #expect(response.code.rawValue == 0x13)
        let plain = try DNSResponse(Array(bytes.prefix(10) + [0, 0] + bytes[12..<21]))
        #expect(plain.code == .noSuchName)
    }

    @Test("A lifetime with its upper bit set is none")
    func negativeLifetime() throws {
        let record = Self.record(1, [1, 2, 3, 4], lifetime: [0x80, 0, 0, 60])
        #expect(try DNSResponse(Self.response(answers: 1, record)).addresses.map(\.lifetime) == [0])
    }

    @Test("Aliases are followed in any order, a circle ends, and addresses of other names are only counted")
    func aliases() throws {
        let address = IPAddress(v4: 0x0102_0304)
        let answers: [SentMessage.Record] = [
            .init(owner: "c.net", lifetime: 5, data: .address(address)),
            .init(owner: "b.net", data: .alias("c.net")), .init(owner: "c.net", data: .alias("b.net")),
            .init(owner: "evil.org", data: .address(IPAddress(v4: 9))),
            .init(owner: "Example.com", data: .alias("b.net")),
        ]
        let response = try DNSResponse(DNSEncoder.encode(SentMessage(answers: answers)))
        #expect(response.addresses == [.init(address, lifetime: 5)])
        #expect(response.strayAddresses == 1)
    }

    @Test("Addresses of the authority section teach nothing")
    func otherSections() throws {
        let glue = SentMessage.Record(owner: "example.com", data: .address(IPAddress(v4: 9)))
        #expect(try DNSResponse(DNSEncoder.encode(SentMessage(authorities: [glue]))).addresses == [])
    }

    @Test("A name of 255 bytes is one, a longer one is none")
    func longNames() throws {
        let label = String(repeating: "x", count: 63)
        let longest = "\(label).\(label).\(label).\(String(repeating: "y", count: 61))"
        #expect(try DNSResponse(DNSEncoder.encode(SentMessage(name: longest))).name == longest)
        let error = #expect(throws: DNSError.self) {
            try DNSResponse(DNSEncoder.encode(SentMessage(name: longest + "y")))
        }
        #expect(error?.problem == .nameLength)
    }

    struct Broken: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let problem: DNSError.Problem
        let offset: Int
    }

    private static func changed(_ offset: Int, _ byte: UInt8) -> [UInt8] {
        var bytes = response(answers: 1, record(1, [1, 2, 3, 4]))
        bytes[offset] = byte
        return bytes
    }

    private static let broken: [Broken] = [
        Broken(testDescription: "nothing", bytes: [], problem: .endOfMessage, offset: 0),
        Broken(testDescription: "half a header", bytes: [1, 2, 3], problem: .endOfMessage, offset: 3),
        Broken(testDescription: "a query", bytes: changed(2, 0x01), problem: .direction, offset: 2),
        Broken(testDescription: "an update", bytes: changed(2, 0xa8), problem: .operation(5), offset: 2),
        Broken(testDescription: "no question", bytes: changed(5, 0), problem: .questionCount(0), offset: 4),
        Broken(testDescription: "two questions", bytes: changed(5, 2), problem: .questionCount(2), offset: 4),
        Broken(testDescription: "class CH", bytes: changed(20, 3), problem: .questionClass(3), offset: 19),
        Broken(testDescription: "a label of kind 1", bytes: changed(12, 0x41), problem: .labelKind(0x41), offset: 12),
        Broken(testDescription: "a label of kind 2", bytes: changed(12, 0x80), problem: .labelKind(0x80), offset: 12),
        Broken(testDescription: "a dot in a label", bytes: changed(13, 0x2e), problem: .nameByte(0x2e), offset: 13),
        Broken(testDescription: "a zero in a label", bytes: changed(13, 0), problem: .nameByte(0), offset: 13),
        Broken(testDescription: "a pointer to itself", bytes: changed(22, 21), problem: .pointer(to: 21), offset: 21),
        Broken(testDescription: "a pointer ahead", bytes: changed(22, 30), problem: .pointer(to: 30), offset: 21),
        Broken(
            testDescription: "a pointer into the header", bytes: changed(22, 4), problem: .pointer(to: 4), offset: 21),
        Broken(testDescription: "a missing record", bytes: changed(7, 2), problem: .endOfMessage, offset: 37),
        Broken(testDescription: "data that is not there", bytes: changed(32, 5), problem: .endOfMessage, offset: 33),
        Broken(testDescription: "an A of 3 bytes", bytes: changed(32, 3), problem: .recordLength(.a, 3), offset: 33),
        Broken(
            testDescription: "an AAAA of 4 bytes", bytes: changed(24, 28), problem: .recordLength(.aaaa, 4), offset: 33),
        Broken(
            testDescription: "bytes behind an alias", bytes: response(answers: 1, record(5, [0xc0, 12, 9])),
            problem: .recordLength(.cname, 3), offset: 35),
        Broken(
            testDescription: "an alias longer than its record", bytes: response(answers: 1, record(5, [2, 0x61])),
            problem: .endOfMessage, offset: 35),
        Broken(
            testDescription: "two OPT records",
            bytes: response(additional: 2, [0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 0]),
            problem: .options, offset: 43),
        Broken(
            testDescription: "an OPT record with an owner", bytes: response(additional: 1, record(41, [])),
            problem: .options, offset: 33),
    ]

    @Test("What is broken is refused with the place", arguments: broken)
    func refused(row: Broken) throws {
        let error = try #require(throws: DNSError.self) { _ = try DNSResponse(row.bytes) }
        #expect(error.problem == row.problem)
        #expect(error.offset == row.offset)
    }

    @Test("Pointers to pointers are followed up to a bound", arguments: [126, 127, 1_000])
    func pointerChain(records: Int) throws {
        // Each owner is a pointer to the owner before it.
        var bytes = Self.response([])
        bytes[6] = UInt8(records >> 8)
        bytes[7] = UInt8(records & 0xff)
        var previous = 12
        for _ in 0..<records {
            let place = bytes.count
            bytes += [0xc0 | UInt8(previous >> 8), UInt8(previous & 0xff), 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4]
            previous = place
        }
        if records <= 126 {
            #expect(try DNSResponse(bytes).addresses.count == records)
        } else {
            let error = #expect(throws: DNSError.self) { try DNSResponse(bytes) }
            #expect(error?.problem == .pointerCount)
        }
    }
}
