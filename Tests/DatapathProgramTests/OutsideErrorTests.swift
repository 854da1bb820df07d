internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// A connection of a client outside through a load balancer's address, and the errors about it that an uplink meets.
struct OutsideTalk {
    static let port: Port = 443

    let edge: Edge
    let backend: IPAddress
    /// The node's port towards a backend elsewhere.
    private(set) var nodePort: Port = 0

    /// Opens it to a backend elsewhere, or to one of this node.
    init(_ edge: Edge, to backend: IPAddress? = nil) throws {
        self.edge = edge
        self.backend = backend ?? edge.remote
        try edge.expose([self.backend], at: frontend, port: Self.port, kind: .APUS_SERVICE_LOAD_BALANCER)
        let opening = edge.arriving(Edge.clientPort, to: frontend, Self.port)
        #expect(try edge.datapath.run(opening, on: .fromNetwork).isPassing)
        guard backend == nil else { return }
        let forwarded = edge.leaving(from: edge.client, Edge.clientPort, to: edge.remote, 8080, .syn)
        #expect(try edge.datapath.run(forwarded, on: .toNetwork) == .passed)
        nodePort = try #require(edge.datapath.outputView?.sourcePort)
    }

    var frontend: IPAddress { edge.family == .v4 ? ip("203.0.113.7") : ip("2001:db8:113::7") }

    private func packet(_ source: SocketAddress, _ destination: SocketAddress, _ flags: TCPFlags) -> Packet {
        let network = Packet.raw.ip(from: source.address, to: destination.address)
        return edge.transport.header(on: network, from: source.port, to: destination.port, flags)
            .payload([UInt8](repeating: 0x61, count: 1200))
    }

    private var client: SocketAddress { SocketAddress(edge.client, Edge.clientPort) }
    private var service: SocketAddress { SocketAddress(frontend, Self.port) }
    private var server: SocketAddress { SocketAddress(backend, 8080) }
    private var own: SocketAddress { SocketAddress(edge.node, nodePort) }

    /// What the client sends: as it does, in the node, and towards a backend elsewhere.
    var asked: Packet { packet(client, service, .syn) }
    var askedInside: Packet { packet(client, server, .syn) }
    var askedBeyond: Packet { packet(own, server, .syn) }
    /// What the backend answers: beyond the node, in it, and as the client gets it.
    var answeredBeyond: Packet { packet(server, own, .ack) }
    var answeredInside: Packet { packet(server, client, .ack) }
    var answered: Packet { packet(service, client, .ack) }

    func arriving(
        _ error: ICMPError = .tooBig(mtu: 1300), about quoted: Packet, from sender: IPAddress? = nil,
        to receiver: IPAddress, limit: Int = 1232
    ) -> Packet {
        Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: sender ?? router, to: receiver)
            .icmpError(error, quoting: quoted, limit: limit)
    }

    func leaving(
        _ error: ICMPError = .tooBig(mtu: 1300), about quoted: Packet, from sender: IPAddress? = nil,
        to receiver: IPAddress, limit: Int = 1232
    ) -> Packet {
        Packet.ethernet(from: Edge.uplink, to: Edge.router).ip(from: sender ?? router, to: receiver)
            .icmpError(error, quoting: quoted, limit: limit)
    }

    var router: IPAddress { Reporter.router(edge.family) }

    /// Puts an error through a hook, which has to make another one of it.
    func expect(
        _ sent: Packet, on hook: Hook, becomes result: Packet, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let fate = try edge.datapath.run(sent, on: hook)
        #expect(fate == .passed, sourceLocation: sourceLocation)
        #expect(edge.datapath.output == result.bytes, sourceLocation: sourceLocation)
    }
}

@Suite("ICMP errors about connections of clients outside")
struct OutsideErrorTests {
    private func onlyTheService(_ transport: Transport) -> HandMadePolicy {
        HandMadePolicy(
            id: 0x8080, rules: [HandMadePolicy.Rule(ports: .init(ipProtocol: transport.number, port: 8080))])
    }

