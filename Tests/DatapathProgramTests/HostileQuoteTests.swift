internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("What ICMP errors quote that is odd")
struct HostileQuoteTests {
    /// A quote of less than all ports, or of what has none.
    private static func broken(_ whole: Packet, _ family: Family) -> [(String, [UInt8])] {
        let header = family == .v4 ? 20 : 40
        let addresses = family == .v4 ? 12..<20 : 8..<40
        let other = Packet.raw.ip(
            from: family == .v4 ? "2001:db8::1" : "192.0.2.1", to: family == .v4 ? "2001:db8::2" : "192.0.2.2"
        )
        .tcp(from: 443, to: 40000, flags: .ack)
        func changed(_ index: Int, _ value: UInt8) -> [UInt8] {
            var bytes = whole.bytes
            bytes[index] = value
            return bytes
        }
        // DCCP, which has ports that are nobody's here.
        let dccp = changed(family == .v4 ? 9 : 6, 33)
        var reversed = whole.bytes
        reversed.replaceSubrange(
            addresses,
            with: whole.bytes[addresses].suffix(addresses.count / 2)
                + whole.bytes[addresses].prefix(addresses.count / 2))
        return [
            ("nothing", []), ("an address", Array(whole.bytes.prefix(header - 4))),
            ("a header", Array(whole.bytes.prefix(header))), ("half the ports", Array(whole.bytes.prefix(header + 3))),
            ("seven bytes", Array(whole.bytes.prefix(header + 7))), ("another family", other.bytes),
            ("no version", changed(0, 0x05)), ("DCCP", dccp), ("no protocol", changed(family == .v4 ? 9 : 6, 59)),
            ("the way back", reversed), ("garbage", [UInt8](repeating: 0xff, count: 80)),
            ("a later fragment", whole.fragments(of: 64)[1].bytes),
        ]
    }

