internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// A connection of a pod to a Service, translated packet by packet.
private struct PodTalk {
    static let port: Port = 80

    let datapath: DatapathFixture
    let family: Family
    let transport: Transport
    let pod: Pod
    let backend: IPAddress

    /// Opens it.
    init(
        _ datapath: DatapathFixture, _ family: Family, _ transport: Transport, from pod: Pod, to backend: IPAddress
    ) throws {
        self.datapath = datapath
        self.family = family
        self.transport = transport
        self.pod = pod
        self.backend = backend
        try datapath.addService(
            SocketAddress(family.virtual, Self.port), transport.number, to: [SocketAddress(backend, 8080)])
        let opening = transport.header(on: pod.sends(to: family.virtual), from: 40000, to: Self.port)
        #expect(try datapath.run(opening, on: .fromPod(pod)).isPassing)
    }

    private func packet(_ source: SocketAddress, _ destination: SocketAddress, _ flags: TCPFlags) -> Packet {
        let network = Packet.raw.ip(from: source.address, to: destination.address)
        return transport.header(on: network, from: source.port, to: destination.port, flags)
            .payload([UInt8](repeating: 0x61, count: 1200))
    }

    private var client: SocketAddress { SocketAddress(pod[family], 40000) }
    private var service: SocketAddress { SocketAddress(family.virtual, Self.port) }
    private var server: SocketAddress { SocketAddress(backend, 8080) }

    /// What the pod sends, and what it is behind the pod.
    var asked: Packet { packet(client, service, .syn) }
    var askedOutside: Packet { packet(client, server, .syn) }
    /// What the backend answers, and what the pod gets of it.
    var answeredOutside: Packet { packet(server, client, .ack) }
    var answered: Packet { packet(service, client, .ack) }

    func expect(
        _ sent: Packet, on hook: Hook, becomes result: Packet, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let fate = try datapath.run(sent, on: hook)
        #expect(fate == .passed, sourceLocation: sourceLocation)
        #expect(datapath.output == result.bytes, sourceLocation: sourceLocation)
    }
}

@Suite("ICMP errors about connections that a pod has through a Service, packet by packet")
struct PodErrorTests {
    private func onlyTheBackend(_ transport: Transport) -> HandMadePolicy {
        HandMadePolicy(
            id: 0x8080, rules: [HandMadePolicy.Rule(ports: .init(ipProtocol: transport.number, port: 8080))])
    }

