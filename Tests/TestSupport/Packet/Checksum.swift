/// The checksums of the protocols that packets are built of.
public enum Checksum {
    /// The Internet checksum (RFC 1071) of bytes, to be stored big-endian; 0 when the bytes hold a valid one.
    public static func internet(_ bytes: some Collection<UInt8>) -> UInt16 {
        var sum: UInt64 = 0
        var high = true
        for byte in bytes {
            sum += high ? UInt64(byte) << 8 : UInt64(byte)
            high.toggle()
        }
        while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
        return ~UInt16(truncatingIfNeeded: sum)
    }

    /// CRC-32C (Castagnoli, reflected), as SCTP uses it (RFC 9260 appendix A); stored least significant byte first.
    public static func crc32c(_ bytes: some Collection<UInt8>) -> UInt32 {
        var crc: UInt32 = .max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 0 ? crc >> 1 : crc >> 1 ^ 0x82f6_3b78 }
        }
        return ~crc
    }
}

extension [UInt8] {
    /// Appends a number in network order.
    mutating func append(big number: some FixedWidthInteger) {
        for shift in stride(from: number.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }

    /// Overwrites two bytes with a number in network order.
    mutating func put(big number: UInt16, at offset: Int) {
        self[offset] = UInt8(number >> 8)
        self[offset + 1] = UInt8(number & 0xff)
    }
}
