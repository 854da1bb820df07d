internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Packets to a Service without endpoints are refused at once")
struct RefusalTests {
    /// The answer's headers up to the network's.
    private static func answer(_ family: Family, to client: Pod) -> Packet {
        let frame = Packet.ethernet(from: client.hostMAC, to: client.mac)
        return family == .v4
            ? frame.ipv4(from: family.virtual, to: client.v4, doNotFragment: true)
            : frame.ipv6(from: family.virtual, to: client.v6)
    }

    /// The request without its link layer, as it is quoted.
    private static func quoted(_ family: Family, from client: Pod) -> Packet {
        Packet.raw.ip(from: client[family], to: family.virtual)
    }

    private static func datapath(
        _ transport: Transport, _ configure: (inout apus_config) -> Void = { _ in }
    ) throws -> (DatapathFixture, Pod) {
        let datapath = try DatapathFixture(configure)
        for family in Family.allCases {
            try datapath.addService(SocketAddress(family.virtual, 80), transport.number, to: [])
        }
        return (datapath, try datapath.addPod())
    }

    @Test("An opening of TCP is answered by the reset of a closed port", arguments: Family.allCases)
    func reset(_ family: Family) throws {
        let (datapath, client) = try Self.datapath(.tcp)
        let syn = client.sends(to: family.virtual).tcp(
            from: 40000, to: 80, flags: .syn, sequence: 0xffff_ffff, options: [2, 4, 5, 0xb4, 4, 2, 1, 1])
        #expect(try datapath.run(syn, on: .fromPod(client)) == .delivered)
        let reset = Self.answer(family, to: client).tcp(
            from: 80, to: 40000, flags: [.rst, .ack], sequence: 0, acknowledgement: 0, window: 0)
        #expect(datapath.output == reset.bytes)
    }

    @Test("So is what no Service has of a Service's address", arguments: Family.allCases)
    func otherPorts(_ family: Family) throws {
        let (datapath, client) = try Self.datapath(.tcp)
        try datapath.refuseRest(of: family.virtual)
        let packets = Transport.allCases.map { transport in
            transport.header(on: client.sends(to: family.virtual), from: 40000, to: 81, .syn).payload("text")
        }
        for packet in packets {
            #expect(try datapath.run(packet, on: .fromPod(client)) == .delivered)
            #expect(datapath.outputView?.source == family.virtual)
        }
        let dropped = DropKey(reason: .noBackend, direction: .APUS_DIRECTION_EGRESS)
        #expect(try datapath.drops()[dropped]?.packets == 3)
        #expect(datapath.events().allSatisfy { $0.destinationEnd == SocketAddress(family.virtual, 81) })
        #expect(try datapath.connectionCount() == 0)
        let elsewhere = client.sends(to: family.outside).tcp(from: 40000, to: 81, flags: .syn)
        #expect(try datapath.run(elsewhere, on: .fromPod(client)) == .passed)
    }

    @Test("A reset acknowledges what the packet carries, or takes the place that it names", arguments: Family.allCases)
    func sequenceNumbers(_ family: Family) throws {
        let (datapath, client) = try Self.datapath(.tcp)
        let cases: [(TCPFlags, TCPFlags, UInt32, UInt32)] = [
            ([.syn], [.rst, .ack], 0, 1000 + 5 + 1), ([.fin], [.rst, .ack], 0, 1000 + 5 + 1),
            ([.syn, .fin], [.rst, .ack], 0, 1000 + 5 + 2), ([.psh], [.rst, .ack], 0, 1000 + 5),
            ([.ack], [.rst], 7777, 0), ([.syn, .ack], [.rst], 7777, 0), ([.fin, .ack], [.rst], 7777, 0),
        ]
        for (sent, flags, sequence, acknowledgement) in cases {
            let packet = client.sends(to: family.virtual).tcp(
                from: 40000, to: 80, flags: sent, sequence: 1000, acknowledgement: 7777
            ).payload("hello")
            #expect(try datapath.run(packet, on: .fromPod(client)) == .delivered, "\(sent)")
            let reset = Self.answer(family, to: client).tcp(
                from: 80, to: 40000, flags: flags, sequence: sequence, acknowledgement: acknowledgement, window: 0)
            #expect(datapath.output == reset.bytes, "\(sent)")
        }
    }

