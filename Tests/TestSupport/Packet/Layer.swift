internal import Addressing

/// One header of a packet under construction.
enum Layer: Sendable {
    case ethernet(EthernetHeader)
    case vlan(VLANTag)
    case arp(ARPPacket)
    case ipv4(IPv4Header)
    case ipv6(IPv6Header)
    case ipv6Extension(IPv6Extension)
    case ipv6Fragment(IPv6FragmentHeader)
    case tcp(TCPHeader)
    case udp(UDPHeader)
    case sctp(SCTPHeader)
    case icmp(ICMPHeader)

    /// The addresses of an IP header.
    var addresses: IPPair? {
        switch self {
        case .ipv4(let header): header.addresses
        case .ipv6(let header): header.addresses
        default: nil
        }
    }

    /// Whether it is an IPv6 extension header other than the fragment header.
    var isExtension: Bool {
        if case .ipv6Extension = self { return true }
        return false
    }

    /// What the link layer before this header calls it.
    var etherType: UInt16 {
        switch self {
        case .vlan: 0x8100
        case .arp: 0x0806
        case .ipv6: 0x86dd
        default: 0x0800
        }
    }

    /// What the network layer before this header calls it.
    var ipProtocol: IPProtocol {
        switch self {
        case .ipv4: IPProtocol(rawValue: 4)
        case .ipv6: IPProtocol(rawValue: 41)
        case .ipv6Extension(let header): header.kind.ipProtocol
        case .ipv6Fragment: .fragment
        case .tcp: .tcp
        case .udp: .udp
        case .sctp: .sctp
        case .icmp(let header): header.isV6 ? .icmpv6 : .icmp
        case .ethernet, .vlan, .arp: .noNextHeader
        }
    }

    /// This header and what it carries.
    func encode(_ payload: [UInt8], next: Layer?, addresses: IPPair?) -> [UInt8] {
        switch self {
        case .ethernet(let header): header.encode(payload, next: next)
        case .vlan(let tag): tag.encode(payload, next: next)
        case .arp(let packet): packet.encode() + payload
        case .ipv4(let header): header.encode(payload, next: next)
        case .ipv6(let header): header.encode(payload, next: next)
        case .ipv6Extension(let header): header.encode(payload, next: next)
        case .ipv6Fragment(let header): header.encode(payload, next: next)
        case .tcp(let header): header.encode(payload, addresses)
        case .udp(let header): header.encode(payload, addresses)
        case .sctp(let header): header.encode(payload)
        case .icmp(let header): header.encode(payload, addresses)
        }
    }
}

struct EthernetHeader: Sendable {
    var source: MACAddress
    var destination: MACAddress
    var type: UInt16?

    func encode(_ payload: [UInt8], next: Layer?) -> [UInt8] {
        var bytes = destination.bytes + source.bytes
        bytes.append(big: type ?? next?.etherType ?? 0x0800)
        return bytes + payload
    }
}

struct VLANTag: Sendable {
    var id: UInt16
    var priority: UInt8

    func encode(_ payload: [UInt8], next: Layer?) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(big: UInt16(priority) << 13 | id & 0xfff)
        bytes.append(big: next?.etherType ?? 0x0800)
        return bytes + payload
    }
}

extension ARPPacket {
    func encode() -> [UInt8] {
        var bytes: [UInt8] = [0, 1, 8, 0, 6, 4]  // Ethernet, IPv4, and the lengths of their addresses
        bytes.append(big: operation.rawValue)
        for end in [sender, target] { bytes += end.mac.bytes + end.address.wireBytes }
        return bytes
    }
}
