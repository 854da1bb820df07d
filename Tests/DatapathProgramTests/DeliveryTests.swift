internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Delivery to a pod of the node")
struct DeliveryTests {
    @Test(
        "The frame gets the addresses of the link and one hop less, and is otherwise as it was",
        arguments: Family.allCases)
    func output(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        for ttl in [2, 64, 128, 255] as [UInt8] {
            let packet = client.sends(to: server[family], ttl: ttl)
                .tcp(from: 40000, to: 80, flags: .syn).payload("to the server")
            #expect(try datapath.run(packet, on: .fromPod(client)) == .delivered)
            let expected = Packet.ethernet(from: server.hostMAC, to: server.mac)
                .ip(from: client[family], to: server[family], ttl: ttl - 1)
                .tcp(from: 40000, to: 80, flags: .syn).payload("to the server")
            #expect(datapath.output == expected.bytes)
        }
    }

    @Test("Every header checksum stays right when the hop count falls")
    func headerChecksum() throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        // The identification walks through all values of the checksum's upper byte and its carry.
        for identification in stride(from: UInt16(0), to: 65_000, by: 97) {
            let packet = client.frame().ipv4(from: client.v4, to: server.v4, identification: identification)
                .udp(from: 40000, to: 53)
            #expect(try datapath.verdict(packet.bytes, on: .fromPod(client)) == Verdict.redirect)
            try #require(datapath.outputView?.headerChecksumIsRight == true, "identification \(identification)")
        }
    }

    @Test("A wrong header checksum stays wrong")
    func wrongChecksumStaysWrong() throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let packet = client.sends(to: server.v4).udp(from: 40000, to: 53).bytes
        #expect(try datapath.run(packet.with(packet[24] ^ 1, at: 24), on: .fromPod(client)) == .delivered)
        #expect(datapath.outputView?.headerChecksumIsRight == false)
    }

    @Test("A hop count that ends here is the stack's to answer", arguments: Family.allCases, [0, 1] as [UInt8])
    func hopCountEnds(_ family: Family, ttl: UInt8) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let packet = client.sends(to: server[family], ttl: ttl).udp(from: 40000, to: 53)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        #expect(datapath.output == packet.bytes)
    }

    @Test("Without redirection the stack gets the packet as it is")
    func redirectOff() throws {
        let datapath = try DatapathFixture { $0.redirect_peer = 0 }
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let packet = client.sends(to: server.v4).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        #expect(datapath.output == packet.bytes)
        #expect(try datapath.run(packet, on: .toPod(server)) == .passed)
        #expect(datapath.output == packet.bytes)
    }

    @Test("A pod whose link is no veth is reached through the stack")
    func noVeth() throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        try datapath.setEndpoint(of: server) { $0.flags &= ~APUS_ENDPOINT_REDIRECT.rawValue }
        let packet = client.sends(to: server.v4).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        #expect(try datapath.run(server.receives(from: ip("203.0.113.9")).echo(), on: .fromNetwork) == .passed)
    }

    @Test("A pod talks to itself through the stack, whatever policy says")
    func selfTraffic() throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod(ingress: 66, egress: 66)  // policies that are in no map
        let packet = pod.sends(to: pod.v4).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(packet, on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(packet, on: .toPod(pod)) == .passed)
        #expect(try datapath.run(pod.sends(to: ip("203.0.113.9")).echo(), on: .fromPod(pod)).isPassing == false)
    }

    @Test("What comes from the network is delivered in the same way", arguments: Family.allCases)
    func fromNetwork(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let server = try datapath.addPod()
        let source = family.outside
        let packet = Packet.ethernet(from: mac("02:00:00:00:00:01"), to: mac("02:00:00:00:00:02"))
            .ip(from: source, to: server[family]).udp(from: 40000, to: 53).payload("query")
        #expect(try datapath.run(packet, on: .fromNetwork) == .delivered)
        let expected = server.receives(from: source, ttl: 63).udp(from: 40000, to: 53).payload("query")
        #expect(datapath.output == expected.bytes)
    }
}
