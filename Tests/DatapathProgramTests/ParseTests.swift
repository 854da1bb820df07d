internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

/// The addresses and the frame of a packet between a pod and the outside, in the direction that a hook sees.
struct Journey: Sendable {
    let frame: Packet
    let sender: MACAddress
    let source: (v4: IPAddress, v6: IPAddress)
    let destination: (v4: IPAddress, v6: IPAddress)

    var ip4: Packet { frame.ip(from: source.v4, to: destination.v4) }
    var ip6: Packet { frame.ip(from: source.v6, to: destination.v6) }

    static let outside = (v4: ip("203.0.113.9"), v6: ip("2001:db8::9"))

    static func leaving(_ pod: Pod) -> Journey {
        Journey(frame: pod.frame(), sender: pod.mac, source: (pod.v4, pod.v6), destination: outside)
    }

    static func entering(_ pod: Pod) -> Journey {
        Journey(
            frame: .ethernet(from: pod.hostMAC, to: pod.mac), sender: pod.hostMAC, source: outside,
            destination: (pod.v4, pod.v6))
    }
}

extension [UInt8] {
    /// The bytes with some of them replaced.
    func with(_ value: UInt8, at offset: Int) -> [UInt8] {
        var copy = self
        copy[offset] = value
        return copy
    }

    func cut(to count: Int) -> [UInt8] { Array(prefix(count)) }
    func followed(by bytes: Int) -> [UInt8] { self + [UInt8](repeating: 0x42, count: bytes) }
}

/// One row: a frame, and what the data path takes it for.
///
/// Frames shorter than their IP header have no row: a test run refuses them.
struct ParseCase: Sendable, CustomTestStringConvertible {
    enum Meaning: Sendable, Equatable {
        /// A packet to judge; nothing forbids it here.
        case packet
        /// Nothing to judge.
        case aside
        case bad(apus_reason)
        /// Bad, and so early that nobody knows for whom it is: at an uplink the host's stack has to refuse it.
        case bare(apus_reason)
    }

    let testDescription: String
    let meaning: Meaning
    let frame: @Sendable (Journey) -> [UInt8]

    init(_ name: String, _ meaning: Meaning, _ frame: @escaping @Sendable (Journey) -> [UInt8]) {
        (testDescription, self.meaning, self.frame) = (name, meaning, frame)
    }
}

private let tcpAt = 34  // behind Ethernet and IPv4 without options
private let tcp6At = 54

@Suite("Frames and what they are taken for")
struct ParseTests {
    static let link: [ParseCase] = [
        ParseCase("an ARP request", .aside) {
            let ends = (
                ARPPacket.End($0.sender, $0.source.v4),
                ARPPacket.End(mac("00:00:00:00:00:00"), $0.destination.v4)
            )
            return $0.frame.arp(.request, from: ends.0, to: ends.1).bytes
        },
        ParseCase("a VLAN of somebody else", .aside) {
            $0.frame.vlan(7).ip(from: $0.source.v4, to: $0.destination.v4).tcp(from: 1, to: 2, flags: .syn).bytes
        },
        ParseCase("a priority tag in front of IP", .bad(.unsupported)) {
            $0.frame.vlan(0, priority: 5).ip(from: $0.source.v4, to: $0.destination.v4).udp(from: 1, to: 2).bytes
        },
        ParseCase("an EtherType that nobody knows", .bad(.unsupported)) {
            Packet.ethernet(from: $0.frame.sourceMAC, to: $0.frame.sourceMAC, type: 0x88cc).payload("lldp data").bytes
        },
        ParseCase("an IEEE 802.3 length", .bad(.unsupported)) {
            Packet.ethernet(from: $0.frame.sourceMAC, to: $0.frame.sourceMAC, type: 38).payload("spanning tree").bytes
        },
    ]

    static let ipv4: [ParseCase] = [
        ParseCase("TCP over IPv4", .packet) { $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes },
        ParseCase("TCP over IPv4 with options", .packet) {
            $0.frame.ipv4(
                from: $0.source.v4, to: $0.destination.v4, options: [7, 11, 4] + [UInt8](repeating: 0, count: 8)
            )
            .tcp(from: 40000, to: 80, flags: .syn).bytes
        },
        ParseCase("forty bytes of IPv4 options", .packet) {
            $0.frame.ipv4(from: $0.source.v4, to: $0.destination.v4, options: [UInt8](repeating: 1, count: 40))
                .udp(from: 40000, to: 80).bytes
        },
        ParseCase("padding behind the IPv4 packet", .packet) {
            $0.ip4.udp(from: 40000, to: 80).bytes.followed(by: 18)
        },
        ParseCase("IP version 5", .bare(.malformed)) {
            $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes.with(0x55, at: 14)
        },
        ParseCase("an IPv4 header of 16 bytes", .bare(.malformed)) {
            $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes.with(0x44, at: 14)
        },
        ParseCase("an IPv4 total length below its header", .bad(.malformed)) {
            $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes.with(19, at: 17)
        },
        ParseCase("an IPv4 total length of zero", .bad(.malformed)) {
            $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes.with(0, at: 17)
        },
        ParseCase("an IPv4 total length beyond the frame", .bad(.truncated)) {
            $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes.with(41, at: 17)
        },
        ParseCase("IPv4 options where the TCP header should be", .bad(.truncated)) {
            $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes.with(0x46, at: 14)
        },
        ParseCase("IPv6 in a frame that says IPv4", .bare(.malformed)) {
            Packet.ethernet(from: $0.frame.sourceMAC, to: $0.frame.sourceMAC, type: 0x0800)
                .ip(from: $0.source.v6, to: $0.destination.v6).udp(from: 1, to: 2).bytes
        },
        ParseCase("IPv4 in a frame that says IPv6", .bare(.malformed)) {
            Packet.ethernet(from: $0.frame.sourceMAC, to: $0.frame.sourceMAC, type: 0x86dd)
                .ip(from: $0.source.v4, to: $0.destination.v4).udp(from: 1, to: 2).payload("a payload to fill 40 bytes")
                .bytes
        },
    ]

