internal import Addressing

/// The EDNS part of a message (RFC 6891 §6.1.3).
public struct DNSOptions: Hashable, Sendable {
    /// Bytes that the sender takes in one UDP message.
    public let payloadSize: UInt16
    public let version: UInt8
    /// The upper eight bits of the response code.
    let upperResponseCode: UInt8
}

/// What queries and responses have in common. Bytes behind the last record are ignored.
struct DNSMessage {
    let header: DNSHeader
    let name: String
    let type: DNSType
    /// The records of the answer section that we understand, as sent.
    private(set) var answers: [DNSRecord] = []
    private(set) var options: DNSOptions?

    init(_ message: borrowing RawSpan, isResponse: Bool) throws(DNSError) {
        var cursor = DNSCursor(over: message)
        header = try DNSHeader(&cursor, message)
        if header.isResponse != isResponse { throw DNSError(.direction, at: 2) }
        if header.operation != 0 { throw DNSError(.operation(header.operation), at: 2) }
        if header.questions != 1 { throw DNSError(.questionCount(header.questions), at: 4) }
        name = try cursor.name(message)
        type = DNSType(rawValue: try cursor.short(message))
        let place = cursor.offset
        let questionClass = try cursor.short(message)
        if questionClass != DNSRecord.internetClass { throw DNSError(.questionClass(questionClass), at: place) }
        // Every record takes bytes, so the counts are bounded by the message's length.
        for _ in 0..<header.answers { answers.append(try DNSRecord(&cursor, message)) }
        for _ in 0..<header.authorities { _ = try DNSRecord(&cursor, message) }
        for _ in 0..<header.additional { try take(try DNSRecord(&cursor, message), endingAt: cursor.offset) }
    }

    private mutating func take(_ record: DNSRecord, endingAt offset: Int) throws(DNSError) {
        guard case .options(let found) = record.data else { return }
        guard options == nil, record.owner.isEmpty else { throw DNSError(.options, at: offset) }
        options = found
    }
}

/// The first twelve bytes (RFC 1035 §4.1.1).
struct DNSHeader {
    let id: UInt16
    private let flags: UInt16
    let questions: UInt16
    let answers: UInt16
    let authorities: UInt16
    let additional: UInt16

    init(_ cursor: inout DNSCursor, _ message: borrowing RawSpan) throws(DNSError) {
        id = try cursor.short(message)
        flags = try cursor.short(message)
        questions = try cursor.short(message)
        answers = try cursor.short(message)
        authorities = try cursor.short(message)
        additional = try cursor.short(message)
    }

    var isResponse: Bool { flags & 0x8000 != 0 }
    var operation: UInt8 { UInt8(flags >> 11 & 0xf) }
    var isTruncated: Bool { flags & 0x0200 != 0 }
    var isRecursionDesired: Bool { flags & 0x0100 != 0 }
    /// The lower four bits of the response code.
    var responseCode: UInt16 { flags & 0xf }
}

/// A resource record (RFC 1035 §4.1.3).
struct DNSRecord {
    enum Data {
        case address(IPAddress)
        case canonicalName(String)
        case options(DNSOptions)
        /// A type or class that teaches us nothing.
        case other
    }

    static let internetClass: UInt16 = 1

    let owner: String
    /// Seconds.
    let lifetime: UInt32
    let data: Data

    init(_ cursor: inout DNSCursor, _ message: borrowing RawSpan) throws(DNSError) {
        owner = try cursor.name(message)
        let type = DNSType(rawValue: try cursor.short(message))
        let recordClass = try cursor.short(message)
        let seconds = try cursor.long(message)
        let length = try cursor.short(message)
        // A lifetime with the upper bit set is to be taken as zero (RFC 2181 §8).
        lifetime = seconds >> 31 == 0 ? seconds : 0
        var part = try cursor.part(Int(length))
        switch (type, recordClass) {
        case (.a, Self.internetClass), (.aaaa, Self.internetClass):
            data = .address(try Self.address(type, length, &part, message))
        case (.cname, Self.internetClass):
            data = .canonicalName(try part.name(message))
            if part.offset != part.end { throw DNSError(.recordLength(type, length), at: part.offset) }
        case (.opt, _):
            // OPT keeps other things in the places of class and lifetime.
            data = .options(
                DNSOptions(
                    payloadSize: recordClass, version: UInt8(seconds >> 16 & 0xff),
                    upperResponseCode: UInt8(seconds >> 24)))
        default: data = .other
        }
    }

    private static func address(
        _ type: DNSType, _ length: UInt16, _ part: inout DNSCursor, _ message: borrowing RawSpan
    ) throws(DNSError) -> IPAddress {
        let place = part.offset
        guard length == (type == .a ? 4 : 16), let address = IPAddress(bytes: try part.bytes(Int(length), message))
        else {
            throw DNSError(.recordLength(type, length), at: place)
        }
        return address
    }
}
