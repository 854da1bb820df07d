internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

/// Prints what packets cost. There is nothing to assert: the machine that tests run on is nobody's measure.
@Suite("Costs")
struct CostTests {
    private func tell(_ what: String, _ nanoseconds: some BinaryInteger) { print("\(what): \(nanoseconds) ns/packet") }

    @Test("An established connection between pods", arguments: Family.allCases)
    func established(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.onlyHTTP)
        let (client, server) = (
            try datapath.addPod(egress: HandMadePolicy.onlyHTTP.id),
            try datapath.addPod(ingress: HandMadePolicy.onlyHTTP.id)
        )
        let talk = Conversation(client: client, server: server, family: family)
        try datapath.establish(talk)
        // The same frame is run again and again, and each delivery takes a hop: a hop count that is gone goes a shorter way.
        let packet = client.sends(to: server[family], ttl: 255).tcp(from: 40000, to: 80, flags: .ack)
        var total: UInt64 = 0
        for _ in 0..<400 { total += UInt64(try datapath.nanoseconds(packet, on: .fromPod(client), repeat: 250)) }
        tell("established pod to pod, \(family)", total / 400)
    }

    @Test("A connection through a Service, packet by packet", arguments: Family.allCases)
    func service(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let client = try datapath.addPod()
        try datapath.addService(SocketAddress(family.virtual, 80), to: [SocketAddress(family.outside, 8080)])
        let syn = client.sends(to: family.virtual).tcp(from: 40000, to: 80, flags: .syn)
        #expect(try datapath.run(syn, on: .fromPod(client)) == .passed)
        let request = client.sends(to: family.virtual).tcp(from: 40000, to: 80, flags: .ack)
        var total: UInt64 = 0  // the first run translates the frame, so there is no second one
        for _ in 0..<5000 { total += UInt64(try datapath.nanoseconds(request, on: .fromPod(client), repeat: 1)) }
        tell("established through a Service, \(family), single runs", total / 5000)
        let reply = client.receives(from: family.outside).tcp(from: 8080, to: 40000, flags: [.syn, .ack])
        #expect(try datapath.run(reply, on: .toPod(client)) == .passed)
    }

    @Test("A client outside with a backend elsewhere, by the shortcut and by the programs of the usual way")
    func shortcut() throws {
        let namespace = try RoutedNamespace(separate: false)
        try namespace.run {
            for family in Family.allCases {
                let shortcut = try Shortcut(family, .tcp, in: namespace)
                let request = shortcut.request()
                let forwarded = shortcut.edge.leaving(
                    from: shortcut.edge.client, Edge.clientPort, to: shortcut.edge.remote, 8080)
                var (short, usual): (UInt64, UInt64) = (0, 0)
                for _ in 0..<5000 {
                    short += UInt64(try shortcut.datapath.loaded.shortcut.testRun(packet: request.bytes).duration)
                    usual += UInt64(try shortcut.datapath.nanoseconds(request, on: .fromNetwork, repeat: 1))
                    usual += UInt64(try shortcut.datapath.nanoseconds(forwarded, on: .toNetwork, repeat: 1))
                }
                tell("to a backend elsewhere by the shortcut, \(family), single runs", short / 5000)
                tell("… by the usual way, without the stack, \(family), single runs", usual / 5000)
            }
        }
    }

    @Test("A packet for the node itself, and its answer, where nobody outside is served and where somebody is")
    func ofTheNode() throws {
        for family in Family.allCases {
            for (name, flags) in [("nobody", []), ("somebody", [APUS_UPLINK_SERVES])] {
                let edge = try Edge(family)
                try edge.datapath.addUplink(v4: Edge.node.v4, v6: Edge.node.v6, flags)
                let (request, answer) = (
                    edge.arriving(from: nil, Edge.clientPort, to: nil, 22, .ack), edge.leaving(from: edge.node, 22)
                )
                // What else runs makes some rounds dearer, and none cheaper.
                var (arriving, leaving) = ([UInt32](), [UInt32]())
                for _ in 0..<10 {
                    arriving.append(try edge.datapath.nanoseconds(request, on: .fromNetwork, repeat: 50_000))
                    leaving.append(try edge.datapath.nanoseconds(answer, on: .toNetwork, repeat: 50_000))
                }
                tell("to the node, \(name) served, \(family)", arriving.min() ?? 0)
                tell("… and its answer", leaving.min() ?? 0)
            }
        }
    }

    @Test("New connections, without and with a policy, and denied ones", arguments: Family.allCases)
    func opening(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.onlyHTTP)
        try datapath.set(.denyAll)
        for (name, policy) in [
            ("no policy", 0), ("a policy", HandMadePolicy.onlyHTTP.id), ("denied", HandMadePolicy.denyAll.id),
        ] {
            let (client, server) = (try datapath.addPod(egress: policy), try datapath.addPod())
            var total: UInt64 = 0
            for port in 10_000..<13_000 as Range<Port> {
                let packet = client.sends(to: server[family]).tcp(from: port, to: 80, flags: .syn)
                total += UInt64(try datapath.nanoseconds(packet, on: .fromPod(client), repeat: 1))
            }
            _ = datapath.events()
            tell("new connection, \(name), \(family), single runs", total / 3000)
        }
    }
}
