internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// How a pod begins to talk to a Service.
private enum Opening: CaseIterable {
    case segment, datagram

    var ipProtocol: IPProtocol { self == .segment ? .tcp : .udp }

    func packet(_ start: Packet, from: Port, to: Port) -> Packet {
        self == .segment
            ? start.tcp(from: from, to: to, flags: .syn)
            : start.udp(from: from, to: to)
    }
}

@Suite("Services that change while pods talk to them, packet by packet")
struct ServiceChangeTests {
    private static func backends(_ family: Family) -> [SocketAddress] {
        let addresses = family == .v4 ? ["192.0.2.1", "192.0.2.2"] : ["2001:db8::1", "2001:db8::2"]
        return addresses.map { SocketAddress(ip($0), 8080) }
    }

    @Test("What began before its Service goes to it from then on", arguments: Family.allCases, Opening.allCases)
    private func late(_ family: Family, _ opening: Opening) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let frontend = SocketAddress(family.virtual, 80)
        let packet = opening.packet(client.sends(to: frontend.address), from: 40000, to: 80)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        #expect(datapath.outputView?.destination == frontend.address)
        try datapath.addService(frontend, opening.ipProtocol, to: [Self.backends(family)[0]])
        for _ in 0..<2 {
            #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
            #expect(datapath.outputView?.destination == Self.backends(family)[0].address)
        }
    }

    @Test("… and is refused where that has no backend", arguments: Family.allCases)
    func lateAndEmpty(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let frontend = SocketAddress(family.virtual, 80)
        let packet = client.sends(to: frontend.address).udp(from: 40000, to: 80)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        try datapath.addService(frontend, .udp, to: [])
        _ = try datapath.verdict(packet.bytes, on: .fromPod(client))
        #expect(try datapath.drops()[DropKey(reason: .noBackend, direction: .APUS_DIRECTION_EGRESS)]?.packets == 1)
    }

    @Test("What was answered before stays where it is", arguments: Family.allCases)
    func answered(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let other = SocketAddress(family.outside, 80)
        let packet = client.sends(to: other.address).udp(from: 40000, to: 80)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        let answer = client.receives(from: other.address).udp(from: 80, to: 40000)
        #expect(try datapath.run(answer, on: .toPod(client)) == .passed)
        try datapath.addService(other, .udp, to: [Self.backends(family)[0]])
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        #expect(datapath.outputView?.destination == other.address)
    }

    @Test("A segment in the middle of what nobody has answered is not led to a backend", arguments: Family.allCases)
    func middle(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let other = SocketAddress(family.outside, 80)
        let opening = client.sends(to: other.address).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(opening, on: .fromPod(client)) == .passed)
        try datapath.addService(other, to: [Self.backends(family)[0]])
        let middle = client.sends(to: other.address).tcp(from: 40000, to: 80, flags: .ack)
        #expect(try datapath.run(middle, on: .fromPod(client)) == .passed)
        #expect(datapath.outputView?.destination == other.address)
    }

    @Test("Datagrams move on when their backend leaves, answered or not", arguments: Family.allCases, [false, true])
    func removed(_ family: Family, isAnswered: Bool) throws {
        let talk = try DatagramTalk(Self.backends(family), family)
        if isAnswered { try talk.answer() }
        let first = try #require(talk.current)
        // The other one is still there: that does not matter.
        try talk.takeOut(try #require(talk.other))
        #expect(try talk.send() == first.address)
        try talk.putBack(try #require(talk.other))
        try talk.takeOut(first)
        for _ in 0..<16 { #expect(try talk.send() == talk.other?.address) }
        // A late answer of the one that has left changes nothing.
        try talk.answer(from: first)
        #expect(try talk.send() == talk.other?.address)
    }

    @Test("An index that another backend has now is no proof of the first", arguments: Family.allCases)
    func reusedIndex(_ family: Family) throws {
        let talk = try DatagramTalk([Self.backends(family)[0]], family)
        let other = Self.backends(family)[1]
        try talk.replace(index: talk.service.backends.lowerBound, by: other)
        #expect(try talk.send() == other.address)
    }

    @Test("A connection stays with a backend that has left", arguments: Family.allCases)
    func connection(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let frontend = SocketAddress(family.virtual, 80)
        let service = try datapath.addService(frontend, to: [Self.backends(family)[0]])
        for flags in [TCPFlags.syn, .ack] {
            let packet = client.sends(to: frontend.address).tcp(from: 40000, to: 80, flags: flags)
            #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
            #expect(datapath.outputView?.destination == Self.backends(family)[0].address)
            try datapath.maps.backends.update(service.backends.lowerBound, apus_backend())
        }
    }
}

@Suite("Services whose entries are written while packets are led by them")
struct ServiceRewritingTests {
    /// What replaces an entry takes its memory for the next one that is replaced, which a program may still read.
    @Test("A connection goes to its own Service's backend", arguments: Family.allCases)
    func ownBackend(_ family: Family) async throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let addresses = family == .v4 ? ["192.0.2.1", "192.0.2.2"] : ["2001:db8::1", "2001:db8::2"]
        let services = try addresses.enumerated().map { index, address in
            try datapath.addService(
                SocketAddress(family.virtual, UInt16(80 + index)), to: [SocketAddress(ip(address), 8080)])
        }
        let keys = services.map(\.key)
        let values = try keys.map { try #require(try datapath.maps.services.lookup($0, as: apus_service.self)) }
        nonisolated(unsafe) let maps = datapath.maps
        try await withThrowingTaskGroup { group in
            group.addTask(executorPreference: OwnThread("writer")) {
                while !Task.isCancelled { try maps.services.update(keys: keys, values: values) }
            }
            defer { group.cancelAll() }
            for port in 20_000..<22_000 as Range<UInt16> {
                let packet = client.sends(to: family.virtual).tcp(from: port, to: 80, flags: .syn)
                try #require(try datapath.run(packet, on: .fromPod(client)) == .passed, "from port \(port)")
                try #require(datapath.outputView?.destination == ip(addresses[0]), "from port \(port)")
            }
        }
    }
}

/// Datagrams of a pod to a Service whose backends are outside of the node.
private final class DatagramTalk {
    let service: Service
    private(set) var current: SocketAddress?
    private let datapath: DatapathFixture
    private let backends: [SocketAddress]
    private let client: Pod
    private let frontend: SocketAddress

    /// Sends the first one.
    init(_ backends: [SocketAddress], _ family: Family) throws {
        self.backends = backends
        frontend = SocketAddress(family.virtual, 80)
        datapath = try DatapathFixture()
        client = try datapath.addPod()
        service = try datapath.addService(frontend, .udp, to: backends)
        let address = try send()
        current = backends.first { $0.address == address }
    }

    /// The backend that the first one did not go to.
    var other: SocketAddress? { backends.first { $0 != current } }

    /// Sends one. Returns where it went.
    func send() throws -> IPAddress? {
        let packet = client.sends(to: frontend.address).udp(from: 40000, to: 80)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        return datapath.outputView?.destination
    }

    func answer(from backend: SocketAddress? = nil) throws {
        let source = try #require(backend ?? current)
        let packet = client.receives(from: source.address).udp(from: source.port, to: 40000)
        #expect(try datapath.run(packet, on: .toPod(client)) == .passed)
        #expect(datapath.outputView?.source == frontend.address)
    }

    /// All slots lead to the other backends, and this one's index is free.
    func takeOut(_ backend: SocketAddress) throws {
        let left = try #require(backends.firstIndex(of: backend))
        let stays = try #require(backends.indices.first { $0 != left })
        for slot in service.backends { try datapath.maps.slots.update(slot, index(stays)) }
        try datapath.maps.backends.update(index(left), apus_backend())
    }

    func putBack(_ backend: SocketAddress) throws {
        let position = try #require(backends.firstIndex(of: backend))
        try replace(index: index(position), by: backend)
        for slot in service.backends { try datapath.maps.slots.update(slot, slot) }
    }

    func replace(index: UInt32, by backend: SocketAddress) throws {
        try datapath.maps.backends.update(
            index,
            apus_backend(
                address: apus_address(backend.address), port: backend.port.bigEndian,
                protocol: IPProtocol.udp.rawValue, flags: 0, in_use: 1))
    }

    private func index(_ position: Int) -> UInt32 { service.backends.lowerBound + UInt32(position) }
}