    @Test(
        "One from the way to the client reaches the pod, and speaks of what the pod has sent",
        arguments: Family.allCases, Transport.allCases)
    func towardsPod(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        // An error that is about nothing it knows does not come in.
        try edge.datapath.set(onlyTheService(transport))
        let pod = try edge.datapath.addPod(ingress: 0x8080)
        let talk = try OutsideTalk(edge, to: pod[family])
        for (error, sender) in ICMPErrorTests.errors.map({ ($0, talk.router) }) + [(.portUnreachable, edge.client)] {
            for limit in Reporter.limits(family) {
                let came = talk.arriving(error, about: talk.answered, from: sender, to: talk.frontend, limit: limit)
                let quoted = talk.answeredInside.withChecksum(of: talk.answered)
                let led = talk.arriving(error, about: quoted, from: sender, to: pod[family], limit: limit)
                try talk.expect(came, on: .fromNetwork, becomes: led)
                let told = pod.receives(from: sender)
                    .icmpError(error, quoting: quoted, limit: limit)
                try talk.expect(told, on: .toPod(pod), becomes: told)
            }
        }
        let other = pod.receives(from: talk.router).icmpError(.timeExceeded, quoting: talk.answered)
        #expect(try edge.datapath.run(other, on: .toPod(pod)) == .dropped(entering: .isolated))
    }

    @Test(
        "One about what the client has sent leaves as about that; of the backend, from the Service",
        arguments: Family.allCases, Transport.allCases)
    func ofPod(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        try edge.datapath.set(.denyAll)
        let pod = try edge.datapath.addPod(egress: HandMadePolicy.denyAll.id)
        let talk = try OutsideTalk(edge, to: pod[family])
        let quoted = talk.asked.withChecksum(of: talk.askedInside)
        for error in ICMPErrorTests.errors {
            for limit in Reporter.limits(family) {
                let said = pod.sends(to: edge.client).icmpError(error, quoting: talk.askedInside, limit: limit)
                try talk.expect(said, on: .fromPod(pod), becomes: said)
                // The node is a router, too, where the way to the pod is too small.
                for (sender, visible) in [(pod[family], talk.frontend), (edge.node, edge.node)] {
                    let leaves = talk.leaving(
                        error, about: talk.askedInside, from: sender, to: edge.client, limit: limit)
                    let named = talk.leaving(error, about: quoted, from: visible, to: edge.client, limit: limit)
                    try talk.expect(leaves, on: .toNetwork, becomes: named)
                }
            }
        }
    }

    @Test("A process of the node as the backend is no other case", arguments: Family.allCases, Transport.allCases)
    func processOfNode(_ family: Family, _ transport: Transport) throws {
        let edge = try Edge(family, transport)
        let talk = try OutsideTalk(edge, to: edge.node)
        try talk.expect(
            talk.arriving(about: talk.answered, to: talk.frontend), on: .fromNetwork,
            becomes: talk.arriving(about: talk.answeredInside.withChecksum(of: talk.answered), to: edge.node))
        try talk.expect(
            talk.leaving(.portUnreachable, about: talk.askedInside, from: edge.node, to: edge.client), on: .toNetwork,
            becomes: talk.leaving(
                .portUnreachable, about: talk.asked.withChecksum(of: talk.askedInside), from: talk.frontend,
                to: edge.client))
    }

    @Test(
        "From beyond the node one reaches the client of a backend elsewhere, and the other way round",
        arguments: Family.allCases, Transport.allCases)
    func elsewhere(_ family: Family, _ transport: Transport) throws {
        let talk = try OutsideTalk(try Edge(family, transport))
        let (edge, node, client) = (talk.edge, talk.edge.node, talk.edge.client)
        for error in ICMPErrorTests.errors {
            for limit in Reporter.limits(family) {
                func arriving(_ quoted: Packet, _ sender: IPAddress, to receiver: IPAddress) -> Packet {
                    talk.arriving(error, about: quoted, from: sender, to: receiver, limit: limit)
                }
                func leaving(_ quoted: Packet, _ sender: IPAddress, to receiver: IPAddress) -> Packet {
                    talk.leaving(error, about: quoted, from: sender, to: receiver, limit: limit)
                }
                for sender in [talk.router, edge.remote] {
                    let sum = talk.askedBeyond
                    try talk.expect(
                        arriving(sum, sender, to: node), on: .fromNetwork,
                        becomes: arriving(talk.askedInside.withChecksum(of: sum), sender, to: client))
                    try talk.expect(
                        leaving(talk.askedInside.withChecksum(of: sum), sender, to: client), on: .toNetwork,
                        becomes: leaving(talk.asked.withChecksum(of: sum), talk.frontend, to: client))
                }
                for sender in [talk.router, client] {
                    let sum = talk.answered
                    try talk.expect(
                        arriving(sum, sender, to: talk.frontend), on: .fromNetwork,
                        becomes: arriving(talk.answeredInside.withChecksum(of: sum), sender, to: edge.remote))
                    try talk.expect(
                        leaving(talk.answeredInside.withChecksum(of: sum), sender, to: edge.remote), on: .toNetwork,
                        becomes: leaving(talk.answeredBeyond.withChecksum(of: sum), node, to: edge.remote))
                }
            }
        }
    }

