internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("What becomes of clients whose backend serves no Service any more")
struct CutOffTests {
    private static let gone = (v4: ip("10.244.9.1"), v6: ip("fd00:9::1"))
    private static let next = (v4: ip("10.244.9.2"), v6: ip("fd00:9::2"))

    /// Lets the frontend lead to another backend, and frees the one that it led to.
    private static func replace(
        _ service: Service, by backends: [IPAddress], _ transport: Transport, in datapath: DatapathFixture,
        kind: apus_service_kind
    ) throws {
        try datapath.addService(
            service.frontend, transport.number, to: backends.map { SocketAddress($0, 8080) }, kind: kind)
        for index in service.backends { try datapath.maps.backends.update(index, apus_backend()) }
    }

    @Test(
        "The next datagram from outside goes to one that does, and connections stay", arguments: Family.allCases,
        Transport.allCases)
    func outside(_ family: Family, _ transport: Transport) throws {
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
        try Self.replace(service, by: [next], transport, in: edge.datapath, kind: .APUS_SERVICE_NODE_PORT)
        for flags in [TCPFlags.ack, .ack] { #expect(try led(flags) == (transport == .udp ? next : gone)) }
    }

    @Test("So it is for a pod's datagrams, and without another one they are refused", arguments: Family.allCases)
    func inside(_ family: Family) throws {
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
            for index in former.backends { try datapath.maps.backends.update(index, apus_backend()) }
        }
        #expect(try datapath.run(datagram, on: .fromPod(client)) == .delivered)
        let refused = DropKey(reason: .noBackend, direction: .APUS_DIRECTION_EGRESS)
        #expect(try datapath.drops()[refused]?.packets == 1)
    }
}
