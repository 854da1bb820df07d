public import Addressing

/// The flags of a TCP header.
public struct TCPFlags: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let fin = TCPFlags(rawValue: 0x01)
    public static let syn = TCPFlags(rawValue: 0x02)
    public static let rst = TCPFlags(rawValue: 0x04)
    public static let psh = TCPFlags(rawValue: 0x08)
    public static let ack = TCPFlags(rawValue: 0x10)
    public static let urg = TCPFlags(rawValue: 0x20)
}

/// What stands in a checksum field.
public enum ChecksumChoice: Sendable, Hashable {
    /// The checksum of the packet.
    case right
    /// Anything but that.
    case wrong
    /// Zero; in UDP over IPv4 it means "none".
    case zero
    /// The sum of the pseudo header alone, as a sender leaves it to the network card (CHECKSUM_PARTIAL).
    case partial
}

/// The place of a fragment's payload in the whole packet.
public struct Fragment: Sendable, Hashable {
    /// Bytes before it; a multiple of 8.
    public var offset: Int
    /// Whether more follow.
    public var more: Bool

    public init(offset: Int, more: Bool) {
        self.offset = offset
        self.more = more
    }

    /// The 13 bits of offset, in units of 8 bytes.
    var units: UInt16 { UInt16(truncatingIfNeeded: offset / 8) & 0x1fff }
}

/// The ICMP errors that a data path has to do with.
public enum ICMPError: Sendable, Hashable {
    /// Nothing listens on the port.
    case portUnreachable
    /// The host is not there.
    case hostUnreachable
    /// The packet is larger than this next MTU.
    case tooBig(mtu: UInt16)
    /// The hop limit ran out.
    case timeExceeded

    typealias Header = (type: UInt8, code: UInt8, rest: UInt32)

    /// RFC 792, RFC 1191.
    var v4: Header {
        switch self {
        case .portUnreachable: (3, 3, 0)
        case .hostUnreachable: (3, 1, 0)
        case .tooBig(let mtu): (3, 4, UInt32(mtu))
        case .timeExceeded: (11, 0, 0)
        }
    }

    /// RFC 4443.
    var v6: Header {
        switch self {
        case .portUnreachable: (1, 4, 0)
        case .hostUnreachable: (1, 3, 0)
        case .tooBig(let mtu): (2, 0, UInt32(mtu))
        case .timeExceeded: (3, 0, 0)
        }
    }
}

/// An ARP packet for IPv4 over Ethernet (RFC 826).
public struct ARPPacket: Sendable, Hashable {
    /// What it does.
    public enum Operation: UInt16, Sendable {
        case request = 1
        case reply = 2
    }

    /// One of its two ends.
    public struct End: Sendable, Hashable {
        public var mac: MACAddress
        public var address: IPAddress

        public init(_ mac: MACAddress, _ address: IPAddress) {
            self.mac = mac
            self.address = address
        }
    }

    public var operation: Operation
    public var sender: End
    public var target: End

    public init(operation: Operation, sender: End, target: End) {
        self.operation = operation
        self.sender = sender
        self.target = target
    }
}

/// The two addresses of an IP header.
struct IPPair: Sendable, Hashable {
    var source: IPAddress
    var destination: IPAddress

    /// The pseudo header of a transport checksum (RFC 9293 §3.1, RFC 8200 §8.1). Its sum is the same with 16-byte
    /// mapped addresses only in IPv6, so IPv4 addresses are written as 4 bytes.
    func pseudoHeader(length: Int, _ ipProtocol: IPProtocol) -> [UInt8] {
        var bytes = source.wireBytes + destination.wireBytes
        bytes.append(big: UInt32(length))
        bytes.append(big: UInt32(ipProtocol.rawValue))
        return bytes
    }
}

extension IPAddress {
    /// The address as it stands in a header: 4 or 16 bytes.
    public var wireBytes: [UInt8] { isIPv4 ? Array(bytes.suffix(4)) : bytes }
}

extension IPProtocol {
    static let hopByHop = IPProtocol(rawValue: 0)
    static let routing = IPProtocol(rawValue: 43)
    static let fragment = IPProtocol(rawValue: 44)
    static let authentication = IPProtocol(rawValue: 51)
    static let noNextHeader = IPProtocol(rawValue: 59)
    static let destinationOptions = IPProtocol(rawValue: 60)
}