    @Test("Nobody outside reports as if he were of this node", arguments: Family.allCases)
    func spoofed(_ family: Family) throws {
        let edge = try Edge(family)
        let pod = try edge.datapath.addPod()
        let talk = try OutsideTalk(edge, to: pod[family])
        for sender in [pod[family], try edge.datapath.addPod()[family]] {
            let report = talk.arriving(about: talk.answered, from: sender, to: talk.frontend)
            #expect(try edge.datapath.run(report, on: .fromNetwork) == .dropped(entering: .invalidSource))
        }
    }

    @Test("One about another connection, or one that is over, stays as it is", arguments: Family.allCases)
    func others(_ family: Family) throws {
        let edge = try Edge(family)
        let pod = try edge.datapath.addPod()
        let talk = try OutsideTalk(edge, to: pod[family])
        let third = family == .v4 ? ip("198.51.100.9") : ip("2001:db8:1::9")
        func quote(_ source: IPAddress, _ port: Port, _ destination: IPAddress, _ other: Port) -> Packet {
            Packet.raw.ip(from: source, to: destination).tcp(from: port, to: other, flags: .ack).payload("text")
        }
        let arriving = [
            quote(talk.frontend, 444, edge.client, Edge.clientPort),
            quote(talk.frontend, OutsideTalk.port, edge.client, 40001),
            quote(talk.frontend, OutsideTalk.port, third, Edge.clientPort),
            Packet.raw.ip(from: talk.frontend, to: edge.client).udp(from: OutsideTalk.port, to: Edge.clientPort),
        ]
        let leaving = [
            quote(edge.client, Edge.clientPort, pod[family], 8081), quote(edge.client, 40001, pod[family], 8080),
            quote(edge.client, Edge.clientPort, third, 8080),
        ]
        func expectUntouched() throws {
            for packet in arriving.map({ talk.arriving(about: $0, to: talk.frontend) })
                + [talk.arriving(about: talk.answered, to: third)]
            {
                try talk.expect(packet, on: .fromNetwork, becomes: packet)
            }
            for packet in leaving.map({ talk.leaving(about: $0, to: edge.client) })
                + [talk.leaving(about: talk.askedInside, to: third)]
            {
                try talk.expect(packet, on: .toNetwork, becomes: packet)
            }
        }
        try expectUntouched()
        try edge.datapath.forgetConnections()
        try expectUntouched()
        for (packet, hook) in [
            (talk.arriving(about: talk.answered, to: talk.frontend), Hook.fromNetwork),
            (talk.leaving(about: talk.askedInside, to: edge.client), .toNetwork),
        ] { try talk.expect(packet, on: hook, becomes: packet) }
    }

    @Test("An expired connection has no names any more", arguments: Family.allCases)
    func expired(_ family: Family) throws {
        let edge = try Edge(family, .tcp) { $0.half_open_timeout_ns = 1 }
        let pod = try edge.datapath.addPod()
        let talk = try OutsideTalk(edge, to: pod[family])
        edge.datapath.passTime()
        let came = talk.arriving(about: talk.answered, to: talk.frontend)
        try talk.expect(came, on: .fromNetwork, becomes: came)
        let leaves = talk.leaving(about: talk.askedInside, to: edge.client)
        try talk.expect(leaves, on: .toNetwork, becomes: leaves)
    }
}
