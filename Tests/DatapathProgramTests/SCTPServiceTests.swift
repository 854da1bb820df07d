internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// An association of a pod with one of many backends of a Service, all of them outside of the node.
private final class AssociationTalk {
    static let port: Port = 38412

    let datapath: DatapathFixture
    let client: Pod
    let family: Family
    private(set) var backend: IPAddress

    init(_ family: Family, backends: Int = 64) throws {
        datapath = try DatapathFixture()
        client = try datapath.addPod()
        self.family = family
        let ends = (1...backends).map { ip(family == .v4 ? "192.0.2.\($0)" : "2001:db8:2::\($0)") }
        try datapath.addService(
            SocketAddress(family.virtual, Self.port), .sctp, to: ends.map { SocketAddress($0, 3868) })
        backend = family.virtual
        backend = try #require(try ask(.opening))
    }

    /// Sends a chunk to the Service. Returns which backend got it.
    func ask(_ chunk: Chunk) throws -> IPAddress? {
        let packet = client.sends(to: family.virtual).sctp(from: 40000, to: Self.port, chunk: chunk.bytes)
        #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
        return datapath.outputView?.destination
    }

    /// Lets the backend answer; to the pod that comes from the Service.
    func answer(_ chunk: Chunk) throws {
        let packet = client.receives(from: backend).sctp(from: 3868, to: 40000, chunk: chunk.bytes)
        #expect(try datapath.run(packet, on: .toPod(client)) == .passed)
        let wanted = client.receives(from: family.virtual).sctp(from: Self.port, to: 40000, chunk: chunk.bytes)
        #expect(datapath.output == wanted.bytes)
    }

    func establish() throws {
        try answer(.openingAnswer)
        #expect(try ask(.cookie) == backend)
        try answer(.cookieAnswer)
    }

    /// The translations that are safe from a flood, and the others.
    func counts() throws -> [Int] {
        [
            try datapath.maps.translations.keys(as: apus_translation_key.self).count,
            try datapath.maps.disposableTranslations.keys(as: apus_translation_key.self).count,
        ]
    }

    func opensElsewhere(tries: Int = 16) throws -> Bool {
        for _ in 0..<tries {
            let next = try #require(try ask(.opening))
            if next != backend { return true }
            #expect(try ask(.abort) == next)
        }
        return false
    }
}

