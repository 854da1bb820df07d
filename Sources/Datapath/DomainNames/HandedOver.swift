internal import Addressing
internal import DatapathABI

/// An answer that the data path handed over, or a part of one.
struct HandedOver {
    enum Kind {
        case message, segment, fragment, row

        /// Nil for a number that is none; a switch, so that a new one there needs a case here.
        init?(_ number: UInt32) {
            switch apus_handed_over_kind(rawValue: number) {
            case .APUS_HANDED_OVER_MESSAGE: self = .message
            case .APUS_HANDED_OVER_SEGMENT: self = .segment
            case .APUS_HANDED_OVER_FRAGMENT: self = .fragment
            case .APUS_HANDED_OVER_ROW: self = .row
            case .APUS_HANDED_OVER_KINDS, nil: return nil
            }
        }
    }

    let header: apus_handed_over
    let kind: Kind
    let bytes: [UInt8]

    /// Nil for a record that is too short or of no kind that is known.
    init?(_ record: borrowing RawSpan) {
        let size = MemoryLayout<apus_handed_over>.size
        guard record.byteCount >= size else { return nil }
        header = record.unsafeLoadUnaligned(as: apus_handed_over.self)
        guard let kind = Kind(header.kind), Int(header.length) <= record.byteCount - size else { return nil }
        self.kind = kind
        bytes = record.extracting(size..<size + Int(header.length)).withUnsafeBytes { Array($0) }
    }

    /// The connection that the answer came over, and the pod that opened it.
    var connection: AnswerConnection {
        let key = header.connection
        return AnswerConnection(
            low: key.low.address, high: key.high.address, lowPort: key.low_port, highPort: key.high_port,
            ipProtocol: key.protocol, endpoint: header.endpoint, identity: header.identity)
    }

    /// The whole messages of a row.
    static func messages(inRow bytes: [UInt8]) -> [[UInt8]] {
        var messages: [[UInt8]] = []
        var rest = bytes[...]
        while rest.count >= 2, case let length = Int(rest[rest.startIndex]) << 8 | Int(rest[rest.startIndex + 1]),
            rest.count - 2 >= length
        {
            messages.append(Array(rest.dropFirst(2).prefix(length)))
            rest = rest.dropFirst(2 + length)
        }
        return messages
    }

    /// The ends of the connection.
    var ends: (IPAddress, IPAddress) { (header.connection.low.address, header.connection.high.address) }
}

/// A connection of a pod that parts of answers come over.
struct AnswerConnection: Hashable, Sendable {
    let low: IPAddress
    let high: IPAddress
    let lowPort: UInt16
    let highPort: UInt16
    let ipProtocol: UInt8
    let endpoint: UInt32
    let identity: UInt32
}
