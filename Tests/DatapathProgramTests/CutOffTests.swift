internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("What becomes of clients whose backend serves no Service any more")
struct CutOffTests {
    private static let gone = (v4: ip("10.244.9.1"), v6: ip("fd00:9::1"))
    private static let next = (v4: ip("10.244.9.2"), v6: ip("fd00:9::2"))

    /// What the agent says of a backend that serves no more: at once, and after the grace period.
    enum Leaving: CaseIterable {
        case marked, freed
    }

    private static func take(_ backends: Range<UInt32>, _ leaving: Leaving, of datapath: DatapathFixture) throws {
        for index in backends {
            var entry =
                leaving == .freed
                ? apus_backend() : try #require(try datapath.maps.backends.lookup(index, as: apus_backend.self))
            if leaving == .marked { entry.flags = UInt8(APUS_BACKEND_GONE.rawValue) }
            try datapath.maps.backends.update(index, entry)
        }
    }

    @Test(
        "The next datagram from outside goes to one that does, and connections stay", arguments: Family.allCases,
        Transport.allCases)
    func outside(_ family: Family, _ transport: Transport) throws {
        for leaving in Leaving.allCases { try outside(family, transport, leaving) }
    }

    private func outside(_ family: Family, _ transport: Transport, _ leaving: Leaving) throws {
        let edge = try Edge(family, transport)
        let (gone, next) = family == .v4 ? (Self.gone.v4, Self.next.v4) : (Self.gone.v6, Self.next.v6)
        func led(_ flags: TCPFlags) throws -> IPAddress? {
            let packet = edge.arriving(from: nil, Edge.clientPort, to: nil, Edge.nodePort, flags)
            #expect(try edge.datapath.run(packet, on: .fromNetwork) == .passed)
            return edge.datapath.outputView?.destination
        }
        let service = try edge.expose([gone])
        #expect(try led(.syn) == gone)
        // Answered: its translation is with those that a flood does not push out.
        #expect(try edge.datapath.run(edge.leaving(from: gone, 8080), on: .toNetwork) == .passed)
        for flags in [TCPFlags.ack, .ack] { #expect(try led(flags) == gone) }
        try edge.expose([next])
        try Self.take(service.backends, leaving, of: edge.datapath)
        for flags in [TCPFlags.ack, .ack] { #expect(try led(flags) == (transport == .udp ? next : gone)) }
    }

    @Test(
        "So it is for a pod's datagrams, and without another one they are refused", arguments: Family.allCases,
        Leaving.allCases)
    func inside(_ family: Family, _ leaving: Leaving) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let (gone, next) = family == .v4 ? (Self.gone.v4, Self.next.v4) : (Self.gone.v6, Self.next.v6)
        let datagram = client.sends(to: family.virtual).udp(from: 40000, to: 80).payload("text")
        var service = try datapath.addService(
            SocketAddress(family.virtual, 80), .udp, to: [SocketAddress(gone, 8080)])
        for backend in [gone, next] {
            #expect(try datapath.run(datagram, on: .fromPod(client)) == .passed)
            #expect(datapath.outputView?.destination == backend)
            let former = service
            service = try datapath.addService(
                SocketAddress(family.virtual, 80), .udp, to: backend == gone ? [SocketAddress(next, 8080)] : [])
            try Self.take(former.backends, leaving, of: datapath)
        }
        #expect(try datapath.run(datagram, on: .fromPod(client)) == .delivered)
        let refused = DropKey(reason: .noBackend, direction: .APUS_DIRECTION_EGRESS)
        #expect(try datapath.drops()[refused]?.packets == 1)
    }

    @Test("One that has read a slot just before finds what it leads to", arguments: Family.allCases)
    func slotsReadBefore(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let gone = family == .v4 ? Self.gone.v4 : Self.gone.v6
        let service = try datapath.addService(SocketAddress(family.virtual, 80), .udp, to: [SocketAddress(gone, 8080)])
        try Self.take(service.backends, .marked, of: datapath)
        let datagram = client.sends(to: family.virtual).udp(from: 40000, to: 80).payload("text")
        #expect(try datapath.run(datagram, on: .fromPod(client)) == .passed)
        #expect(datapath.outputView?.destination == gone)
    }

    @Test("Entries that two Services have of one backend go each for itself", arguments: Family.allCases)
    func twoServices(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let (gone, next) = family == .v4 ? (Self.gone.v4, Self.next.v4) : (Self.gone.v6, Self.next.v6)
        let services = try [Port(80), 81].map {
            try datapath.addService(SocketAddress(family.virtual, $0), .udp, to: [SocketAddress(gone, 8080)])
        }
        func led(to service: Service) throws -> IPAddress? {
            let port = service.frontend.port
            let datagram = client.sends(to: family.virtual).udp(from: 40000 + port, to: port).payload("text")
            #expect(try datapath.run(datagram, on: .fromPod(client)) == .passed)
            return datapath.outputView?.destination
        }
        for service in services { #expect(try led(to: service) == gone) }
        try datapath.addService(services[0].frontend, .udp, to: [SocketAddress(next, 8080)])
        try Self.take(services[0].backends, .marked, of: datapath)
        for _ in 0..<2 {
            #expect(try led(to: services[0]) == next)
            #expect(try led(to: services[1]) == gone)
        }
    }
}
