/// An Ethernet address.
public struct MACAddress: Sendable, Hashable {
    /// The six octets as the low 48 bits of a number, the first octet highest.
    public let bits: UInt64

    /// An address from the low 48 bits of a number.
    public init(bits: UInt64) { self.bits = bits & 0xffff_ffff_ffff }

    /// An address from six octets in wire order; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 6 else { return nil }
        self.init(bits: bytes.reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// The six octets in wire order.
    public var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: bits >> UInt64(40 - 8 * $0)) } }
}

extension MACAddress: LosslessStringConvertible {
    /// Parses six colon-separated pairs of hex digits.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let octets = parts.compactMap { $0.utf8.count == 2 && $0.allSatisfy(\.isHexDigit) ? UInt8($0, radix: 16) : nil }
        guard parts.count == 6, octets.count == 6 else { return nil }
        self.init(bytes: octets)
    }

    public var description: String {
        bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined(separator: ":")
    }
}
