internal import Addressing
internal import DatapathABI

extension apus_address {
    /// Both halves in network byte order.
    init(_ address: IPAddress) { self.init(high: address.high.bigEndian, low: address.low.bigEndian) }

    /// The address as a domain value.
    var address: IPAddress { IPAddress(high: high.bigEndian, low: low.bigEndian) }

    /// Whether no address is there (`::` is no address of anything).
    var isAbsent: Bool { high == 0 && low == 0 }
}

extension IPAddress {
    /// The key of maps by address.
    var key: Bytes { Bytes(of: apus_address(self)) }
}

extension CIDR {
    /// The key of `peer_prefixes`.
    var key: Bytes { Bytes(of: UInt32(mappedLength)) + address.bytes }

    /// The prefix of such a key; nil when it is none.
    init?(key: Bytes) {
        guard let mapped = key.load(UInt32.self), let address = IPAddress(bytes: key.dropFirst(4)) else { return nil }
        let length = address.isIPv4 && mapped >= 96 ? Int(mapped) - 96 : Int(mapped)
        self.init(address, length: length)
    }
}

extension MACAddress {
    /// The six octets as C's array is imported.
    var octets: (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8) {
        func octet(_ shift: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: bits >> shift) }
        return (octet(40), octet(32), octet(24), octet(16), octet(8), octet(0))
    }

    init(octets: (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8)) {
        let high = UInt64(octets.0) << 40 | UInt64(octets.1) << 32 | UInt64(octets.2) << 24
        self.init(bits: high | UInt64(octets.3) << 16 | UInt64(octets.4) << 8 | UInt64(octets.5))
    }
}
