public import Addressing

/// A datagram with its header, as it is put together from fragments (RFC 768).
public struct UDPDatagram: Sendable {
    private static let headerSize = 8
    private static let protocolNumber: UInt8 = 17

    /// What follows the header.
    public let payload: [UInt8]

    /// Nil when the length is another one or the checksum is wrong; one without a checksum proves nothing, either.
    ///
    /// - Parameter ends: Source and destination, in any order: the sum is the same.
    public init?(_ bytes: [UInt8], between ends: (IPAddress, IPAddress)) {
        guard bytes.count >= Self.headerSize, bytes.count <= UInt16.max else { return nil }
        guard Int(bytes[4]) << 8 | Int(bytes[5]) == bytes.count, bytes[6] != 0 || bytes[7] != 0 else { return nil }
        // The pseudo header: addresses, protocol and length (RFC 768, RFC 8200 §8.1).
        let length = [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xff)]
        let pseudo = Self.bytes(of: ends.0) + Self.bytes(of: ends.1) + [0, Self.protocolNumber] + length
        guard Self.sum(pseudo + bytes) == 0xffff else { return nil }
        payload = Array(bytes.dropFirst(Self.headerSize))
    }

    private static func bytes(of address: IPAddress) -> [UInt8] {
        let all = address.bytes
        return address.isIPv4 ? Array(all.suffix(4)) : all
    }

    /// The ones' complement sum of 16-bit words (RFC 1071).
    private static func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for (place, byte) in bytes.enumerated() { sum += place.isMultiple(of: 2) ? UInt32(byte) << 8 : UInt32(byte) }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        return UInt16(sum)
    }
}