    static let ipv6: [ParseCase] = [
        ParseCase("TCP over IPv6", .packet) { $0.ip6.tcp(from: 40000, to: 80, flags: .syn).bytes },
        ParseCase("hop-by-hop, routing and destination options", .packet) {
            $0.ip6.ipv6Extension(.hopByHop).ipv6Extension(.routing).ipv6Extension(.destinationOptions)
                .tcp(from: 40000, to: 80, flags: .syn).bytes
        },
        ParseCase("an authentication header", .packet) {
            $0.ip6.ipv6Extension(.authentication).udp(from: 40000, to: 80).bytes
        },
        ParseCase("eight extension headers", .packet) { $0.extended(8).udp(from: 40000, to: 80).bytes },
        ParseCase("nine extension headers", .bad(.malformed)) { $0.extended(9).udp(from: 40000, to: 80).bytes },
        ParseCase("a longest destination options header", .packet) {
            $0.ip6.ipv6Extension(.destinationOptions, options: [UInt8](repeating: 0, count: 2046))
                .udp(from: 40000, to: 80).bytes
        },
        ParseCase("an extension header longer than the packet", .bad(.truncated)) {
            $0.extended(1).udp(from: 40000, to: 80).bytes.with(9, at: tcp6At + 1)
        },
        ParseCase("an extension header that reaches into the padding", .bad(.truncated)) {
            $0.frame.ipv6(from: $0.source.v6, to: $0.destination.v6, nextHeader: IPProtocol(rawValue: 60))
                .payload([59, 1, 0, 0, 0, 0, 0, 0]).bytes.followed(by: 8)
        },
        ParseCase("an extension header cut short", .bad(.truncated)) {
            $0.frame.ipv6(from: $0.source.v6, to: $0.destination.v6, nextHeader: IPProtocol(rawValue: 60))
                .payload([17, 0, 1, 4]).bytes
        },
        ParseCase("an atomic fragment", .packet) {
            $0.ip6.ipv6Fragment(Fragment(offset: 0, more: false)).udp(from: 40000, to: 80).bytes
        },
        ParseCase("no next header", .packet) {
            $0.frame.ipv6(from: $0.source.v6, to: $0.destination.v6, nextHeader: IPProtocol(rawValue: 59)).bytes
                .followed(by: 0)
        },
        ParseCase("an IPv4-mapped source", .bad(.malformed)) {
            $0.ip6.udp(from: 40000, to: 80).bytes.mapped(at: 22, $0.source.v4)
        },
        ParseCase("an IPv4-mapped destination", .bad(.malformed)) {
            $0.ip6.udp(from: 40000, to: 80).bytes.mapped(at: 38, $0.destination.v4)
        },
        ParseCase("a jumbogram", .bad(.truncated)) {
            $0.ip6.ipv6Extension(.hopByHop, options: [0xc2, 4, 0, 1, 0, 0]).udp(from: 40000, to: 80).bytes
                .with(0, at: 18).with(0, at: 19)
        },
        ParseCase("an IPv6 payload length of zero in front of TCP", .bad(.truncated)) {
            $0.ip6.tcp(from: 40000, to: 80, flags: .syn).bytes.with(0, at: 18).with(0, at: 19)
        },
        ParseCase("an IPv6 payload length beyond the frame", .bad(.truncated)) {
            $0.ip6.tcp(from: 40000, to: 80, flags: .syn).bytes.with(21, at: 19)
        },
    ]

