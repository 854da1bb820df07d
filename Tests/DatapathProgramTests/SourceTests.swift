internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

/// One row: a packet that a pod sends, and whether it may.
struct SourceCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let fate: Fate
    let packet: @Sendable (Pod) -> Packet

    init(_ name: String, _ fate: Fate, _ packet: @escaping @Sendable (Pod) -> Packet) {
        (testDescription, self.fate, self.packet) = (name, fate, packet)
    }
}

private let stranger = mac("02:00:00:00:00:99")
private let linkLocal = ip("fe80::1")
private let allNodes = ip("ff02::1")
private let gateway = ip("10.244.1.254")
private let nobody = mac("00:00:00:00:00:00")
private let everybody = mac("ff:ff:ff:ff:ff:ff")

extension Pod {
    /// An ARP request to all on the link.
    fileprivate func asks(_ sender: ARPPacket.End, _ target: ARPPacket.End) -> Packet {
        Packet.ethernet(from: mac, to: everybody).arp(.request, from: sender, to: target)
    }
}

@Suite("What a pod may send")
struct SourceTests {
    static let addresses: [SourceCase] = [
        SourceCase("from its own IPv4 address", .passed) { $0.sends(to: Journey.outside.v4).udp(from: 1, to: 2) },
        SourceCase("from its own IPv6 address", .passed) { $0.sends(to: Journey.outside.v6).udp(from: 1, to: 2) },
        SourceCase("from another IPv4 address", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: ip("10.244.1.77"), to: Journey.outside.v4).udp(from: 1, to: 2)
        },
        SourceCase("from another IPv6 address", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: ip("fd00::77"), to: Journey.outside.v6).udp(from: 1, to: 2)
        },
        SourceCase("from 0.0.0.0", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: .unspecifiedIPv4, to: Journey.outside.v4).udp(from: 68, to: 67)
        },
        SourceCase("from ::", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: .unspecifiedIPv6, to: Journey.outside.v6).udp(from: 1, to: 2)
        },
        SourceCase("from a link-local address", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: linkLocal, to: Journey.outside.v6).udp(from: 1, to: 2)
        },
        SourceCase("from another hardware address", .dropped(leaving: .invalidSourceMAC)) {
            Packet.ethernet(from: stranger, to: $0.hostMAC).ip(from: $0.v4, to: Journey.outside.v4).udp(from: 1, to: 2)
        },
        SourceCase("an echo from a link-local address", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: linkLocal, to: allNodes).echo()
        },
        SourceCase("an ICMP error from another address", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: ip("10.244.1.77"), to: Journey.outside.v4)
                .icmpError(
                    .portUnreachable, quoting: Packet.raw.ip(from: Journey.outside.v4, to: $0.v4).udp(from: 2, to: 1))
        },
    ]

    /// To everybody on the link; under an egress policy that lets nothing out.
    static let resolutions: [SourceCase] = [
        SourceCase("a question for the gateway", .passed) {
            $0.asks(ARPPacket.End($0.mac, $0.v4), ARPPacket.End(nobody, gateway))
        },
        SourceCase("a probe of its own address", .passed) {
            $0.asks(ARPPacket.End($0.mac, .unspecifiedIPv4), ARPPacket.End(nobody, $0.v4))
        },
        SourceCase("its own address announced", .passed) {
            $0.asks(ARPPacket.End($0.mac, $0.v4), ARPPacket.End(nobody, $0.v4))
        },
        SourceCase("an answer", .passed) {
            $0.frame().arp(.reply, from: ARPPacket.End($0.mac, $0.v4), to: ARPPacket.End($0.hostMAC, gateway))
        },
        SourceCase("the gateway's address announced", .dropped(leaving: .invalidSource)) {
            $0.asks(ARPPacket.End($0.mac, gateway), ARPPacket.End(nobody, gateway))
        },
        SourceCase("the gateway's address as an answer", .dropped(leaving: .invalidSource)) {
            $0.frame().arp(.reply, from: ARPPacket.End($0.mac, gateway), to: ARPPacket.End($0.hostMAC, gateway))
        },
        SourceCase("its own address at another hardware address", .dropped(leaving: .invalidSourceMAC)) {
            $0.asks(ARPPacket.End(stranger, $0.v4), ARPPacket.End(nobody, gateway))
        },
        SourceCase("from another hardware address", .dropped(leaving: .invalidSourceMAC)) {
            Packet.ethernet(from: stranger, to: everybody)
                .arp(.request, from: ARPPacket.End($0.mac, $0.v4), to: ARPPacket.End(nobody, gateway))
        },
    ]

    @Test("A pod answers for its own addresses only", arguments: resolutions)
    func resolution(_ row: SourceCase) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(egress: HandMadePolicy.denyAll.id)
        #expect(try datapath.run(row.packet(pod), on: .fromPod(pod)) == row.fate)
        // What the host says is its own.
        #expect(try datapath.run(row.packet(pod), on: .toPod(pod)) == .passed)
    }

    @Test("ARP that is cut off or of other networks is dropped")
    func brokenResolution() throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        let whole = pod.asks(ARPPacket.End(pod.mac, pod.v4), ARPPacket.End(nobody, gateway)).bytes
        for length in 14..<42 {
            #expect(try datapath.run(Array(whole[..<length]), on: .fromPod(pod)) == .dropped(leaving: .truncated))
        }
        for (place, value) in [(15, 6), (16, 0x86), (18, 8), (19, 16)] as [(Int, UInt8)] {
            var other = whole
            other[place] = value
            #expect(try datapath.run(other, on: .fromPod(pod)) == .dropped(leaving: .malformed))
        }
        try datapath.remove(pod)
        #expect(try datapath.run(whole, on: .fromPod(pod)) == .dropped(leaving: .unknownEndpoint))
    }

    @Test("What a bridge floods is dropped, what is for all or for the pod's link is not", arguments: Family.allCases)
    func flooded(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (pod, other) = (try datapath.addPod(), try datapath.addPod())
        let frame = Packet.ethernet(from: pod.hostMAC, to: other.mac)
        let flooded = frame.ip(from: family.outside, to: other[family]).udp(from: 1, to: 2)
        #expect(try datapath.run(flooded, on: .toPod(pod)) == .dropped(entering: .invalidDestination))
        let group = family == .v4 ? ip("224.0.0.251") : ip("ff02::fb")
        let toGroup = frame.ip(from: family.outside, to: group).udp(from: 1, to: 2)
        #expect(try datapath.run(toGroup, on: .toPod(pod)) == .passed)
        let toAll = Packet.ethernet(from: pod.hostMAC, to: everybody).ip(from: family.outside, to: other[family])
        #expect(try datapath.run(toAll.udp(from: 1, to: 2), on: .toPod(pod)) == .passed)
        let toLink = frame.ip(from: linkLocal, to: ip("fe80::9")).echo()
        #expect(try datapath.run(toLink, on: .toPod(pod)) == .passed)
    }

    /// Under an egress policy that lets nothing out.
    static let neighbours: [SourceCase] = [
        SourceCase("a solicitation during duplicate address detection", .passed) {
            $0.frame().ip(from: .unspecifiedIPv6, to: ip("ff02::1:ff00:1"), ttl: 255)
                .neighbourSolicitation(for: $0.v6, from: $0.mac)
        },
        SourceCase("a solicitation from its address", .passed) {
            $0.sends(to: ip("ff02::1:ff00:7"), ttl: 255).neighbourSolicitation(for: ip("fd00::7"), from: $0.mac)
        },
        SourceCase("an advertisement to a link-local address", .passed) {
            $0.sends(to: linkLocal, ttl: 255).neighbourAdvertisement(of: $0.v6, at: $0.mac)
        },
        SourceCase("an advertisement of its link-local address", .passed) {
            $0.frame().ip(from: linkLocal, to: allNodes, ttl: 255).neighbourAdvertisement(of: linkLocal, at: $0.mac)
        },
        SourceCase("an advertisement of another's address, from its own", .dropped(leaving: .invalidSource)) {
            $0.sends(to: linkLocal, ttl: 255).neighbourAdvertisement(of: ip("fd00::77"), at: $0.mac)
        },
        SourceCase("an advertisement of another's address, from link-local", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: linkLocal, to: allNodes, ttl: 255)
                .neighbourAdvertisement(of: ip("fd00::77"), at: $0.mac)
        },
        SourceCase("an advertisement without a target", .dropped(leaving: .truncated)) {
            $0.sends(to: linkLocal, ttl: 255).icmp(type: 136)
        },
        SourceCase("a router solicitation", .passed) {
            $0.frame().ip(from: linkLocal, to: ip("ff02::2"), ttl: 255).icmp(type: 133)
        },
        SourceCase("a router advertisement", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: linkLocal, to: allNodes, ttl: 255).icmp(type: 134)
        },
        SourceCase("a redirect from its own address", .dropped(leaving: .isolated)) {
            $0.sends(to: linkLocal, ttl: 255).icmp(type: 137)
        },
        SourceCase("a listener report", .passed) {
            $0.frame().ip(from: linkLocal, to: ip("ff02::16"), ttl: 1).ipv6Extension(.hopByHop, options: [5, 2, 0, 0])
                .icmp(type: 143)
        },
        SourceCase("neighbour discovery from another hardware address", .dropped(leaving: .invalidSourceMAC)) {
            Packet.ethernet(from: stranger, to: $0.hostMAC).ip(from: linkLocal, to: ip("ff02::2")).icmp(type: 133)
        },
        SourceCase("an advertisement from another pod's address", .dropped(leaving: .invalidSource)) {
            $0.frame().ip(from: ip("fd00::77"), to: allNodes).neighbourAdvertisement(of: ip("fd00::77"), at: $0.mac)
        },
        SourceCase("a solicitation that routers would forward", .dropped(leaving: .isolated)) {
            $0.sends(to: Journey.outside.v6).neighbourSolicitation(for: Journey.outside.v6, from: $0.mac)
        },
        SourceCase("an advertisement that routers would forward", .dropped(leaving: .isolated)) {
            $0.sends(to: Journey.outside.v6).neighbourAdvertisement(of: $0.v6, at: $0.mac)
        },
        SourceCase("an echo to a multicast group of the link", .dropped(leaving: .isolated)) {
            $0.sends(to: allNodes).echo()
        },
        SourceCase("a listener report to a group of the site", .dropped(leaving: .isolated)) {
            $0.sends(to: ip("ff05::1")).icmp(type: 143)
        },
        SourceCase("neighbour discovery in a first fragment", .dropped(leaving: .isolated)) {
            $0.sends(to: allNodes).ipv6Fragment(Fragment(offset: 0, more: true))
                .neighbourAdvertisement(of: $0.v6, at: $0.mac)
        },
    ]

    @Test("A pod sends from its own addresses only", arguments: addresses)
    func source(_ row: SourceCase) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        #expect(try datapath.run(row.packet(pod), on: .fromPod(pod)) == row.fate)
    }

    @Test("Neighbour discovery passes policy on the link only", arguments: neighbours)
    func neighbourDiscovery(_ row: SourceCase) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(egress: HandMadePolicy.denyAll.id)
        #expect(try datapath.run(row.packet(pod), on: .fromPod(pod)) == row.fate)
    }

    @Test("A pod can't continue another pod's connection, though it forge its addresses", arguments: Family.allCases)
    func forgedConnection(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (pod, intruder) = (try datapath.addPod(), try datapath.addPod())
        let packet = pod.sends(to: family.outside).udp(from: 40000, to: 53)
        #expect(try datapath.run(packet, on: .fromPod(pod)) == .passed)
        // Both hooks have the interface that the kernel runs a program on for a test; in truth each pod has its own.
        try datapath.setEndpoint(of: pod) { $0.ifindex = 77 }
        #expect(try datapath.run(packet, on: .fromPod(intruder)) == .dropped(leaving: .invalidSourceMAC))
        try datapath.setEndpoint(of: intruder) { $0.flags = 0 }
        #expect(try datapath.run(packet, on: .fromPod(intruder)) == .dropped(leaving: .invalidSource))
    }

    @Test("The connection of a pod that has gone is not continued by the next one with its address and interface")
    func leftBehind() throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod(["10.244.1.9"])
        let packet = pod.sends(to: Journey.outside.v4).udp(from: 40000, to: 53)
        #expect(try datapath.run(packet, on: .fromPod(pod)) == .passed)
        try datapath.set(.denyAll)
        let next = try datapath.addPod(["10.244.1.9"], egress: HandMadePolicy.denyAll.id)
        try datapath.setEndpoint(of: next) { $0.flags = 0 }
        try datapath.setEndpoint(of: pod) { $0.flags |= APUS_ENDPOINT_LEAVING.rawValue }
        #expect(try datapath.run(packet, on: .fromPod(next)) == .dropped(leaving: .isolated))
    }

    @Test("A pod with one address has no other")
    func oneAddress() throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod(["10.244.1.9"])
        let packet = pod.frame().ip(from: .unspecifiedIPv6, to: Journey.outside.v6).udp(from: 1, to: 2)
        #expect(try datapath.run(packet, on: .fromPod(pod)) == .dropped(leaving: .invalidSource))
    }

    @Test("A hardware address that is not known is not checked")
    func unknownMAC() throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        try datapath.setEndpoint(of: pod) { $0.flags = 0 }
        let packet = Packet.ethernet(from: stranger, to: pod.hostMAC).ip(from: pod.v4, to: Journey.outside.v4).echo()
        #expect(try datapath.run(packet, on: .fromPod(pod)) == .passed)
    }

    @Test("Nothing passes at an interface or in a slot that no endpoint owns")
    func unknownEndpoint() throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        let packets = (pod.sends(to: Journey.outside.v4).echo(), pod.receives(from: Journey.outside.v4).echo())
        try datapath.remove(pod)
        #expect(try datapath.run(packets.0, on: .fromPod(pod)) == .dropped(leaving: .unknownEndpoint))
        #expect(try datapath.run(packets.1, on: .toPod(pod)) == .dropped(entering: .unknownEndpoint))
        // Nobody's packet is the host's.
        #expect(try datapath.run(packets.1, on: .fromNetwork) == .passed)
    }

    @Test("Nothing from outside claims to be a pod of this node")
    func spoofedFromOutside() throws {
        let datapath = try DatapathFixture()
        let (one, other) = (try datapath.addPod(), try datapath.addPod())
        for source in one.addresses {
            let packet = other.receives(from: source).udp(from: 1, to: 2)
            #expect(try datapath.run(packet, on: .fromNetwork) == .dropped(entering: .invalidSource))
        }
    }

    @Test("… nor to be the node, whom policy lets in", arguments: Family.allCases)
    func spoofedNode(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        try datapath.setClass(0, of: family.outside, isLocalNode: true)
        let pod = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        let packet = pod.receives(from: family.outside).udp(from: 1, to: 2)
        #expect(try datapath.run(packet, on: .fromNetwork) == .dropped(entering: .invalidSource))
        #expect(try datapath.run(packet, on: .toPod(pod)) == .passed)
    }

    @Test("… nor to continue a pod's connection")
    func spoofedConnection() throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        try datapath.run(client.sends(to: server.v4).tcp(from: 40000, to: 80, flags: .syn), on: .fromPod(client))
        let spoofed = server.receives(from: client.v4).tcp(from: 40000, to: 80, flags: .ack)
        #expect(try datapath.run(spoofed, on: .fromNetwork) == .dropped(entering: .invalidSource))
    }
}
