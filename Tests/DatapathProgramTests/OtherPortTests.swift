internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// A pod that talks from one port to one backend, by several addresses.
private struct Meeting {
    static let own: Port = 40000
    static let target: Port = 8080
    static let text = "text"

    let datapath: DatapathFixture
    let family: Family
    let transport: Transport
    let client: Pod
    let server: Pod

    init(_ family: Family, _ transport: Transport, _ configure: (inout apus_config) -> Void = { _ in }) throws {
        datapath = try DatapathFixture(configure)
        (self.family, self.transport) = (family, transport)
        (client, server) = (try datapath.addPod(), try datapath.addPod())
    }

    /// A Service whose only endpoint is the server.
    func service(_ number: Int) throws -> SocketAddress {
        let address = family == .v4 ? ip("10.96.0.\(number)") : ip("fd96::\(number)")
        let frontend = SocketAddress(address, 80)
        try datapath.addService(frontend, transport.number, to: [SocketAddress(server[family], Self.target)])
        return frontend
    }

    var backend: SocketAddress { SocketAddress(server[family], Self.target) }

    func sent(to address: SocketAddress, _ flags: TCPFlags) -> Packet {
        let start = client.sends(to: address.address)
        return transport.header(on: start, from: Self.own, to: address.port, flags).payload(Self.text)
    }

    /// What the server gets from a port of the client.
    func arrived(from port: Port, _ flags: TCPFlags) -> Packet {
        let start = server.receives(from: client[family], ttl: 63)
        return transport.header(on: start, from: port, to: Self.target, flags).payload(Self.text)
    }

    /// Sends a packet, which has to reach the server; returns by which port.
    func send(
        to address: SocketAddress, _ flags: TCPFlags, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Port {
        let fate = try datapath.run(sent(to: address, flags), on: .fromPod(client))
        #expect(fate == .delivered, sourceLocation: sourceLocation)
        let port = try #require(datapath.outputView?.sourcePort, sourceLocation: sourceLocation)
        #expect(datapath.output == arrived(from: port, flags).bytes, sourceLocation: sourceLocation)
        return port
    }

    /// The server answers a port; the client has to get it from the address that it has asked, at its own port.
    func answer(
        _ port: Port, from address: SocketAddress, _ flags: TCPFlags = [.syn, .ack],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let start = server.sends(to: client[family])
        let answer = transport.header(on: start, from: Self.target, to: port, flags).payload(Self.text)
        #expect(try datapath.run(answer, on: .fromPod(server)) == .delivered, sourceLocation: sourceLocation)
        let got = client.receives(from: address.address, ttl: 63)
        let wanted = transport.header(on: got, from: address.port, to: Self.own, flags).payload(Self.text)
        #expect(datapath.output == wanted.bytes, sourceLocation: sourceLocation)
    }

    /// Opens a connection; returns the port by which the server knows the client.
    func open(_ address: SocketAddress, sourceLocation: SourceLocation = #_sourceLocation) throws -> Port {
        let port = try send(to: address, .syn, sourceLocation: sourceLocation)
        try answer(port, from: address, sourceLocation: sourceLocation)
        return port
    }

    /// Something each way on an open one, by that port.
    func talk(
        _ address: SocketAddress, by port: Port, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(try send(to: address, .ack, sourceLocation: sourceLocation) == port, sourceLocation: sourceLocation)
        try answer(port, from: address, .ack, sourceLocation: sourceLocation)
    }

    /// The key of the records that lead the client's port from an address.
    func key(_ address: SocketAddress) -> apus_translation_key {
        var key = apus_translation_key()
        (key.client, key.frontend) = (apus_address(client[family]), apus_address(address.address))
        (key.client_port, key.frontend_port) = (Self.own.bigEndian, address.port.bigEndian)
        key.protocol = transport.number.rawValue
        return key
    }

    func forgetTranslations() throws {
        try datapath.maps.translations.clear(apus_translation_key.self)
        try datapath.maps.disposableTranslations.clear(apus_translation_key.self)
    }
}

@Suite("One port of a pod towards one backend by several addresses, byte by byte")
struct OtherPortTests {
    @Test(
        "Through two Services both connections get through, and each answer comes from the address that was asked",
        arguments: Family.allCases, Transport.allCases)
    func twoServices(_ family: Family, _ transport: Transport) throws {
        let meeting = try Meeting(family, transport)
        let frontends = [try meeting.service(10), try meeting.service(11)]
        let ports = try frontends.map { try meeting.open($0) }
        #expect(ports[0] == Meeting.own && (32768...60999).contains(ports[1]) && ports[1] != Meeting.own)
        for _ in 0..<3 {
            for (frontend, port) in zip(frontends, ports) { try meeting.talk(frontend, by: port) }
        }
        #expect(try meeting.datapath.connectionCount() == 2)
        #expect(try meeting.datapath.drops().isEmpty)
    }

