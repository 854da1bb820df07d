internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("What pods send to the world, packet by packet")
struct MasqueradeTests {
    @Test(
        "It leaves with an address and port of the node, and the answer finds the pod",
        arguments: Family.allCases, Talk.allCases)
    func bothWays(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let pod = try gate.datapath.addPod()
        var port: Port?
        for flags in [TCPFlags.syn, .ack, .ack] {
            #expect(try gate.send(pod, flags) == .passed)
            let own = try #require(try gate.port(of: pod))
            #expect(own >= 61000 && port ?? own == own)
            port = own
            #expect(gate.datapath.output == gate.leaving(from: gate.node, own, flags).bytes)
            #expect(try gate.datapath.run(gate.arriving(to: gate.node, own), on: .fromNetwork) == .delivered)
            #expect(gate.datapath.output == gate.received(pod).bytes)
        }
        let entry = try #require(try gate.datapath.connection(of: gate.sent(pod))).entry
        #expect(entry.openerSide.packets == 3 && entry.responderSide.packets == 3)
        #expect(!entry.has(APUS_CONNECTION_UNANSWERED))
        let opened = try #require(gate.datapath.events().first)
        #expect(opened.sourceEnd.address == pod[family] && opened.destinationEnd.address == gate.world)
        #expect(try gate.datapath.maps.translations.keys(as: apus_translation_key.self).count == 1, "safe from a flood")
    }

    private func send(_ gate: Gate, _ pod: Pod, to world: IPAddress) throws -> Bool {
        #expect(try gate.send(pod, to: world) == .passed)
        return gate.datapath.output == gate.leaving(from: pod[gate.family], to: world).bytes
    }

    @Test("Only what is in no exception leaves so", arguments: Family.allCases, Talk.allCases)
    func exceptions(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let pod = try gate.datapath.addPod()
        let pods = family == .v4 ? cidr("10.244.0.0/16") : cidr("fd00:2::/32")
        try gate.except(pods)
        #expect(try send(gate, pod, to: family == .v4 ? Edge.remote.v4 : Edge.remote.v6))
        #expect(try !send(gate, pod, to: gate.world))
    }