    @Test(
        "A datagram is answered by an error that quotes it, an association too", arguments: Family.allCases,
        [Transport.udp, .sctp])
    func unreachable(_ family: Family, _ transport: Transport) throws {
        let (datapath, client) = try Self.datapath(transport)
        // Lengths that are no multiples of a word, and around those at which the sum takes another part.
        for length in [0, 1, 2, 3, 4, 7, 18, 64, 483, 484, 485, 500, 519, 520, 521, 700, 1000, 1183, 1184, 1185, 1400] {
            let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) }
            let sent = { (start: Packet) in transport.header(on: start, from: 40000, to: 80).payload(payload) }
            #expect(try datapath.run(sent(client.sends(to: family.virtual)), on: .fromPod(client)) == .delivered)
            let error = Self.answer(family, to: client).icmpError(
                .portUnreachable, quoting: sent(Self.quoted(family, from: client)), limit: family == .v4 ? 548 : 1232)
            #expect(datapath.output == error.bytes, "\(length)")
        }
    }

    @Test("The padding of a short frame is not quoted")
    func padding() throws {
        let (datapath, client) = try Self.datapath(.udp)
        let sent = { (start: Packet) in start.udp(from: 40000, to: 80).payload("a") }
        let frame = sent(client.sends(to: Family.v4.virtual)).bytes + [UInt8](repeating: 0xee, count: 17)
        #expect(try datapath.run(frame, on: .fromPod(client)) == .delivered)
        let error = Self.answer(.v4, to: client).icmpError(
            .portUnreachable, quoting: sent(Self.quoted(.v4, from: client)))
        #expect(datapath.output == error.bytes)
    }

    @Test("A pod that is its Service's only backend is refused", arguments: Family.allCases, [UInt32(0), 200])
    func hairpin(_ family: Family, affinity: UInt32) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        try datapath.addService(
            SocketAddress(family.virtual, 80), to: [SocketAddress(pod[family], 8080)], affinity: affinity)
        for source in 40000..<40004 as Range<Port> {
            let syn = pod.sends(to: family.virtual).tcp(from: source, to: 80, flags: .syn)
            #expect(try datapath.run(syn, on: .fromPod(pod)) == .delivered)
            let reset = Self.answer(family, to: pod).tcp(
                from: 80, to: source, flags: [.rst, .ack], sequence: 0, acknowledgement: 2, window: 0)
            #expect(datapath.output == reset.bytes)
        }
        #expect(try datapath.connectionCount() == 0)
    }

    @Test("What needs no answer gets none", arguments: Family.allCases)
    func unanswered(_ family: Family) throws {
        for transport in Transport.connected {
            let (datapath, client) = try Self.datapath(transport)
            let reset = transport.header(on: client.sends(to: family.virtual), from: 40000, to: 80, .rst)
            #expect(try datapath.run(reset, on: .fromPod(client)) == .dropped(leaving: .noBackend))
        }
        let (other, sender) = try Self.datapath(.udp)
        let datagram = sender.sends(to: family.virtual).udp(from: 40000, to: 80).payload(
            [UInt8](repeating: 1, count: 80))
        let first = try #require(datagram.fragments(of: 32).first)
        #expect(try other.run(first, on: .fromPod(sender)) == .dropped(leaving: .noBackend))
    }

    @Test(
        "A refused packet is counted and told, and leaves no connection", arguments: Family.allCases, Transport.allCases
    )
    func evidence(_ family: Family, _ transport: Transport) throws {
        let (datapath, client) = try Self.datapath(transport)
        let request = transport.header(on: client.sends(to: family.virtual), from: 40000, to: 80)
        #expect(try datapath.run(request, on: .fromPod(client)) == .delivered)
        let event = try #require(datapath.events().last)
        #expect(event.kind == .denied && event.reason == .noBackend && event.destinationEnd.address == family.virtual)
        let key = DropKey(reason: .noBackend, direction: .APUS_DIRECTION_EGRESS)
        #expect(try datapath.drops()[key]?.packets == 1)
        #expect(try datapath.connectionCount() == 0)
    }

    @Test("Through the stack an answer passes the pod's own hook, and so it is not judged", arguments: Family.allCases)
    func throughStack(_ family: Family) throws {
        let (datapath, _) = try Self.datapath(.tcp) { $0.redirect_peer = 0 }
        // A policy that lets nothing in, but for what from_pod marks.
        try datapath.set(HandMadePolicy(id: 5))
        let client = try datapath.addPod(ingress: 5)
        let syn = client.sends(to: family.virtual).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(syn, on: .fromPod(client)) == .delivered)
        let reset = Self.answer(family, to: client).tcp(
            from: 80, to: 40000, flags: [.rst, .ack], sequence: 0, acknowledgement: 2, window: 0)
        #expect(datapath.output == reset.bytes)
        #expect(try datapath.run(reset, on: .toPod(client)) == .dropped(entering: .isolated), "without the mark")
    }
}