    @Test(
        "Through a Service and to the backend itself, whichever is first", arguments: Family.allCases,
        Transport.allCases)
    func besideService(_ family: Family, _ transport: Transport) throws {
        for isDirectFirst in [true, false] {
            let meeting = try Meeting(family, transport)
            let frontend = try meeting.service(10)
            let addresses = isDirectFirst ? [meeting.backend, frontend] : [frontend, meeting.backend]
            let ports = try addresses.map { try meeting.open($0) }
            #expect(ports[0] == Meeting.own && ports[1] != Meeting.own)
            for _ in 0..<3 {
                for (address, port) in zip(addresses, ports) { try meeting.talk(address, by: port) }
            }
            #expect(try meeting.datapath.drops().isEmpty)
        }
    }

    @Test("All three at once", arguments: Family.allCases, Transport.allCases)
    func three(_ family: Family, _ transport: Transport) throws {
        let meeting = try Meeting(family, transport)
        let addresses = [try meeting.service(10), meeting.backend, try meeting.service(11)]
        let ports = try addresses.map { try meeting.open($0) }
        #expect(Set(ports).count == 3)
        for (address, port) in zip(addresses, ports) { try meeting.talk(address, by: port) }
    }

    @Test("An answered one is led by a record that a flood of openings can't push out", arguments: Family.allCases)
    func records(_ family: Family) throws {
        let meeting = try Meeting(family, .tcp)
        let addresses = [try meeting.service(10), try meeting.service(11), meeting.backend]
        let maps = meeting.datapath.maps
        for address in addresses { _ = try meeting.send(to: address, .syn) }
        func flags(_ map: borrowing BPFMap, _ address: SocketAddress) throws -> UInt16? {
            try map.lookup(meeting.key(address), as: apus_translation.self)?.flags
        }
        let other = UInt16(APUS_TRANSLATION_OTHER_PORT.rawValue)
        #expect(try addresses.map { try flags(maps.disposableTranslations, $0) } == [0, other, other])
        for address in addresses { _ = try meeting.open(address) }
        #expect(try addresses.map { try flags(maps.translations, $0) } == [0, other, other])
        #expect(try addresses.map { try flags(maps.disposableTranslations, $0) } == [nil, nil, nil])
        for address in addresses {
            let port = try meeting.send(to: address, .ack)
            _ = try meeting.send(to: address, [.fin, .ack])
            try meeting.answer(port, from: address, [.fin, .ack])
            // Its stragglers go the same way.
            #expect(try meeting.send(to: address, .ack) == port)
        }
        #expect(try addresses.map { try flags(maps.disposableTranslations, $0) } == [0, other, other])
    }

    @Test(
        "Where the record was pushed out, packets go on by the same port", arguments: Family.allCases,
        Transport.allCases)
    func pushedOut(_ family: Family, _ transport: Transport) throws {
        let meeting = try Meeting(family, transport)
        let addresses = [try meeting.service(10), try meeting.service(11), meeting.backend]
        let ports = try addresses.map { try meeting.open($0) }
        for _ in 0..<2 {
            try meeting.forgetTranslations()
            for (address, port) in zip(addresses, ports) { try meeting.talk(address, by: port) }
        }
    }

    @Test(
        "What is by another port stays there when the connection ends that has its own", arguments: Family.allCases,
        Transport.allCases)
    func firstEnds(_ family: Family, _ transport: Transport) throws {
        let meeting = try Meeting(family, transport)
        let addresses = [try meeting.service(10), try meeting.service(11), meeting.backend]
        let ports = try addresses.map { try meeting.open($0) }
        let tuple = try #require(PacketView(meeting.arrived(from: Meeting.own, .ack).bytes)?.connectionTuple)
        try meeting.datapath.maps.connections.delete(apus_connection_key(tuple))
        for (address, port) in zip(addresses, ports).dropFirst() { try meeting.talk(address, by: port) }
        #expect(try meeting.datapath.drops().isEmpty)
    }