    @Test("Without the setting nothing does", arguments: Family.allCases, Talk.allCases)
    func off(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk, flags: [APUS_UPLINK_SERVES])
        #expect(try send(gate, try gate.datapath.addPod(), to: gate.world))
    }

    @Test(
        "An answer to who has asked the pod itself keeps the pod's address", arguments: Family.allCases, Talk.allCases)
    func askedFromOutside(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let pod = try gate.datapath.addPod()
        let frame = Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: gate.world, to: pod[family])
        let request = talk.forth(on: frame, from: 5000, to: 80)
        #expect(try gate.datapath.run(request, on: .fromNetwork) == .delivered)
        let answer = talk.back(on: pod.sends(to: gate.world), from: 80, to: 5000)
        #expect(try gate.datapath.run(answer, on: .fromPod(pod)) == .passed)
        let leaves = Packet.ethernet(from: Edge.uplink, to: Edge.router).ip(from: pod[family], to: gate.world)
        let packet = talk.back(on: leaves, from: 80, to: 5000)
        #expect(try gate.datapath.run(packet, on: .toNetwork) == .passed)
        #expect(gate.datapath.output == packet.bytes)
    }

    @Test("One that was answered without goes on as it is", arguments: Family.allCases, Talk.allCases)
    func sticky(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk, flags: [])
        let pod = try gate.datapath.addPod()
        #expect(try send(gate, pod, to: gate.world))
        let answer = talk.back(
            on: Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: gate.world, to: pod[family]),
            from: Gate.port, to: Gate.podPort)
        #expect(try gate.datapath.run(answer, on: .fromNetwork) == .delivered)
        try gate.datapath.addUplink(v4: Edge.node.v4, v6: Edge.node.v6, [APUS_UPLINK_MASQUERADES])
        #expect(try gate.send(pod, .ack) == .passed)
        #expect(gate.datapath.output == gate.leaving(from: pod[family], .ack).bytes)
    }

    @Test("… and one that left so goes on so, whatever is excepted now", arguments: Family.allCases, Talk.allCases)
    func stickyToo(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let pod = try gate.datapath.addPod()
        #expect(try gate.send(pod) == .passed)
        let port = try #require(try gate.port(of: pod))
        try gate.except(CIDR(host: gate.world))
        try gate.datapath.addUplink(v4: Edge.node.v4, v6: Edge.node.v6, [APUS_UPLINK_SERVES])
        #expect(try gate.send(pod, .ack) == .passed)
        #expect(gate.datapath.output == gate.leaving(from: gate.node, port, .ack).bytes)
    }

    @Test("Two pods with one port are told apart", arguments: Family.allCases, Talk.allCases)
    func collision(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk) { $0.source_port_count = 2 }
        let pods = [try gate.datapath.addPod(), try gate.datapath.addPod()]
        for pod in pods { #expect(try gate.send(pod) == .passed) }
        let ports = try pods.map { try #require(try gate.port(of: $0)) }
        #expect(Set(ports) == [61000, 61001])
        for (pod, port) in zip(pods, ports) {
            #expect(try gate.datapath.run(gate.arriving(to: gate.node, port), on: .fromNetwork) == .delivered)
            #expect(gate.datapath.output == gate.received(pod).bytes)
        }
    }

    @Test(
        "Without a free port a packet is dropped, told of as the pod's; towards others there are all",
        arguments: Family.allCases, Talk.allCases)
    func exhausted(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk) { $0.source_port_count = 16 }
        let pod = try gate.datapath.addPod()
        for port in 40000..<40016 as Range<Port> { #expect(try gate.send(pod, port) == .passed) }
        _ = gate.datapath.events()
        #expect(try gate.send(pod, 40016) == .dropped(leaving: .portsExhausted))
        let denied = try #require(gate.datapath.events().last)
        #expect(denied.kind == .denied && denied.sourceEnd == SocketAddress(pod[family], 40016))
        let other = family == .v4 ? ip("198.51.100.77") : ip("2001:db8:77::77")
        #expect(try gate.send(pod, 40016, to: other) == .passed)
    }

    @Test("The port of an ended connection is free", arguments: Family.allCases)
    func freed(_ family: Family) throws {
        let gate = try Gate(family) { $0.source_port_count = 1 }
        let pod = try gate.datapath.addPod()
        #expect(try gate.send(pod, 40000) == .passed)
        #expect(try gate.send(pod, 40001) == .dropped(leaving: .portsExhausted))
        #expect(try gate.send(pod, 40000, .rst) == .passed)
        #expect(try gate.send(pod, 40001) == .passed)
        #expect(try gate.datapath.run(gate.arriving(to: gate.node, 61000), on: .fromNetwork) == .delivered)
        #expect(gate.datapath.output == gate.received(pod, 40001).bytes)
    }

    @Test("Without an address of the family a packet is dropped", arguments: Family.allCases)
    func noAddress(_ family: Family) throws {
        let gate = try Gate(family)
        try gate.datapath.addUplink([APUS_UPLINK_MASQUERADES])
        #expect(try gate.send(try gate.datapath.addPod()) == .dropped(leaving: .noSource))
    }

    @Test("What answers nobody is the node's, untouched", arguments: Family.allCases, Talk.allCases)
    func noMapping(_ family: Family, _ talk: Talk) throws {
        for flags in [[APUS_UPLINK_MASQUERADES], [APUS_UPLINK_MASQUERADES, APUS_UPLINK_SERVES]] {
            let gate = try Gate(family, talk, flags: flags)
            let pod = try gate.datapath.addPod()
            #expect(try gate.send(pod) == .passed)
            let port = try #require(try gate.port(of: pod))
            for other in [port == 61000 ? 61001 : 61000, 443] as [Port] {
                let packet = gate.arriving(to: gate.node, other)
                #expect(try gate.datapath.run(packet, on: .fromNetwork) == .passed)
                #expect(gate.datapath.output == packet.bytes)
            }
            try gate.datapath.forgetConnections()
            let late = gate.arriving(to: gate.node, port)
            #expect(try gate.datapath.run(late, on: .fromNetwork) == .passed)
            #expect(gate.datapath.output == late.bytes)
        }
    }

    @Test("A connection whose records were lost gets its port again", arguments: Family.allCases, Talk.allCases)
    func lost(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let pod = try gate.datapath.addPod()
        #expect(try gate.send(pod) == .passed)
        let port = try #require(try gate.port(of: pod))
        try gate.datapath.forgetConnections()
        #expect(try gate.send(pod, .ack) == .passed)
        #expect(try gate.port(of: pod) == port)
        try gate.datapath.forgetConnections()
        try gate.datapath.maps.disposableTranslations.clear(apus_translation_key.self)
        #expect(try gate.send(pod, .ack) == .passed)
        #expect(try gate.port(of: pod) == port)
    }

    @Test(
        "A port that a process of the node has is given to nobody", arguments: Family.allCases, [Transport.tcp, .udp])
    func processFirst(_ family: Family, _ transport: Transport) throws {
        let socket = try NodeSocket(transport)
        let gate = try Gate(family, Talk(transport)) {
            $0.source_port_first = socket.port
            $0.source_port_count = 1
        }
        let pod = try gate.datapath.addPod()
        #expect(try gate.send(pod) == .dropped(leaving: .portsExhausted))
        _ = consume socket
        #expect(try gate.send(pod) == .passed)
    }

    @Test("… and one that takes a pod's port later has it from then on", arguments: Family.allCases, Talk.allCases)
    func processLater(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk) { $0.source_port_count = 2 }
        let pod = try gate.datapath.addPod()
        #expect(try gate.send(pod) == .passed)
        let port = try #require(try gate.port(of: pod))
        let own = gate.leaving(from: gate.node, port)
        #expect(try gate.datapath.run(own, on: .toNetwork) == .passed)
        #expect(gate.datapath.output == own.bytes)
        let answer = gate.arriving(to: gate.node, port)
        #expect(try gate.datapath.run(answer, on: .fromNetwork) == .passed)
        #expect(gate.datapath.output == answer.bytes, "it is the process's")
        #expect(try gate.send(pod, .ack) == .passed, "the pod gets a port, in real life another one")
    }

    @Test("What the node itself sends is not looked up", arguments: Family.allCases, Talk.allCases)
    func ownPackets(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let packet = gate.leaving(from: gate.node, 30000)
        #expect(try gate.datapath.run(packet, on: .toNetwork) == .passed)
        #expect(gate.datapath.output == packet.bytes)
        #expect(try gate.datapath.connectionCount() == 0)
    }

    @Test("What looks like an opening ends nothing", arguments: Family.allCases, [Talk.tcp, .sctp])
    func spoofedOpening(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let pod = try gate.datapath.addPod()
        #expect(try gate.send(pod) == .passed)
        let port = try #require(try gate.port(of: pod))
        let opening = gate.arriving(to: gate.node, port, .syn)
        #expect(try gate.datapath.run(opening, on: .fromNetwork) == .passed)
        #expect(gate.datapath.output == opening.bytes)
        let reset = gate.leaving(from: gate.node, port, .rst)
        #expect(try gate.datapath.run(reset, on: .toNetwork) == .passed)
        #expect(try gate.datapath.run(gate.arriving(to: gate.node, port), on: .fromNetwork) == .delivered)
        #expect(gate.datapath.output == gate.received(pod).bytes)
    }

    @Test("Policy judges the pod by its own address, and an answer as one", arguments: Family.allCases, Talk.allCases)
    func policy(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        try gate.datapath.set(.denyAll)
        let pod = try gate.datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        #expect(try gate.send(pod) == .passed)
        let port = try #require(try gate.port(of: pod))
        #expect(try gate.datapath.run(gate.arriving(to: gate.node, port), on: .fromNetwork) == .delivered)
        try gate.datapath.setEndpoint(of: pod) {
            $0.egress_policy = HandMadePolicy.denyAll.id
            $0.generation += 1
        }
        #expect(
            try gate.datapath.run(gate.arriving(to: gate.node, port), on: .fromNetwork)
                == .dropped(leaving: .isolated))
        #expect(try gate.send(pod, .ack) == .dropped(leaving: .isolated))
    }

    @Test("A Service whose backend is in the world is translated at both ends", arguments: Family.allCases)
    func throughService(_ family: Family) throws {
        let gate = try Gate(family)
        let pod = try gate.datapath.addPod()
        try gate.datapath.addService(SocketAddress(family.virtual, 80), to: [SocketAddress(gate.world, Gate.port)])
        let request = pod.sends(to: family.virtual).tcp(from: Gate.podPort, to: 80, flags: .syn).payload("text")
        #expect(try gate.datapath.run(request, on: .fromPod(pod)) == .passed)
        #expect(try gate.datapath.run(gate.leaving(from: pod[family]), on: .toNetwork) == .passed)
        let port = try #require(try gate.port(of: pod))
        #expect(gate.datapath.output == gate.leaving(from: gate.node, port).bytes)
        #expect(try gate.datapath.run(gate.arriving(to: gate.node, port), on: .fromNetwork) == .delivered)
        let answer = pod.receives(from: family.virtual, ttl: 63).tcp(from: 80, to: Gate.podPort, flags: .ack)
        #expect(gate.datapath.output == answer.payload("text").bytes)
    }

    @Test("By way of the stack an answer is counted once", arguments: Family.allCases, Talk.allCases)
    func byStack(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk) { $0.redirect_peer = 0 }
        let pod = try gate.datapath.addPod()
        #expect(try gate.send(pod) == .passed)
        let port = try #require(try gate.port(of: pod))
        #expect(try gate.datapath.run(gate.arriving(to: gate.node, port), on: .fromNetwork) == .passed)
        let aimed = gate.arriving(to: pod[family], Gate.podPort)
        #expect(gate.datapath.output == aimed.bytes)
        #expect(try gate.datapath.run(gate.received(pod), on: .toPod(pod)) == .passed)
        let entry = try #require(try gate.datapath.connection(of: gate.sent(pod))).entry
        #expect(entry.openerSide.packets == 1 && entry.responderSide.packets == 1)
    }

    @Test("All fragments of a datagram leave from the node", arguments: Family.allCases)
    func fragments(_ family: Family) throws {
        let gate = try Gate(family, .udp)
        let pod = try gate.datapath.addPod()
        let text = [UInt8](repeating: 7, count: 100)
        let sent = pod.sends(to: gate.world).udp(from: Gate.podPort, to: Gate.port).payload(text)
        for fragment in sent.fragments(of: 48) {
            #expect(try gate.datapath.run(fragment, on: .fromPod(pod)) == .passed)
        }
        func leaving(_ source: IPAddress, _ port: Port) -> [Packet] {
            Packet.ethernet(from: Edge.uplink, to: Edge.router).ip(from: source, to: gate.world)
                .udp(from: port, to: Gate.port).payload(text).fragments(of: 48)
        }
        var output: [[UInt8]] = []
        for fragment in leaving(pod[family], Gate.podPort) {
            #expect(try gate.datapath.run(fragment, on: .toNetwork) == .passed)
            output.append(gate.datapath.output)
        }
        let port = try #require(try gate.port(of: pod))
        #expect(output == leaving(gate.node, port).map(\.bytes))
    }
}
