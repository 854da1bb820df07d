internal import Addressing
internal import TestSupport

extension Packet {
    /// This packet, which has no link layer, with the checksum that the layer 4 header of another one has: what an error
    /// quotes once an end of it was exchanged.
    func withChecksum(of other: Packet) -> Packet {
        var changed = bytes
        let isIPv4 = changed[0] >> 4 == 4
        let header = isIPv4 ? Int(changed[0] & 0xf) * 4 : 40
        let place: Int
        switch changed[isIPv4 ? 9 : 6] {
        case 6: place = header + 16
        case 17: place = header + 6
        case 132: place = header + 8
        default: place = header + 2
        }
        let size = place == header + 8 ? 4 : 2
        changed.replaceSubrange(place..<place + size, with: other.bytes[place..<place + size])
        return Packet.raw.payload(changed)
    }
}

/// Who reports in the tests of ICMP errors, and is neither end.
enum Reporter {
    static func router(_ family: Family) -> IPAddress {
        family == .v4 ? ip("198.51.100.1") : ip("2001:db8:1::1")
    }

    /// As much as an error quotes at least, and more: 8 bytes of layer 4 are enough (RFC 792).
    static func limits(_ family: Family) -> [Int] { family == .v4 ? [1232, 28, 48] : [1232, 48] }
}