    @Test("Datagrams to the backend itself that have been silent for long go on", arguments: Family.allCases)
    func silent(_ family: Family) throws {
        let meeting = try Meeting(family, .udp)
        let frontend = try meeting.service(10)
        _ = try meeting.open(frontend)
        let port = try meeting.open(meeting.backend)
        for old in [[port], [port, Meeting.own]] {
            for port in old { try meeting.datapath.age(meeting.arrived(from: port, .ack), seconds: 10_000) }
            let now = try meeting.open(meeting.backend)
            #expect(now == (old.count == 1 ? port : Meeting.own))
            try meeting.talk(meeting.backend, by: now)
        }
        #expect(try meeting.datapath.drops().isEmpty)
    }

    @Test(
        "What is left of one whose entry was pushed out goes on by its port", arguments: Family.allCases,
        Transport.connected)
    func entryPushedOut(_ family: Family, _ transport: Transport) throws {
        let meeting = try Meeting(family, transport)
        let addresses = [try meeting.service(10), meeting.backend, try meeting.service(11)]
        let ports = try addresses.map { try meeting.open($0) }
        for (address, port) in zip(addresses, ports).dropFirst() {
            let tuple = try #require(PacketView(meeting.arrived(from: port, .ack).bytes)?.connectionTuple)
            try meeting.datapath.maps.connections.delete(apus_connection_key(tuple))
            #expect(try meeting.send(to: address, .ack) == port)
        }
        #expect(try meeting.datapath.drops().isEmpty)
    }

    @Test(
        "Datagrams to the backend itself are a connection of their own when all others are over",
        arguments: Family.allCases)
    func over(_ family: Family) throws {
        for isSwept in [true, false] {
            let meeting = try Meeting(family, .udp)
            let ports = [try meeting.open(try meeting.service(10)), try meeting.open(meeting.backend)]
            for port in ports {
                try meeting.datapath.age(meeting.arrived(from: port, .ack), seconds: 10_000)
                let tuple = try #require(PacketView(meeting.arrived(from: port, .ack).bytes)?.connectionTuple)
                if isSwept { try meeting.datapath.maps.connections.delete(apus_connection_key(tuple)) }
            }
            #expect(try meeting.open(meeting.backend) == Meeting.own)
            let found = try #require(try meeting.datapath.connection(of: meeting.arrived(from: Meeting.own, .ack)))
            #expect(!found.entry.has(APUS_CONNECTION_TRANSLATED) && found.entry.openerSide.packets == 1)
            #expect(found.entry.responderSide.packets == 1)
        }
    }

    @Test("A later fragment to the backend itself goes by the port of the first", arguments: Family.allCases)
    func directFragments(_ family: Family) throws {
        let meeting = try Meeting(family, .udp) { $0.redirect_peer = 0 }
        let (datapath, client, server) = (meeting.datapath, meeting.client, meeting.server)
        let through = meeting.sent(to: try meeting.service(10), .syn)
        #expect(try datapath.run(through, on: .fromPod(client)) == .passed)
        let payload = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let sent = client.sends(to: server[family]).udp(from: Meeting.own, to: Meeting.target).payload(payload)
        for fragment in sent.fragments(of: 64) {
            #expect(try datapath.run(fragment, on: .fromPod(client)) == .passed)
            #expect(try datapath.run(datapath.output, on: .toPod(server)) == .passed)
        }
        #expect(try datapath.connectionCount() == 2)
    }

    @Test(
        "An opening that is sent again stays by its port when the first connection has ended",
        arguments: Family.allCases)
    func sentAgain(_ family: Family) throws {
        let meeting = try Meeting(family, .tcp)
        let first = try meeting.service(10)
        _ = try meeting.open(first)
        let port = try meeting.send(to: meeting.backend, .syn)
        _ = try meeting.send(to: first, .rst)
        #expect(try meeting.send(to: meeting.backend, .syn) == port)
        try meeting.answer(port, from: meeting.backend)
        try meeting.talk(meeting.backend, by: port)
    }

