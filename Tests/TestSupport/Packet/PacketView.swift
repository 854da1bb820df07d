public import Addressing

/// A packet read back for assertions. Fields of headers that the packet does not have are nil.
public struct PacketView: Sendable {
    /// The whole packet.
    public let bytes: [UInt8]

    public private(set) var sourceMAC: MACAddress?
    public private(set) var destinationMAC: MACAddress?
    /// The 802.1Q tags' ids, outermost first.
    public private(set) var vlans: [UInt16] = []
    public private(set) var etherType: UInt16?
    public private(set) var arp: ARPPacket?

    public private(set) var source: IPAddress?
    public private(set) var destination: IPAddress?
    public private(set) var ttl: UInt8?
    /// The transport protocol, after all extension headers.
    public private(set) var ipProtocol: IPProtocol?
    /// The extension headers in order, the fragment header among them.
    public private(set) var extensions: [IPProtocol] = []
    public private(set) var identification: UInt32?
    public private(set) var fragment: Fragment?
    public private(set) var doNotFragment = false
    /// Whether the IPv4 header's checksum is right.
    public private(set) var headerChecksumIsRight: Bool?

    public private(set) var sourcePort: Port?
    public private(set) var destinationPort: Port?
    public private(set) var tcpFlags: TCPFlags?
    public private(set) var sequence: UInt32?
    public private(set) var acknowledgement: UInt32?
    public private(set) var icmpType: UInt8?
    public private(set) var icmpCode: UInt8?
    /// The second word of an ICMP header: identifier and sequence, or MTU.
    public private(set) var icmpRest: UInt32?
    /// What the transport header carries, or the IP header where there is no known transport.
    public private(set) var payload: [UInt8] = []
    /// Whether the transport checksum is right; nil in fragments. In UDP over IPv4, none at all is right too.
    public private(set) var transportChecksumIsRight: Bool?

    /// The 5-tuple; nil without IP. Ports are 0 where there are none.
    public var tuple: FlowTuple? {
        guard let source, let destination, let ipProtocol else { return nil }
        return FlowTuple(
            source: SocketAddress(source, sourcePort ?? 0),
            destination: SocketAddress(destination, destinationPort ?? 0),
            ipProtocol: ipProtocol)
    }

    /// The packet that an ICMP error quotes.
    public var quoted: PacketView? {
        guard let icmpType, let ipProtocol else { return nil }
        let errors: Set<UInt8> = ipProtocol == .icmpv6 ? [1, 2, 3, 4] : [3, 4, 5, 11, 12]
        return errors.contains(icmpType) ? PacketView(network: payload) : nil
    }

    /// Reads an Ethernet frame; nil when a header is cut short or impossible.
    public init?(_ frame: [UInt8]) {
        bytes = frame
        var cursor = ByteCursor(frame)
        guard let destination = cursor.take(6), let source = cursor.take(6), var type: UInt16 = cursor.number() else {
            return nil
        }
        destinationMAC = MACAddress(bytes: destination)
        sourceMAC = MACAddress(bytes: source)
        while type == 0x8100 || type == 0x88a8 {
            guard let tag: UInt16 = cursor.number(), let next: UInt16 = cursor.number() else { return nil }
            vlans.append(tag & 0xfff)
            type = next
        }
        etherType = type
        switch type {
        case 0x0800: guard readIPv4(&cursor) else { return nil }
        case 0x86dd: guard readIPv6(&cursor) else { return nil }
        case 0x0806: guard readARP(&cursor) else { return nil }
        default: payload = cursor.rest()
        }
    }

    /// Reads a packet that starts with its IP header, such as a quoted one, which may end anywhere after it.
    public init?(network packet: [UInt8]) {
        bytes = packet
        var cursor = ByteCursor(packet)
        switch packet.first.map({ $0 >> 4 }) {
        case 4: guard readIPv4(&cursor) else { return nil }
        case 6: guard readIPv6(&cursor) else { return nil }
        default: return nil
        }
    }
}

extension PacketView {
    private mutating func readARP(_ cursor: inout ByteCursor) -> Bool {
        guard cursor.take(6) != nil, let number: UInt16 = cursor.number(),
            let operation = ARPPacket.Operation(rawValue: number)
        else { return false }
        var ends: [ARPPacket.End] = []
        for _ in 0..<2 {
            guard let mac = cursor.take(6).flatMap(MACAddress.init(bytes:)),
                let address = cursor.take(4).flatMap(IPAddress.init(bytes:))
            else { return false }
            ends.append(ARPPacket.End(mac, address))
        }
        arp = ARPPacket(operation: operation, sender: ends[0], target: ends[1])
        return true
    }

