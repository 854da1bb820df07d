internal import Addressing
internal import BPF
internal import DatapathABI
internal import LinuxKernel
internal import TestSupport
internal import Testing

@Suite("Session affinity, packet by packet")
struct AffinityTests {
    /// The id of the Service whose ports belong together.
    private static let service: UInt32 = 200

    private static func backends(_ family: Family, _ count: Int, port: Port = 8080) -> [SocketAddress] {
        (1...count).map { SocketAddress(ip(family == .v4 ? "192.0.2.\($0)" : "2001:db8::\($0)"), port) }
    }

    /// Opens a connection and returns the address that it goes to.
    private static func choice(
        _ datapath: DatapathFixture, _ pod: Pod, _ family: Family, from source: Port, to port: Port = 80,
        over transport: Transport = .tcp
    ) throws -> SocketAddress? {
        let packet = transport.header(on: pod.sends(to: family.virtual), from: source, to: port)
        let fate = try datapath.run(packet, on: .fromPod(pod))
        #expect(fate.isPassing, "\(fate)")
        return datapath.outputView?.tuple?.destination
    }

    @Test("A client gets the same pod for every port and protocol of the Service", arguments: Family.allCases)
    func samePod(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let backends = Self.backends(family, 9)
        try datapath.addService(SocketAddress(family.virtual, 80), to: backends, affinity: Self.service)
        try datapath.addService(
            SocketAddress(family.virtual, 443), to: Self.backends(family, 9, port: 8443), affinity: Self.service)
        try datapath.addService(
            SocketAddress(family.virtual, 53), .udp, to: Self.backends(family, 9, port: 5353), affinity: Self.service)
        try datapath.addService(
            SocketAddress(family.virtual, 38412), .sctp, to: Self.backends(family, 9, port: 38412),
            affinity: Self.service)
        var chosen: Set<IPAddress> = []
        for _ in 0..<20 {
            let client = try datapath.addPod()
            let first = try #require(try Self.choice(datapath, client, family, from: 20000))
            chosen.insert(first.address)
            for source in 20001..<20020 as Range<Port> {
                #expect(try Self.choice(datapath, client, family, from: source) == first)
                let secure = try Self.choice(datapath, client, family, from: source, to: 443)
                #expect(secure == SocketAddress(first.address, 8443))
                let datagram = try Self.choice(datapath, client, family, from: source, to: 53, over: .udp)
                #expect(datagram == SocketAddress(first.address, 5353))
                let association = try Self.choice(datapath, client, family, from: source, to: 38412, over: .sctp)
                #expect(association == SocketAddress(first.address, 38412))
            }
        }
        #expect(chosen.count > 3, "different clients get different backends")
    }

    @Test("Every backend is found again, whatever its place", arguments: Family.allCases)
    func everyPlace(_ family: Family) throws {
        for count in [1, 2, 3, 4, 7, 8, 31] {
            let datapath = try DatapathFixture()
            let client = try datapath.addPod()
            let backends = Self.backends(family, count)
            try datapath.addService(SocketAddress(family.virtual, 80), to: backends, affinity: Self.service)
            for (place, backend) in backends.enumerated() {
                try datapath.note(client[family], Self.service, backend.address)
                let found = try Self.choice(datapath, client, family, from: 20000 + Port(place))
                #expect(found == backend, "\(place) of \(count)")
            }
        }
    }

    @Test("Without affinity connections of one client spread")
    func spread() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        try datapath.addService(SocketAddress(Family.v4.virtual, 80), to: Self.backends(.v4, 4))
        let chosen = try (20000..<20100 as Range<Port>).map { try Self.choice(datapath, client, .v4, from: $0) }
        #expect(Set(chosen).count == 4)
        #expect(try datapath.maps.affinities.keys(as: apus_affinity_key.self).isEmpty)
    }

    @Test("A client whose time is over chooses anew, and a new connection starts its time again")
    func expiry() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let backends = Self.backends(.v4, 8)
        try datapath.addService(
            SocketAddress(Family.v4.virtual, 80), to: backends, affinity: Self.service, seconds: 20)
        var chosen: Set<SocketAddress> = []
        for source in 20000..<20100 as Range<Port> {
            try datapath.note(client.v4, Self.service, backends[0].address, secondsAgo: 21)
            if let choice = try Self.choice(datapath, client, .v4, from: source) { chosen.insert(choice) }
        }
        #expect(chosen.count > 3)
        try datapath.note(client.v4, Self.service, backends[0].address, secondsAgo: 12)
        let before = try #require(try datapath.affinity(client.v4, Self.service))
        #expect(try Self.choice(datapath, client, .v4, from: 30000) == backends[0])
        let after = try #require(try datapath.affinity(client.v4, Self.service))
        #expect(after.seen_ns > before.seen_ns + 10 * DatapathFixture.second)
        // A packet of the connection is no new one.
        let more = client.sends(to: Family.v4.virtual).tcp(from: 30000, to: 80, flags: .ack)
        #expect(try datapath.run(more, on: .fromPod(client)) == .passed)
        #expect(try datapath.affinity(client.v4, Self.service)?.seen_ns == after.seen_ns)
    }

    @Test("A client whose backend does not serve any more gets another, and keeps that")
    func removedBackend() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let backends = Self.backends(.v4, 5)
        try datapath.addService(
            SocketAddress(Family.v4.virtual, 80), to: Array(backends.dropFirst()), affinity: Self.service)
        try datapath.note(client.v4, Self.service, backends[0].address)
        let next = try #require(try Self.choice(datapath, client, .v4, from: 20000))
        #expect(next != backends[0])
        for source in 20001..<20020 as Range<Port> {
            #expect(try Self.choice(datapath, client, .v4, from: source) == next)
        }
    }

    @Test("A client whose port is taken towards its backend gets no other backend, but another port")
    func takenPort() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let backends = Self.backends(.v4, 3)
        try datapath.addService(SocketAddress(Family.v4.virtual, 80), to: backends, affinity: Self.service)
        try datapath.note(client.v4, Self.service, backends[1].address)
        let direct = client.sends(to: backends[1].address).tcp(from: 20000, to: 8080, flags: .syn)
        #expect(try datapath.run(direct, on: .fromPod(client)) == .passed)
        let request = client.sends(to: Family.v4.virtual).tcp(from: 20000, to: 80, flags: .syn)
        #expect(try datapath.run(request, on: .fromPod(client)) == .passed)
        #expect(datapath.outputView?.destination == backends[1].address)
        #expect(datapath.outputView?.sourcePort != 20000)
        #expect(try Self.choice(datapath, client, .v4, from: 20001) == backends[1])
    }
}

extension DatapathFixture {
    /// Lets a client have a backend since some time.
    func note(_ client: IPAddress, _ service: UInt32, _ backend: IPAddress, secondsAgo: UInt64 = 0) throws {
        let key = apus_affinity_key(client: apus_address(client), service: service, padding: 0)
        let seen = KernelClock.monotonic() - secondsAgo * Self.second
        try maps.affinities.update(key, apus_affinity(backend: apus_address(backend), seen_ns: seen))
    }

    func affinity(_ client: IPAddress, _ service: UInt32) throws -> apus_affinity? {
        let key = apus_affinity_key(client: apus_address(client), service: service, padding: 0)
        return try maps.affinities.lookup(key, as: apus_affinity.self)
    }
}
