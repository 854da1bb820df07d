internal import Addressing

/// RFC 9293 §3.1.
struct TCPHeader: Sendable {
    var source: Port
    var destination: Port
    var flags: TCPFlags
    var sequence: UInt32
    var acknowledgement: UInt32
    var window: UInt16
    var options: [UInt8]
    var checksum: ChecksumChoice

    func encode(_ payload: [UInt8], _ addresses: IPPair?) -> [UInt8] {
        let options = options.padded(to: 4)
        var bytes: [UInt8] = []
        bytes.append(big: source)
        bytes.append(big: destination)
        bytes.append(big: sequence)
        bytes.append(big: acknowledgement)
        bytes += [UInt8(truncatingIfNeeded: (20 + options.count) / 4) << 4, flags.rawValue]
        bytes.append(big: window)
        bytes += [0, 0, 0, 0] + options + payload
        bytes.put(big: checksum.value(over: bytes, addresses, .tcp), at: 16)
        return bytes
    }
}

/// RFC 768.
struct UDPHeader: Sendable {
    var source: Port
    var destination: Port
    var checksum: ChecksumChoice

    func encode(_ payload: [UInt8], _ addresses: IPPair?) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(big: source)
        bytes.append(big: destination)
        bytes.append(big: UInt16(truncatingIfNeeded: 8 + payload.count))
        bytes += [0, 0] + payload
        let sum = checksum.value(over: bytes, addresses, .udp)
        bytes.put(big: sum == 0 && checksum == .right ? 0xffff : sum, at: 6)  // a computed zero is sent as all ones
        return bytes
    }
}

/// RFC 9260 §3.1.
struct SCTPHeader: Sendable {
    var source: Port
    var destination: Port
    var tag: UInt32
    var chunk: [UInt8]
    var checksum: ChecksumChoice

    func encode(_ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(big: source)
        bytes.append(big: destination)
        bytes.append(big: tag)
        bytes += [0, 0, 0, 0] + chunk + payload
        let right = Checksum.crc32c(bytes)
        let value =
            switch checksum {
            case .right: right
            case .wrong: ~right
            case .zero, .partial: UInt32(0)
            }
        for index in 0..<4 { bytes[8 + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
        return bytes
    }
}

/// RFC 792 and RFC 4443; only the latter has a pseudo header in its checksum.
struct ICMPHeader: Sendable {
    var isV6: Bool
    var type: UInt8
    var code: UInt8
    var rest: UInt32
    var checksum: ChecksumChoice

    func encode(_ payload: [UInt8], _ addresses: IPPair?) -> [UInt8] {
        var bytes: [UInt8] = [type, code, 0, 0]
        bytes.append(big: rest)
        bytes += payload
        bytes.put(big: checksum.value(over: bytes, isV6 ? addresses : nil, .icmpv6), at: 2)
        return bytes
    }
}

extension ChecksumChoice {
    /// The value of the field over a segment whose checksum field is zero.
    func value(over segment: [UInt8], _ addresses: IPPair?, _ ipProtocol: IPProtocol) -> UInt16 {
        let pseudo = addresses?.pseudoHeader(length: segment.count, ipProtocol) ?? []
        return switch self {
        case .right: Checksum.internet(pseudo + segment)
        case .wrong: Checksum.internet(pseudo + segment) ^ 0x5555
        case .zero: 0
        case .partial: ~Checksum.internet(pseudo)
        }
    }
}