    @Test("A connection that ended is followed by one from the same ports", arguments: Family.allCases)
    func again(_ family: Family) throws {
        let meeting = try Meeting(family, .tcp)
        let addresses = [try meeting.service(10), try meeting.service(11), meeting.backend]
        let ports = try addresses.map { try meeting.open($0) }
        for (address, port) in zip(addresses, ports).dropFirst() {
            try meeting.answer(port, from: address, .rst)
            #expect(try meeting.open(address) == port)
        }
    }

    @Test("Fragments of a datagram, both ways", arguments: Family.allCases)
    func fragments(_ family: Family) throws {
        let meeting = try Meeting(family, .udp)
        let (first, second) = (try meeting.service(10), try meeting.service(11))
        let (client, server) = (meeting.client, meeting.server)
        _ = try meeting.open(first)
        let port = try meeting.open(second)
        let payload = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        func datagram(_ packet: Packet, _ source: Port, _ destination: Port) -> [Packet] {
            packet.udp(from: source, to: destination).payload(payload).fragments(of: 64)
        }
        let ways = [
            (
                datagram(client.sends(to: second.address), Meeting.own, 80), Hook.fromPod(client),
                datagram(server.receives(from: client[family], ttl: 63), port, Meeting.target)
            ),
            (
                datagram(server.sends(to: client[family]), Meeting.target, port), Hook.fromPod(server),
                datagram(client.receives(from: second.address, ttl: 63), 80, Meeting.own)
            ),
        ]
        for (sent, hook, wanted) in ways {
            for (fragment, expected) in zip(sent, wanted) {
                #expect(try meeting.datapath.run(fragment, on: hook) == .delivered)
                #expect(meeting.datapath.output == expected.bytes)
            }
        }
    }

    @Test("By way of the stack it is the same", arguments: Family.allCases, Transport.allCases)
    func throughStack(_ family: Family, _ transport: Transport) throws {
        let meeting = try Meeting(family, transport) { $0.redirect_peer = 0 }
        let (datapath, client, server) = (meeting.datapath, meeting.client, meeting.server)
        let addresses = [try meeting.service(10), try meeting.service(11), meeting.backend]
        var ports: [Port] = []
        for address in addresses {
            #expect(try datapath.run(meeting.sent(to: address, .syn), on: .fromPod(client)) == .passed)
            let port = try #require(datapath.outputView?.sourcePort)
            let left = transport.header(
                on: client.sends(to: server[family]), from: port, to: Meeting.target
            ).payload(Meeting.text)
            #expect(datapath.output == left.bytes)
            #expect(try datapath.forward(left, to: server) == .passed)
            ports.append(port)
        }
        #expect(Set(ports).count == 3)
        for (address, port) in zip(addresses, ports) {
            let answer = transport.header(
                on: server.sends(to: client[family]), from: Meeting.target, to: port, .ack
            ).payload(Meeting.text)
            #expect(try datapath.run(answer, on: .fromPod(server)) == .passed)
            #expect(datapath.output == answer.bytes)
            #expect(try datapath.forward(answer, to: client) == .passed)
            #expect(datapath.outputView?.source == address.address && datapath.outputView?.sourcePort == address.port)
            #expect(datapath.outputView?.destinationPort == Meeting.own)
        }
        let tuple = try #require(PacketView(meeting.arrived(from: ports[1], .ack).bytes)?.connectionTuple)
        let entry = try #require(
            try datapath.maps.connections.lookup(apus_connection_key(tuple), as: apus_connection.self))
        #expect(entry.sides.0.packets == 1 && entry.sides.1.packets == 1, "each packet counts once")
    }

