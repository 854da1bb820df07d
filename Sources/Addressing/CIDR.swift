/// A prefix of addresses; its length counts in the address's own family (0…32 or 0…128).
public struct CIDR: Sendable, Hashable {
    /// The first address: every bit after the prefix is zero.
    public let address: IPAddress
    /// The prefix length in the family of `address`.
    public let length: Int

    /// A prefix; host bits of `address` are cleared. Nil when the length does not fit the family.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...(address.isIPv4 ? 32 : 128)).contains(length) else { return nil }
        let mapped = address.isIPv4 ? length + 96 : length
        let (high, low) = Self.mask(mapped)
        self.address = IPAddress(high: address.high & high, low: address.low & low)
        self.length = length
    }

    /// The prefix that holds one address.
    public init(host address: IPAddress) {
        self.address = address
        self.length = address.isIPv4 ? 32 : 128
    }

    /// The prefix length over the 16-byte form: IPv4 lengths are 96 larger.
    public var mappedLength: Int { address.isIPv4 ? length + 96 : length }

    /// Whether `other` is inside the prefix; an IPv6 prefix never holds an IPv4 address.
    public func contains(_ other: IPAddress) -> Bool {
        guard other.isIPv4 == address.isIPv4 else { return false }
        let (high, low) = Self.mask(mappedLength)
        return other.high & high == address.high && other.low & low == address.low
    }

    /// Whether every address of `other` is inside this prefix.
    public func contains(_ other: CIDR) -> Bool {
        other.length >= length && contains(other.address)
    }

    private static func mask(_ length: Int) -> (high: UInt64, low: UInt64) {
        func half(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : UInt64.max << UInt64(64 - min(bits, 64)) }
        return (half(length), half(length - 64))
    }
}

extension CIDR: LosslessStringConvertible {
    /// Parses `address/length`; host bits are cleared. Nil when either part is wrong.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])),
            !parts[1].isEmpty, parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let length = Int(parts[1])
        else { return nil }
        self.init(address, length: length)
    }

    public var description: String { "\(address)/\(length)" }
}

extension CIDR: Comparable {
    public static func < (left: CIDR, right: CIDR) -> Bool {
        (left.address, left.length) < (right.address, right.length)
    }
}