    @Test(
        "The pod hears of what it has sent to the Service; of the backend, from the Service",
        arguments: Family.allCases, Transport.allCases)
    func towardsPod(_ family: Family, _ transport: Transport) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let (pod, server) = (try datapath.addPod(ingress: HandMadePolicy.denyAll.id), try datapath.addPod())
        for backend in [server[family], family.outside] {
            let talk = try PodTalk(datapath, family, transport, from: pod, to: backend)
            let router = Reporter.router(family)
            for error in ICMPErrorTests.errors {
                for limit in Reporter.limits(family) {
                    func told(_ quoted: Packet, _ sender: IPAddress) -> Packet {
                        pod.receives(from: sender).icmpError(error, quoting: quoted, limit: limit)
                    }
                    // Straight from the network it is judged only: the stack brings it to the pod's hook.
                    let came = told(talk.askedOutside, router)
                    try talk.expect(came, on: .fromNetwork, becomes: came)
                    for (sender, visible) in [(backend, family.virtual), (router, router)] {
                        let quoted = talk.asked.withChecksum(of: talk.askedOutside)
                        try talk.expect(
                            told(talk.askedOutside, sender), on: .toPod(pod), becomes: told(quoted, visible))
                    }
                    guard backend != family.outside else { continue }
                    let said = server.sends(to: pod[family])
                        .icmpError(error, quoting: talk.askedOutside, limit: limit)
                    try talk.expect(said, on: .fromPod(server), becomes: said)
                }
            }
            try datapath.forgetConnections()
        }
    }

    @Test(
        "What the pod says of an answer goes to the backend, and speaks of what that has sent",
        arguments: Family.allCases, Transport.allCases)
    func ofPod(_ family: Family, _ transport: Transport) throws {
        let datapath = try DatapathFixture()
        try datapath.set(onlyTheBackend(transport))
        let (pod, server) = (try datapath.addPod(egress: 0x8080), try datapath.addPod())
        let talk = try PodTalk(datapath, family, transport, from: pod, to: server[family])
        for error in ICMPErrorTests.errors {
            for limit in Reporter.limits(family) {
                let said = pod.sends(to: family.virtual).icmpError(error, quoting: talk.answered, limit: limit)
                let quoted = talk.answeredOutside.withChecksum(of: talk.answered)
                let led = pod.sends(to: server[family]).icmpError(error, quoting: quoted, limit: limit)
                try talk.expect(said, on: .fromPod(pod), becomes: led)
                let told = server.receives(from: pod[family]).icmpError(error, quoting: quoted, limit: limit)
                try talk.expect(told, on: .toPod(server), becomes: told)
            }
        }
    }

    @Test(
        "Where the pod also leaves in the node's name, both names are exchanged, one at each hook",
        arguments: Family.allCases, Transport.allCases)
    func masqueraded(_ family: Family, _ transport: Transport) throws {
        let gate = try Gate(family, Talk(transport))
        let (datapath, router) = (gate.datapath, Reporter.router(family))
        let pod = try datapath.addPod()
        let talk = try PodTalk(datapath, family, transport, from: pod, to: gate.world)
        let forwarded = Packet.ethernet(from: Edge.uplink, to: Edge.router).ip(from: pod[family], to: gate.world)
        #expect(
            try datapath.run(transport.header(on: forwarded, from: 40000, to: 8080), on: .toNetwork) == .passed)
        let port = try #require(datapath.outputView?.sourcePort)
        func packet(_ source: SocketAddress, _ destination: SocketAddress, _ flags: TCPFlags) -> Packet {
            transport.header(
                on: Packet.raw.ip(from: source.address, to: destination.address), from: source.port,
                to: destination.port, flags
            ).payload([UInt8](repeating: 0x61, count: 1200))
        }
        let (own, world) = (SocketAddress(gate.node, port), SocketAddress(gate.world, 8080))
        func arriving(_ quoted: Packet, to receiver: IPAddress) -> Packet {
            Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: router, to: receiver)
                .icmpError(.tooBig(mtu: 1300), quoting: quoted)
        }
        let left = packet(own, world, .syn)
        try talk.expect(
            arriving(left, to: gate.node), on: .fromNetwork,
            becomes: arriving(talk.askedOutside.withChecksum(of: left), to: pod[family]))
        func told(_ quoted: Packet) -> Packet {
            pod.receives(from: router).icmpError(.tooBig(mtu: 1300), quoting: quoted)
        }
        try talk.expect(
            told(talk.askedOutside.withChecksum(of: left)), on: .toPod(pod),
            becomes: told(talk.asked.withChecksum(of: left)))
        func leaving(_ quoted: Packet, from sender: IPAddress) -> Packet {
            Packet.ethernet(from: Edge.uplink, to: Edge.router).ip(from: sender, to: gate.world)
                .icmpError(.portUnreachable, quoting: quoted)
        }
        let came = packet(world, own, .ack)
        try talk.expect(
            leaving(talk.answeredOutside, from: pod[family]), on: .toNetwork,
            becomes: leaving(came.withChecksum(of: talk.answeredOutside), from: gate.node))
    }

    @Test("What policy has cut off is not spoken of by another name", arguments: Family.allCases)
    func cutOff(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        try datapath.set(onlyTheBackend(.tcp))
        let (pod, server) = (try datapath.addPod(egress: 0x8080), try datapath.addPod())
        let talk = try PodTalk(datapath, family, .tcp, from: pod, to: server[family])
        try datapath.setEndpoint(of: pod) {
            $0.egress_policy = HandMadePolicy.denyAll.id
            $0.generation += 1
        }
        let said = pod.sends(to: family.virtual).icmpError(.portUnreachable, quoting: talk.answered)
        #expect(try datapath.run(said, on: .fromPod(pod)) == .dropped(leaving: .isolated))
        // Its ingress is open, so the error comes in as a packet of its own.
        let told = pod.receives(from: server[family]).icmpError(.portUnreachable, quoting: talk.askedOutside)
        try talk.expect(told, on: .toPod(pod), becomes: told)
    }

    @Test("A pod does not speak of another one's connection by its names", arguments: Family.allCases)
    func intruder(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (pod, server) = (try datapath.addPod(), try datapath.addPod())
        let talk = try PodTalk(datapath, family, .tcp, from: pod, to: server[family])
        let intruder = try datapath.addPod()
        let said = intruder.sends(to: family.virtual).icmpError(.tooBig(mtu: 1300), quoting: talk.answered)
        try talk.expect(said, on: .fromPod(intruder), becomes: said)
    }
}
