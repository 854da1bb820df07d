import Addressing
import TestSupport
import Testing

private let pod = mac("0a:58:0a:f4:01:0a")
private let gateway = mac("ee:ee:ee:ee:ee:ee")
private let frame = Packet.ethernet(from: pod, to: gateway)
private let bothFamilies = [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")]

@Suite struct Checksums {
    @Test func theInternetChecksumIsThatOfTheRFC() {
        // RFC 1071 §3: the sum of these is ddf2.
        #expect(Checksum.internet([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]) == ~0xddf2)
        #expect(Checksum.internet([0xff]) == 0x00ff)
    }

    @Test func theCRCIsThatOfTheCatalogue() {
        #expect(Checksum.crc32c(Array("123456789".utf8)) == 0xe306_9283)  // the check value of CRC-32/ISCSI
        #expect(Checksum.crc32c([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)  // RFC 3720 B.4
    }
}

@Suite struct PacketsReadBack {
    @Test(arguments: bothFamilies)
    func everyTransportKeepsItsTupleAndChecksum(source: String, destination: String) throws {
        let base = frame.ip(from: source, to: destination, ttl: 17)
        let packets: [(IPProtocol, Packet)] = [
            (
                .tcp,
                base.tcp(from: 1000, to: 80, flags: [.syn, .ack], sequence: 7, options: [2, 4, 5, 180]).payload("hello")
            ),
            (.udp, base.udp(from: 1000, to: 80).payload("odd")), (.udp, base.udp(from: 1000, to: 80)),
            (.sctp, base.sctp(from: 1000, to: 80, tag: 9).payload([1, 0, 0, 4])),
        ]
        for (ipProtocol, packet) in packets {
            let view = try #require(PacketView(packet.bytes))
            #expect(
                view.tuple?.description
                    == FlowTuple(
                        source: SocketAddress(ip(source), 1000), destination: SocketAddress(ip(destination), 80),
                        ipProtocol: ipProtocol
                    ).description)
            #expect(view.payload == packet.payload && view.ttl == 17 && view.transportChecksumIsRight == true)
            #expect(view.sourceMAC == pod && view.destinationMAC == gateway)
            #expect(view.headerChecksumIsRight == (ip(source).isIPv4 ? true : nil))
        }
        let view = try #require(PacketView(packets[0].1.bytes))
        #expect(view.tcpFlags == [.syn, .ack] && view.sequence == 7)
    }

    @Test(arguments: [
        (ChecksumChoice.right, true), (.wrong, false), (.partial, false),
    ])
    func aWrongChecksumIsSeen(choice: ChecksumChoice, right: Bool) throws {
        for (source, destination) in bothFamilies {
            let base = frame.ip(from: source, to: destination)
            for packet in [
                base.tcp(from: 1, to: 2, flags: .ack, checksum: choice), base.udp(from: 1, to: 2, checksum: choice),
                base.sctp(from: 1, to: 2, tag: 1, checksum: choice),
                base.icmp(type: 128, checksum: choice == .partial ? .zero : choice),
            ] {
                #expect(PacketView(packet.bytes)?.transportChecksumIsRight == right)
            }
        }
    }

    @Test func noUDPChecksumIsRightInIPv4Alone() {
        let results = bothFamilies.map {
            PacketView(frame.ip(from: $0.0, to: $0.1).udp(from: 1, to: 2, checksum: .zero).bytes)?
                .transportChecksumIsRight
        }
        #expect(results == [true, false])
    }

    @Test func optionsTagsAndExtensionHeadersAreSteppedOver() throws {
        let v4 = frame.vlan(5).vlan(6).ipv4(from: ip("10.0.0.1"), to: ip("10.0.0.2"), options: [148, 4, 0, 0, 1])
            .udp(from: 1, to: 2)
        let first = try #require(PacketView(v4.bytes))
        #expect(first.vlans == [5, 6] && first.destinationPort == 2 && first.headerChecksumIsRight == true)
        let v6 = frame.ipv6(from: ip("fd00::1"), to: ip("fd00::2")).ipv6Extension(.hopByHop)
            .ipv6Extension(.routing, options: [4, 0, 0, 0, 0, 0]).ipv6Extension(.destinationOptions, options: [1, 9])
            .ipv6Extension(.authentication).tcp(from: 1, to: 2, flags: .syn)
        let second = try #require(PacketView(v6.bytes))
        #expect(second.extensions.map(\.rawValue) == [0, 43, 60, 51])
        #expect(second.tcpFlags == .syn && second.transportChecksumIsRight == true)
    }

    @Test(arguments: bothFamilies)
    func fragmentsMakeUpTheWhole(source: String, destination: String) throws {
        let text = (0..<100).map { UInt8($0) }
        let whole = frame.ip(from: source, to: destination).udp(from: 1, to: 2).payload(text)
        let views = try whole.fragments(of: 45).map { try #require(PacketView($0.bytes)) }
        #expect(
            views.map { $0.fragment?.offset } == [0, 40, 80] && views.map { $0.fragment?.more } == [true, true, false])
        #expect(views[0].destinationPort == 2 && views[1].destinationPort == nil)
        #expect(
            views.flatMap(\.payload) == text && views.allSatisfy { $0.ipProtocol == .udp && $0.identification == 7 })
    }

    @Test(arguments: bothFamilies)
    func anErrorQuotesThePacketItIsAbout(source: String, destination: String) throws {
        let inner = Packet.raw.ip(from: source, to: destination).udp(from: 7, to: 9).payload("lost")
        for error in [ICMPError.portUnreachable, .tooBig(mtu: 1280), .timeExceeded, .hostUnreachable] {
            let packet = frame.ip(from: destination, to: source).icmpError(error, quoting: inner)
            let view = try #require(PacketView(packet.bytes))
            let quoted = try #require(view.quoted)
            #expect(view.transportChecksumIsRight == true && quoted.destinationPort == 9)
            #expect(quoted.transportChecksumIsRight == true)
            if error == .tooBig(mtu: 1280) { #expect(view.icmpRest == 1280) }
        }
        let cut = frame.ip(from: destination, to: source).icmpError(
            .portUnreachable, quoting: inner, limit: inner.bytes.count - 2)
        #expect(try #require(PacketView(cut.bytes)?.quoted).transportChecksumIsRight == nil)
    }

    @Test func addressResolutionReadsBack() throws {
        let (me, it) = (ARPPacket.End(pod, ip("10.0.0.1")), ARPPacket.End(gateway, ip("169.254.1.1")))
        let arp = try #require(PacketView(frame.arp(.request, from: me, to: it).bytes)?.arp)
        #expect(arp == ARPPacket(operation: .request, sender: me, target: it))
        let nd = frame.ipv6(from: ip("fd00::1"), to: ip("ff02::1"), hopLimit: 255)
        for packet in [
            nd.neighbourSolicitation(for: ip("fd00::2"), from: pod),
            nd.neighbourAdvertisement(of: ip("fd00::1"), at: pod),
        ] {
            let view = try #require(PacketView(packet.bytes))
            #expect(view.transportChecksumIsRight == true && view.payload.count == 24)
        }
    }

    @Test func theSameSeedGivesTheSamePacketsAndAllOfThemAreRight() throws {
        let addresses = [ip("10.0.0.1"), ip("10.0.0.2"), ip("fd00::1"), ip("fd00::2")]
        var (one, other) = (RandomPackets(seed: 4, addresses: addresses), RandomPackets(seed: 4, addresses: addresses))
        var protocols: Set<IPProtocol> = []
        for _ in 0..<2000 {
            let bytes = one.wellFormed().bytes
            #expect(bytes == other.wellFormed().bytes)
            let view = try #require(PacketView(bytes), "\(Packet.hexadecimal(bytes))")
            #expect(view.transportChecksumIsRight != false && view.headerChecksumIsRight != false)
            view.ipProtocol.map { _ = protocols.insert($0) }
        }
        #expect(protocols.isSuperset(of: [.tcp, .udp, .sctp, .icmp, .icmpv6]))
    }

    @Test func damagedFramesNeverTrapTheReader() {
        var packets = RandomPackets(seed: 9, addresses: [ip("10.0.0.1"), ip("fd00::1")])
        var unreadable = 0
        for _ in 0..<5000 where PacketView(packets.frame())?.quoted == nil { unreadable += 1 }
        #expect(unreadable > 100)
    }
}
