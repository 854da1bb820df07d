/// An IP address of either family, held as the 16 bytes that Apus uses everywhere.
///
/// IPv4 is kept IPv4-mapped (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2), so one key layout serves both families.
public struct IPAddress: Sendable, Hashable {
    /// The first eight bytes, as a number in host order.
    public let high: UInt64
    /// The last eight bytes, as a number in host order.
    public let low: UInt64

    /// An address from its two halves, each a number in host order.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// An IPv4 address from its 32 bits in host order (10.0.0.1 is `0x0a00_0001`).
    public init(v4 bits: UInt32) {
        self.init(high: 0, low: 0xffff_0000_0000 | UInt64(bits))
    }

    /// Whether this is an IPv4 (mapped) address.
    public var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    /// The 32 bits of an IPv4 address in host order, nil for IPv6.
    public var v4Bits: UInt32? { isIPv4 ? UInt32(truncatingIfNeeded: low) : nil }

    /// `::`, the unspecified IPv6 address.
    public static let unspecifiedIPv6 = IPAddress(high: 0, low: 0)
    /// `0.0.0.0`.
    public static let unspecifiedIPv4 = IPAddress(v4: 0)

    /// Whether the address is `::` or `0.0.0.0`.
    public var isUnspecified: Bool { self == .unspecifiedIPv6 || self == .unspecifiedIPv4 }

    /// Whether the address is `fe80::/10` or `169.254.0.0/16`.
    public var isLinkLocal: Bool {
        if let bits = v4Bits { return bits >> 16 == 0xa9fe }
        return high >> 54 == 0xfe80 >> 6
    }

    /// Whether the address is in `127.0.0.0/8` or is `::1`.
    public var isLoopback: Bool {
        if let bits = v4Bits { return bits >> 24 == 127 }
        return high == 0 && low == 1
    }

    /// Whether the address is in `224.0.0.0/4` or `ff00::/8`.
    public var isMulticast: Bool {
        if let bits = v4Bits { return bits >> 28 == 0xe }
        return high >> 56 == 0xff
    }

    /// The 16 bytes in network order.
    public var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(16)
        for half in [high, low] {
            for shift in stride(from: 56, through: 0, by: -8) {
                result.append(UInt8(truncatingIfNeeded: half >> UInt64(shift)))
            }
        }
        return result
    }

    /// An address from 4 (IPv4) or 16 bytes in network order; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        switch bytes.count {
        case 4:
            self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            self.init(
                high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
                low: bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) })
        default:
            return nil
        }
    }
}

extension IPAddress: Comparable {
    public static func < (left: IPAddress, right: IPAddress) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}
