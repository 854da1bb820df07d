public import Addressing

/// A packet under construction: a stack of headers and a payload, encoded with right lengths and checksums.
///
/// ```
/// Packet.ethernet(from: client, to: gateway)
///     .ip(from: "10.244.1.10", to: "10.96.0.10")
///     .tcp(from: 40000, to: 80, flags: .syn)
///     .bytes
/// ```
public struct Packet: Sendable {
    var layers: [Layer] = []
    /// What follows the innermost header.
    public var payload: [UInt8] = []

    /// A packet without a link layer, as on a tunnel or inside an ICMP error.
    public static let raw = Packet()

    /// A packet on Ethernet; the type follows from the next header unless it is given.
    public static func ethernet(from source: MACAddress, to destination: MACAddress, type: UInt16? = nil) -> Packet {
        raw.adding(.ethernet(EthernetHeader(source: source, destination: destination, type: type)))
    }

    /// The encoded packet.
    public var bytes: [UInt8] {
        var encoded = payload
        for index in layers.indices.reversed() {
            let inner = index + 1 < layers.count ? layers[index + 1] : nil
            encoded = layers[index].encode(encoded, next: inner, addresses: addresses(around: index))
        }
        return encoded
    }

    /// Two digits a byte: what `apus-traffic inject` reads.
    public var hexadecimal: String { Self.hexadecimal(bytes) }

    /// Two digits a byte.
    public static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
    }

    /// The addresses of the innermost IP header around a layer: what a transport checksum covers.
    private func addresses(around index: Int) -> IPPair? {
        layers[..<index].reversed().lazy.compactMap(\.addresses).first
    }

    /// Whether the innermost IP header is an IPv6 header.
    private var inIPv6: Bool { addresses(around: layers.endIndex)?.source.isIPv4 == false }

    func adding(_ layer: Layer) -> Packet {
        var copy = self
        copy.layers.append(layer)
        return copy
    }
}

extension Packet {
    /// The bytes after all headers.
    public func payload(_ bytes: [UInt8]) -> Packet {
        var copy = self
        copy.payload = bytes
        return copy
    }

    /// The bytes after all headers, as text.
    public func payload(_ text: String) -> Packet { payload(Array(text.utf8)) }

    /// An 802.1Q tag.
    public func vlan(_ id: UInt16, priority: UInt8 = 0) -> Packet {
        adding(.vlan(VLANTag(id: id, priority: priority)))
    }

    /// An ARP packet for IPv4 over Ethernet.
    public func arp(_ operation: ARPPacket.Operation, from sender: ARPPacket.End, to target: ARPPacket.End) -> Packet {
        adding(.arp(ARPPacket(operation: operation, sender: sender, target: target)))
    }

    /// An IPv4 or IPv6 header, whichever the addresses are of.
    public func ip(from source: IPAddress, to destination: IPAddress, ttl: UInt8 = 64) -> Packet {
        source.isIPv4
            ? ipv4(from: source, to: destination, ttl: ttl) : ipv6(from: source, to: destination, hopLimit: ttl)
    }

    /// An IPv4 or IPv6 header; traps on a misspelt address.
    public func ip(from source: String, to destination: String, ttl: UInt8 = 64) -> Packet {
        ip(from: TestSupport.ip(source), to: TestSupport.ip(destination), ttl: ttl)
    }

    /// An IPv4 header.
    ///
    /// - Parameters:
    ///   - options: Padded with "end of options" to a multiple of four bytes.
    ///   - fragment: The place of this packet's payload in the whole; nil for a whole packet that may be fragmented.
    ///   - ipProtocol: The protocol of the payload; follows from the next header unless it is given.
    public func ipv4(
        from source: IPAddress, to destination: IPAddress, ttl: UInt8 = 64, typeOfService: UInt8 = 0,
        identification: UInt16 = 0, doNotFragment: Bool = false, options: [UInt8] = [], fragment: Fragment? = nil,
        ipProtocol: IPProtocol? = nil
    ) -> Packet {
        adding(
            .ipv4(
                IPv4Header(
                    addresses: IPPair(source: source, destination: destination), ttl: ttl, typeOfService: typeOfService,
                    identification: identification, doNotFragment: doNotFragment, options: options, fragment: fragment,
                    ipProtocol: ipProtocol)))
    }