    private mutating func readIPv4(_ cursor: inout ByteCursor) -> Bool {
        let start = cursor.offset
        guard let first: UInt8 = cursor.number(), first >> 4 == 4, first & 15 >= 5, cursor.take(1) != nil,
            let length: UInt16 = cursor.number(), let id: UInt16 = cursor.number(), let place: UInt16 = cursor.number(),
            let ttl: UInt8 = cursor.number(), let number: UInt8 = cursor.number(), cursor.take(2) != nil,
            let from = cursor.take(4).flatMap(IPAddress.init(bytes:)),
            let to = cursor.take(4).flatMap(IPAddress.init(bytes:)), cursor.take(Int(first & 15) * 4 - 20) != nil
        else { return false }
        (source, destination, self.ttl, identification) = (from, to, ttl, UInt32(id))
        ipProtocol = IPProtocol(rawValue: number)
        doNotFragment = place & 0x4000 != 0
        if place & 0x3fff != 0 { fragment = Fragment(offset: Int(place & 0x1fff) * 8, more: place & 0x2000 != 0) }
        headerChecksumIsRight = Checksum.internet(bytes[start..<cursor.offset]) == 0
        let carried = Int(length) - (cursor.offset - start)
        return carried >= 0 && readTransport(cursor, length: carried)
    }

    private mutating func readIPv6(_ cursor: inout ByteCursor) -> Bool {
        guard let first: UInt32 = cursor.number(), first >> 28 == 6, let length: UInt16 = cursor.number(),
            var next: UInt8 = cursor.number(), let hopLimit: UInt8 = cursor.number(),
            let from = cursor.take(16).flatMap(IPAddress.init(bytes:)),
            let to = cursor.take(16).flatMap(IPAddress.init(bytes:))
        else { return false }
        (source, destination, ttl) = (from, to, hopLimit)
        let start = cursor.offset
        while fragment.map({ $0.offset == 0 }) ?? true, let size = readExtension(&cursor, &next) {
            if size < 0 { return false }
        }
        ipProtocol = IPProtocol(rawValue: next)
        let carried = Int(length) - (cursor.offset - start)
        return carried >= 0 && readTransport(cursor, length: carried)
    }

    /// Skips one extension header: its size, -1 when it is cut short, nil when `next` is no extension header.
    private mutating func readExtension(_ cursor: inout ByteCursor, _ next: inout UInt8) -> Int? {
        let kind = IPProtocol(rawValue: next)
        guard [.hopByHop, .routing, .fragment, .authentication, .destinationOptions].contains(kind) else { return nil }
        guard let following: UInt8 = cursor.number(), let units: UInt8 = cursor.number() else { return -1 }
        extensions.append(kind)
        next = following
        if kind == .fragment {
            guard let place: UInt16 = cursor.number(), let id: UInt32 = cursor.number() else { return -1 }
            fragment = Fragment(offset: Int(place >> 3) * 8, more: place & 1 != 0)
            identification = id
            return 8
        }
        let size = kind == .authentication ? (Int(units) + 2) * 4 : (Int(units) + 1) * 8
        return cursor.take(size - 2) == nil ? -1 : size
    }
}

extension PacketView {
    private mutating func readTransport(_ cursor: ByteCursor, length: Int) -> Bool {
        var rest = cursor
        let segment = Array(rest.rest().prefix(length))  // a short frame is padded, a quoted packet is cut
        guard fragment.map({ $0.offset == 0 }) ?? true else {
            payload = segment
            return true
        }
        var inner = ByteCursor(segment)
        switch ipProtocol {
        case .tcp?: readTCP(&inner)
        case .udp?: readUDP(&inner)
        case .sctp?:
            readPorts(&inner)
            _ = inner.take(8)
        case .icmp?, .icmpv6?: readICMP(&inner)
        default: break
        }
        payload = inner.rest()
        if fragment == nil && segment.count == length { transportChecksumIsRight = checksumIsRight(segment) }
        return true
    }

    private mutating func readPorts(_ cursor: inout ByteCursor) {
        sourcePort = cursor.number()
        destinationPort = cursor.number()
    }

    private mutating func readUDP(_ cursor: inout ByteCursor) {
        readPorts(&cursor)
        _ = cursor.take(4)
    }

    private mutating func readTCP(_ cursor: inout ByteCursor) {
        readPorts(&cursor)
        sequence = cursor.number()
        acknowledgement = cursor.number()
        guard let offset: UInt8 = cursor.number(), let flags: UInt8 = cursor.number() else { return }
        tcpFlags = TCPFlags(rawValue: flags)
        _ = cursor.take(6)
        _ = cursor.take(Int(offset >> 4) * 4 - 20)
    }

    private mutating func readICMP(_ cursor: inout ByteCursor) {
        icmpType = cursor.number()
        icmpCode = cursor.number()
        _ = cursor.take(2)
        icmpRest = cursor.number()
    }

    private func checksumIsRight(_ segment: [UInt8]) -> Bool? {
        guard let source, let destination, let ipProtocol else { return nil }
        let pseudo = IPPair(source: source, destination: destination).pseudoHeader(length: segment.count, ipProtocol)
        switch ipProtocol {
        case .udp where source.isIPv4 && segment.count >= 8 && segment[6] == 0 && segment[7] == 0: return true
        case .tcp, .udp, .icmpv6: return Checksum.internet(pseudo + segment) == 0
        case .icmp: return Checksum.internet(segment) == 0
        case .sctp where segment.count >= 12:
            let crc = Checksum.crc32c(segment[..<8] + [0, 0, 0, 0] + segment[12...])
            return (0..<4).allSatisfy { segment[8 + $0] == UInt8(truncatingIfNeeded: crc >> (8 * $0)) }
        default: return nil
        }
    }
}