@Suite("Associations through a Service")
struct SCTPServiceTests {
    @Test("It stays with its backend to the end, and the next one may have another", arguments: Family.allCases)
    func life(_ family: Family) throws {
        let talk = try AssociationTalk(family)
        #expect(try talk.counts() == [0, 1])
        try talk.establish()
        #expect(try talk.counts() == [1, 0])
        for chunk in [Chunk.data, .data, .shutdown] { #expect(try talk.ask(chunk) == talk.backend) }
        try talk.answer(.shutdownAnswer)
        #expect(try talk.ask(.shutdownComplete) == talk.backend)
        #expect(try talk.counts() == [0, 1])
        #expect(try talk.ask(.data) == talk.backend, "a straggler")
        #expect(try talk.opensElsewhere())
    }

    @Test("An ABORT of either end ends it", arguments: Family.allCases, [true, false])
    func aborted(_ family: Family, byClient: Bool) throws {
        let talk = try AssociationTalk(family)
        try talk.establish()
        if byClient { #expect(try talk.ask(.abort) == talk.backend) } else { try talk.answer(.abort) }
        #expect(try talk.opensElsewhere())
    }

    @Test("A client that has lost it takes it up again at the same backend", arguments: Family.allCases)
    func restarted(_ family: Family) throws {
        let talk = try AssociationTalk(family)
        try talk.establish()
        for _ in 0..<8 { #expect(try talk.ask(.opening) == talk.backend) }
        try talk.establish()
    }

    @Test("It stays with its backend when its entry was evicted", arguments: Family.allCases)
    func evicted(_ family: Family) throws {
        let talk = try AssociationTalk(family)
        try talk.establish()
        for _ in 0..<8 {
            try talk.datapath.forgetConnections()
            #expect(try talk.ask(.data) == talk.backend)
        }
    }

    @Test("… and when that serves no more", arguments: Family.allCases)
    func removedBackend(_ family: Family) throws {
        let talk = try AssociationTalk(family, backends: 1)
        try talk.establish()
        try talk.datapath.addService(
            SocketAddress(family.virtual, AssociationTalk.port), .sctp, to: [SocketAddress(family.outside, 3868)])
        try talk.datapath.maps.backends.update(UInt32(1), apus_backend())
        #expect(try talk.ask(.data) == talk.backend)
        #expect(try talk.ask(.opening) == family.outside, "by a port that never changes")
        for chunk in [Chunk.cookie, .data] { #expect(try talk.ask(chunk) == family.outside) }
    }

    @Test("A policy is about the backend's port", arguments: Family.allCases)
    func policy(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let allowed = HandMadePolicy.Rule(ports: .init(ipProtocol: .sctp, port: 3868))
        try datapath.set(HandMadePolicy(id: 5, rules: [allowed]))
        let (client, server) = (try datapath.addPod(egress: 5), try datapath.addPod())
        for (port, target) in [(80, 3868), (3868, 80)] as [(Port, Port)] {
            try datapath.addService(
                SocketAddress(family.virtual, port), .sctp, to: [SocketAddress(server[family], target)])
        }
        func open(_ port: Port) throws -> Fate {
            let packet = client.sends(to: family.virtual).sctp(from: 40000, to: port, chunk: Chunk.opening.bytes)
            return try datapath.run(packet, on: .fromPod(client))
        }
        #expect(try open(80) == .delivered)
        #expect(try open(3868) == .dropped(leaving: .isolated))
    }

    @Test("What the node's stack sends for packets that are nobody's takes no pod's port", arguments: Family.allCases)
    func inNobodysName(_ family: Family) throws {
        let gate = try Gate(family, .sctp)
        let pod = try gate.datapath.addPod()
        #expect(try gate.send(pod) == .passed)
        let port = try #require(try gate.port(of: pod))
        let frame = Packet.ethernet(from: Edge.uplink, to: Edge.router).ip(from: gate.node, to: gate.world)
        func answer() throws -> Fate {
            try gate.datapath.run(gate.arriving(to: gate.node, port), on: .fromNetwork)
        }
        for chunk in [Chunk.abort, .shutdownComplete] {
            let packet = frame.sctp(from: port, to: Gate.port, chunk: chunk.bytes)
            #expect(try gate.datapath.run(packet, on: .toNetwork) == .passed)
            #expect(try answer() == .delivered)
        }
        let own = frame.sctp(from: port, to: Gate.port, chunk: Chunk.opening.bytes)
        #expect(try gate.datapath.run(own, on: .toNetwork) == .passed)
        #expect(try answer() == .passed, "it is the process's")
    }

    @Test("Protocols share no frontend")
    func protocols() throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        let ends = [Transport.tcp: "192.0.2.1", .udp: "192.0.2.2", .sctp: "192.0.2.3"].mapValues { ip($0) }
        for (transport, end) in ends {
            try datapath.addService(
                SocketAddress(Family.v4.virtual, 80), transport.number, to: [SocketAddress(end, 8080)])
        }
        for (transport, end) in ends {
            let packet = transport.header(on: client.sends(to: Family.v4.virtual), from: 40000, to: 80)
            #expect(try datapath.run(packet, on: .fromPod(client)) == .passed)
            #expect(datapath.outputView?.destination == end)
        }
    }

    @Test("Load balancers for some clients only are so for associations, too", arguments: Family.allCases)
    func sourceRange(_ family: Family) throws {
        let edge = try Edge(family, .sctp)
        let others = CIDR(family == .v4 ? "198.51.100.0/24" : "2001:db8:ffff::/64")!
        try edge.expose(
            [edge.remote], at: family.virtual, kind: .APUS_SERVICE_LOAD_BALANCER, limits: [others])
        let request = edge.arriving(from: nil, Edge.clientPort, to: family.virtual)
        #expect(try edge.datapath.run(request, on: .fromNetwork) == .dropped(entering: .sourceRange))
    }
}