    @Test(
        "Where no port of those that are tried is free, it is refused by the address that was asked",
        arguments: Family.allCases)
    func exhausted(_ family: Family) throws {
        let meeting = try Meeting(family, .tcp)
        let (first, second) = (try meeting.service(10), try meeting.service(11))
        let (datapath, client, server) = (meeting.datapath, meeting.client, meeting.server)
        #expect(try meeting.open(first) == Meeting.own)
        var taken: Set<Port> = []
        while try datapath.run(meeting.sent(to: second, .syn), on: .fromPod(client)) == .delivered,
            let port = datapath.outputView?.sourcePort, port != 80, taken.count < 100
        {
            taken.insert(port)
            // A connection of the pod's own takes the port.
            let key = apus_connection_key(
                try #require(PacketView(meeting.arrived(from: port, .syn).bytes)?.connectionTuple))
            try datapath.maps.halfOpen.delete(key)
            let direct = client.sends(to: server[family]).tcp(from: port, to: Meeting.target, flags: .syn)
            #expect(try datapath.run(direct, on: .fromPod(client)) == .delivered)
        }
        #expect(taken.count == 12)
        let answer =
            family == .v4
            ? client.hostFrame.ipv4(from: second.address, to: client[family], doNotFragment: true)
            : client.hostFrame.ipv6(from: second.address, to: client[family])
        let reset = answer.tcp(
            from: second.port, to: Meeting.own, flags: [.rst, .ack], sequence: 0,
            acknowledgement: 2 + UInt32(Meeting.text.utf8.count), window: 0)
        #expect(datapath.output == reset.bytes)
        let refused = DropKey(reason: .sourcePort, direction: .APUS_DIRECTION_EGRESS)
        #expect(try datapath.drops()[refused]?.packets == 1)
        try meeting.talk(first, by: Meeting.own)
    }

    @Test("A segment to the backend itself that continues nothing is refused", arguments: Family.allCases)
    func stray(_ family: Family) throws {
        let meeting = try Meeting(family, .tcp)
        _ = try meeting.open(try meeting.service(10))
        #expect(
            try meeting.datapath.run(meeting.sent(to: meeting.backend, .ack), on: .fromPod(meeting.client)).isPassing)
        #expect(meeting.datapath.outputView?.source == meeting.server[family], "a reset in the backend's name")
        let refused = DropKey(reason: .sourcePort, direction: .APUS_DIRECTION_EGRESS)
        #expect(try meeting.datapath.drops()[refused]?.packets == 1)
    }

    @Test("What is told of segments sent again is not taken for a port", arguments: Family.allCases)
    func events(_ family: Family) throws {
        let meeting = try Meeting(family, .tcp)
        let (first, second) = (try meeting.service(10), try meeting.service(11))
        _ = try meeting.open(first)
        let port = try meeting.open(second)
        let events = meeting.datapath.events().filter { $0.source_port.bigEndian == port }
        #expect(!events.isEmpty && events.allSatisfy { $0.forward_retransmissions == 0 })
        #expect(events.allSatisfy { $0.frontend.address == second.address })
    }
}

@Suite("ICMP errors about what goes by another port of its pod, byte by byte")
struct OtherPortErrorTests {
    private static func packet(
        _ transport: Transport, _ source: SocketAddress, _ destination: SocketAddress, _ flags: TCPFlags
    ) -> Packet {
        transport.header(
            on: Packet.raw.ip(from: source.address, to: destination.address), from: source.port, to: destination.port,
            flags
        ).payload([UInt8](repeating: 0x61, count: 1200))
    }

    @Test(
        "Each end hears of the packet that it has sent", arguments: Family.allCases, Transport.allCases)
    func bothEnds(_ family: Family, _ transport: Transport) throws {
        let meeting = try Meeting(family, transport)
        let (datapath, pod, server) = (meeting.datapath, meeting.client, meeting.server)
        _ = try meeting.open(try meeting.service(10))
        let second = try meeting.service(11)
        for address in [second, meeting.backend] {
            let port = try meeting.open(address)
            let (own, other) = (SocketAddress(pod[family], Meeting.own), SocketAddress(pod[family], port))
            let forth = Self.packet(transport, own, address, .syn)
            let forthOutside = Self.packet(transport, other, meeting.backend, .syn)
            let back = Self.packet(transport, address, own, .ack)
            let backOutside = Self.packet(transport, meeting.backend, other, .ack)
            let router = Reporter.router(family)
            for limit in Reporter.limits(family) {
                let told = pod.receives(from: router).icmpError(
                    .tooBig(mtu: 1300), quoting: forthOutside, limit: limit)
                #expect(try datapath.run(told, on: .toPod(pod)) == .passed)
                let heard = pod.receives(from: router).icmpError(
                    .tooBig(mtu: 1300), quoting: forth.withChecksum(of: forthOutside), limit: limit)
                #expect(datapath.output == heard.bytes)

                let said = pod.sends(to: address.address).icmpError(.portUnreachable, quoting: back, limit: limit)
                #expect(try datapath.run(said, on: .fromPod(pod)).isPassing)
                let led = pod.sends(to: server[family]).icmpError(
                    .portUnreachable, quoting: backOutside.withChecksum(of: back), limit: limit)
                #expect(datapath.output == led.bytes)
            }
        }
    }
}