    static let transport: [ParseCase] = [
        ParseCase("UDP", .packet) { $0.ip4.udp(from: 53, to: 53).bytes },
        ParseCase("SCTP", .packet) { $0.ip4.sctp(from: 40000, to: 80).bytes },
        ParseCase("GRE", .packet) {
            $0.frame.ipv4(from: $0.source.v4, to: $0.destination.v4, ipProtocol: IPProtocol(rawValue: 47))
                .payload([0, 0, 8, 0]).bytes
        },
        ParseCase("an echo request", .packet) { $0.ip4.echo(identifier: 7).bytes },
        ParseCase("an ICMPv6 echo request", .packet) { $0.ip6.echo(identifier: 7).bytes },
        ParseCase("nothing behind the IPv4 header", .bad(.truncated)) {
            $0.frame.ipv4(from: $0.source.v4, to: $0.destination.v4, ipProtocol: .tcp).bytes
        },
        ParseCase("nothing but padding behind the IPv4 header", .bad(.truncated)) {
            $0.frame.ipv4(from: $0.source.v4, to: $0.destination.v4, ipProtocol: .tcp).bytes
                .followed(by: 26).with(0x50, at: tcpAt + 12)
        },
        ParseCase("half a UDP header", .bad(.truncated)) {
            $0.frame.ipv4(from: $0.source.v4, to: $0.destination.v4, ipProtocol: .udp).payload([0, 53, 0, 53]).bytes
        },
        ParseCase("half an SCTP header", .bad(.truncated)) {
            $0.frame.ipv4(from: $0.source.v4, to: $0.destination.v4, ipProtocol: .sctp).payload([
                0, 53, 0, 53, 0, 0, 0, 0,
            ])
            .bytes
        },
        ParseCase("nineteen bytes of TCP", .bad(.truncated)) {
            let tcp = $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes
            return $0.frame.ipv4(from: $0.source.v4, to: $0.destination.v4, ipProtocol: .tcp)
                .payload(Array(tcp[tcpAt..<tcpAt + 19])).bytes
        },
        ParseCase("a TCP header of 16 bytes", .bad(.malformed)) {
            $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes.with(0x40, at: tcpAt + 12)
        },
        ParseCase("TCP options beyond the packet", .bad(.truncated)) {
            $0.ip4.tcp(from: 40000, to: 80, flags: .syn).bytes.with(0x60, at: tcpAt + 12)
        },
        ParseCase("seven bytes of ICMP", .bad(.truncated)) {
            $0.frame.ipv4(from: $0.source.v4, to: $0.destination.v4, ipProtocol: .icmp).payload([8, 0, 0, 0, 0, 1, 0])
                .bytes
        },
        ParseCase("ICMP inside IPv6", .packet) {
            $0.frame.ipv6(from: $0.source.v6, to: $0.destination.v6, nextHeader: .icmp).payload([
                8, 0, 0, 0, 0, 1, 0, 1,
            ]).bytes
        },
    ]

    @Test("Frames from a pod", arguments: link + ipv4 + ipv6 + transport)
    func fromPod(_ row: ParseCase) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        let fate = try datapath.run(row.frame(.leaving(pod)), on: .fromPod(pod))
        switch row.meaning {
        case .packet, .aside: #expect(fate == .passed)
        case .bad(let reason), .bare(let reason): #expect(fate == .dropped(leaving: reason))
        }
        #expect(try datapath.connectionCount() == (row.meaning == .packet ? 1 : 0))
    }

    @Test("Frames from the host's stack", arguments: link + ipv4 + ipv6 + transport)
    func toPod(_ row: ParseCase) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        let fate = try datapath.run(row.frame(.entering(pod)), on: .toPod(pod))
        switch row.meaning {
        case .packet, .aside: #expect(fate == .passed)
        case .bad(let reason), .bare(let reason): #expect(fate == .dropped(entering: reason))
        }
    }

    @Test("Frames from the network", arguments: link + ipv4 + ipv6 + transport)
    func fromNetwork(_ row: ParseCase) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        let fate = try datapath.run(row.frame(.entering(pod)), on: .fromNetwork)
        switch row.meaning {
        case .packet: #expect(fate == .delivered)
        case .aside, .bare, .bad(.unsupported): #expect(fate == .passed)
        case .bad(let reason): #expect(fate == .dropped(entering: reason))
        }
    }

    @Test("What is not for a pod of this node is the host's, whatever it is", arguments: ipv4 + ipv6 + transport)
    func notOurs(_ row: ParseCase) throws {
        let datapath = try DatapathFixture()
        try datapath.addPod()
        let elsewhere = Journey(
            frame: .ethernet(from: mac("02:00:00:00:00:01"), to: mac("02:00:00:00:00:02")),
            sender: mac("02:00:00:00:00:01"), source: Journey.outside,
            destination: (ip("192.0.2.7"), ip("2001:db8:7::7")))
        #expect(try datapath.run(row.frame(elsewhere), on: .fromNetwork) == .passed)
        #expect(try datapath.connectionCount() == 0)
    }
}

extension Journey {
    /// IPv6 with a number of extension headers.
    fileprivate func extended(_ count: Int) -> Packet {
        (0..<count).reduce(ip6) { packet, _ in packet.ipv6Extension(.destinationOptions) }
    }
}

extension Packet {
    /// The frame's source address.
    var sourceMAC: MACAddress { PacketView(bytes)?.sourceMAC ?? MACAddress(bits: 0) }
}

extension [UInt8] {
    /// The frame with an IPv6 address replaced by an IPv4-mapped one.
    fileprivate func mapped(at offset: Int, _ address: IPAddress) -> [UInt8] {
        var copy = self
        copy.replaceSubrange(offset..<offset + 16, with: address.bytes)
        return copy
    }
}