    @Test("It changes nothing at an uplink", arguments: Family.allCases, Transport.allCases)
    func uplink(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        let pod = try edge.datapath.addPod()
        let talk = try OutsideTalk(edge, to: pod[family])
        let type: UInt8 = family == .v4 ? 3 : 1
        for (name, quote) in Self.broken(talk.answered, family) {
            let packet = Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: talk.router, to: talk.frontend)
                .icmp(type: type, code: 1).payload(quote)
            #expect(try edge.datapath.run(packet, on: .fromNetwork) == .passed, "\(name)")
            #expect(edge.datapath.output == packet.bytes, "\(name)")
        }
        for (name, quote) in Self.broken(talk.askedInside, family) {
            let packet = Packet.ethernet(from: Edge.uplink, to: Edge.router).ip(from: pod[family], to: edge.client)
                .icmp(type: type, code: 1).payload(quote)
            #expect(try edge.datapath.run(packet, on: .toNetwork) == .passed, "\(name)")
            #expect(edge.datapath.output == packet.bytes, "\(name)")
        }
    }

    @Test("It changes nothing at a pod", arguments: Family.allCases)
    func pod(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (pod, server) = (try datapath.addPod(), try datapath.addPod())
        try datapath.addService(SocketAddress(family.virtual, 80), to: [SocketAddress(server[family], 8080)])
        let opening = pod.sends(to: family.virtual).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(opening, on: .fromPod(pod)) == .delivered)
        let type: UInt8 = family == .v4 ? 3 : 1
        let text = [UInt8](repeating: 0x61, count: 200)
        let asked = Packet.raw.ip(from: pod[family], to: server[family]).tcp(from: 40000, to: 8080, flags: .syn)
        for (name, quote) in Self.broken(asked.payload(text), family) {
            let packet = pod.receives(from: server[family]).icmp(type: type, code: 1).payload(quote)
            #expect(try datapath.run(packet, on: .toPod(pod)) == .passed, "\(name)")
            #expect(datapath.output == packet.bytes, "\(name)")
        }
        let got = Packet.raw.ip(from: family.virtual, to: pod[family]).tcp(from: 80, to: 40000, flags: .ack)
        for (name, quote) in Self.broken(got.payload(text), family) {
            let packet = pod.sends(to: family.virtual).icmp(type: type, code: 1).payload(quote)
            #expect(try datapath.run(packet, on: .fromPod(pod)) == .passed, "\(name)")
            #expect(datapath.output == packet.bytes, "\(name)")
        }
    }

    /// A packet of the backend's answer with odd headers, whichever end it comes from.
    private static func odd(_ family: Family, from source: IPAddress, _ port: Port, to client: IPAddress) -> [Packet] {
        let text = [UInt8](repeating: 0x61, count: 200)
        func tcp(_ network: Packet) -> Packet {
            network.tcp(from: port, to: Edge.clientPort, flags: .ack).payload(text)
        }
        let plain = Packet.raw.ip(from: source, to: client)
        let options =
            family == .v4
            ? Packet.raw.ipv4(from: source, to: client, options: [7, 7, 4, 0, 0, 0, 0, 0])
            : plain.ipv6Extension(.destinationOptions, options: [1, 4, 0, 0, 0, 0])
        return [tcp(options), tcp(plain).fragments(of: 64)[0]]
    }

    /// Where the checksum of TCP is in such a packet.
    private static func checksumPlace(_ packet: Packet, _ family: Family) -> Int {
        if family == .v4 { return Int(packet.bytes[0] & 0xf) * 4 + 16 }
        return 40 + 8 + 16
    }

    @Test("Options and a first fragment hide no ports", arguments: Family.allCases)
    func options(_ family: Family) throws {
        let edge = try Edge(family)
        let pod = try edge.datapath.addPod()
        let talk = try OutsideTalk(edge, to: pod[family])
        let answered = Self.odd(family, from: talk.frontend, OutsideTalk.port, to: edge.client)
        let inside = Self.odd(family, from: pod[family], 8080, to: edge.client)
        for (answered, inside) in zip(answered, inside) {
            var quoted = inside.bytes
            let place = Self.checksumPlace(inside, family)
            quoted.replaceSubrange(place..<place + 2, with: answered.bytes[place..<place + 2])
            try talk.expect(
                talk.arriving(about: answered, to: talk.frontend), on: .fromNetwork,
                becomes: talk.arriving(about: Packet.raw.payload(quoted), to: pod[family]))
        }
    }

    /// What is left of the ones' complement sum over an ICMP message, and its pseudo header: 0xffff of a right one.
    private func sum(_ frame: [UInt8], _ family: Family) -> UInt32 {
        let header = 14 + (family == .v4 ? 20 : 40)
        var bytes = Array(frame[header...])
        if family == .v6 {
            bytes += frame[22..<54] + [UInt8((frame.count - header) >> 8), UInt8((frame.count - header) & 0xff), 0, 58]
        }
        if bytes.count % 2 == 1 { bytes.append(0) }
        var sum = stride(from: 0, to: bytes.count, by: 2).reduce(UInt32(0)) {
            $0 + UInt32(bytes[$1]) << 8 + UInt32(bytes[$1 + 1])
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return sum
    }

    @Test(
        "A wrong checksum stays as wrong as it was, of the error and of the header that it quotes",
        arguments: Family.allCases)
    func checksums(_ family: Family) throws {
        let edge = try Edge(family)
        let pod = try edge.datapath.addPod()
        let talk = try OutsideTalk(edge, to: pod[family])
        let right = talk.arriving(about: talk.answered, to: talk.frontend).bytes
        let icmp = 14 + (family == .v4 ? 20 : 40)
        for place in [icmp + 2] + (family == .v4 ? [icmp + 8 + 10] : []) {
            var wrong = right
            wrong[place] ^= 0x5a
            #expect(try edge.datapath.run(wrong, on: .fromNetwork) == .passed)
            let output = edge.datapath.output
            #expect(PacketView(output)?.destination == pod[family])
            #expect(sum(output, family) == sum(wrong, family) && sum(output, family) != 0xffff)
            guard place == icmp + 18 else { continue }
            #expect(try edge.datapath.run(right, on: .fromNetwork) == .passed)
            #expect(output[place] ^ edge.datapath.output[place] != 0)
        }
    }
}