    /// An IPv6 header.
    public func ipv6(
        from source: IPAddress, to destination: IPAddress, hopLimit: UInt8 = 64, trafficClass: UInt8 = 0,
        flowLabel: UInt32 = 0, nextHeader: IPProtocol? = nil
    ) -> Packet {
        adding(
            .ipv6(
                IPv6Header(
                    addresses: IPPair(source: source, destination: destination), hopLimit: hopLimit,
                    trafficClass: trafficClass, flowLabel: flowLabel, nextHeader: nextHeader)))
    }

    /// An IPv6 extension header; the options are padded to a multiple of eight bytes.
    public func ipv6Extension(_ kind: IPv6Extension.Kind, options: [UInt8] = [], nextHeader: IPProtocol? = nil)
        -> Packet
    {
        adding(.ipv6Extension(IPv6Extension(kind: kind, body: options, nextHeader: nextHeader)))
    }

    /// An IPv6 fragment header.
    public func ipv6Fragment(_ fragment: Fragment, identification: UInt32 = 1, nextHeader: IPProtocol? = nil) -> Packet
    {
        adding(
            .ipv6Fragment(
                IPv6FragmentHeader(fragment: fragment, identification: identification, nextHeader: nextHeader)))
    }
}

extension Packet {
    /// A TCP header.
    public func tcp(
        from source: Port, to destination: Port, flags: TCPFlags, sequence: UInt32 = 1, acknowledgement: UInt32 = 0,
        window: UInt16 = 65535, options: [UInt8] = [], checksum: ChecksumChoice = .right
    ) -> Packet {
        adding(
            .tcp(
                TCPHeader(
                    source: source, destination: destination, flags: flags, sequence: sequence,
                    acknowledgement: acknowledgement, window: window, options: options, checksum: checksum)))
    }

    /// A UDP header.
    public func udp(from source: Port, to destination: Port, checksum: ChecksumChoice = .right) -> Packet {
        adding(.udp(UDPHeader(source: source, destination: destination, checksum: checksum)))
    }

    /// An SCTP common header; the chunks are the payload.
    ///
    /// - Parameter chunk: One that comes before the payload.
    public func sctp(
        from source: Port, to destination: Port, tag: UInt32 = 0, chunk: [UInt8] = [],
        checksum: ChecksumChoice = .right
    ) -> Packet {
        adding(.sctp(SCTPHeader(source: source, destination: destination, tag: tag, chunk: chunk, checksum: checksum)))
    }

    /// An ICMP or ICMPv6 message, by the address family; `rest` is the second word of its header.
    public func icmp(type: UInt8, code: UInt8 = 0, rest: UInt32 = 0, checksum: ChecksumChoice = .right) -> Packet {
        return adding(.icmp(ICMPHeader(isV6: inIPv6, type: type, code: code, rest: rest, checksum: checksum)))
    }

    /// An echo request or reply of the address family.
    public func echo(reply: Bool = false, identifier: UInt16 = 1, sequence: UInt16 = 1) -> Packet {
        let type: UInt8 = inIPv6 ? (reply ? 129 : 128) : (reply ? 0 : 8)
        return icmp(type: type, rest: UInt32(identifier) << 16 | UInt32(sequence))
    }

    /// An ICMP error of the address family that quotes the start of another packet, which has no link layer.
    ///
    /// - Parameter limit: The most bytes that are quoted; RFC 792 asks for the IP header and 8 bytes more.
    public func icmpError(_ error: ICMPError, quoting other: Packet, limit: Int = 1232) -> Packet {
        let (type, code, rest) = inIPv6 ? error.v6 : error.v4
        return icmp(type: type, code: code, rest: rest).payload(Array(other.bytes.prefix(limit)))
    }

    /// A neighbour solicitation for an address, with the sender's hardware address (RFC 4861 §4.3).
    public func neighbourSolicitation(for target: IPAddress, from hardware: MACAddress) -> Packet {
        icmp(type: 135).payload(target.bytes + [1, 1] + hardware.bytes)
    }

    /// A solicited neighbour advertisement of an address (RFC 4861 §4.4).
    public func neighbourAdvertisement(of target: IPAddress, at hardware: MACAddress) -> Packet {
        icmp(type: 136, rest: 0x6000_0000).payload(target.bytes + [2, 1] + hardware.bytes)
    }
}
