internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("ICMP errors")
struct ICMPErrorTests {
    static let errors: [ICMPError] = [.portUnreachable, .hostUnreachable, .tooBig(mtu: 1400), .timeExceeded]

    /// A pod that may do nothing but answer, and a query that it was sent through the host.
    private func isolated(_ datapath: DatapathFixture, _ family: Family) throws -> (pod: Pod, query: Packet) {
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(egress: HandMadePolicy.denyAll.id)
        let query = Packet.raw.ip(from: family.outside, to: pod[family]).udp(from: 5000, to: 53).payload("query")
        let frame = pod.receives(from: family.outside).udp(from: 5000, to: 53).payload("query")
        #expect(try datapath.run(frame, on: .toPod(pod)) == .passed)
        return (pod, query)
    }

    @Test("An isolated pod may say what became of the packet that it got", arguments: Family.allCases, errors)
    func known(_ family: Family, error: ICMPError) throws {
        let datapath = try DatapathFixture()
        let (pod, query) = try isolated(datapath, family)
        for limit in [1232, 28, 48] {  // 8 bytes of layer 4 are enough (RFC 792)
            let limit = family == .v6 ? max(limit, 48) : limit
            let packet = pod.sends(to: family.outside).icmpError(error, quoting: query, limit: limit)
            #expect(try datapath.run(packet, on: .fromPod(pod)) == .passed)
        }
    }

    /// What an isolated pod could make up to get a packet out.
    private static func forgeries(_ pod: Pod, _ family: Family) -> [(String, Packet)] {
        let own = pod[family]
        let outside = family.outside
        let other = family == .v4 ? ip("198.51.100.1") : ip("2001:db8:1::1")
        func error(_ quoted: Packet, to receiver: IPAddress) -> Packet {
            pod.sends(to: receiver).icmpError(.portUnreachable, quoting: quoted)
        }
        return [
            ("an unknown port", error(Packet.raw.ip(from: outside, to: own).udp(from: 5001, to: 53), to: outside)),
            (
                "another protocol",
                error(Packet.raw.ip(from: outside, to: own).tcp(from: 5000, to: 53, flags: .syn), to: outside)
            ),
            ("its own direction", error(Packet.raw.ip(from: own, to: outside).udp(from: 53, to: 5000), to: outside)),
            ("to somebody else", error(Packet.raw.ip(from: outside, to: own).udp(from: 5000, to: 53), to: other)),
            (
                "a packet of somebody else",
                error(Packet.raw.ip(from: other, to: own).udp(from: 5000, to: 53), to: outside)
            ),
            ("nothing", pod.sends(to: outside).icmp(type: family == .v4 ? 3 : 1, code: 1)),
            ("half a header", pod.sends(to: outside).icmp(type: family == .v4 ? 3 : 1).payload([0x45, 0, 0, 20])),
            (
                "garbage",
                pod.sends(to: outside).icmp(type: family == .v4 ? 3 : 1).payload([UInt8](repeating: 0xff, count: 80))
            ),
            (
                "an error about an error",
                error(
                    Packet.raw.ip(from: outside, to: own)
                        .icmpError(
                            .portUnreachable, quoting: Packet.raw.ip(from: own, to: outside).udp(from: 53, to: 5000)),
                    to: outside)
            ),
            (
                "a later fragment",
                error(
                    Packet.raw.ip(from: outside, to: own).udp(from: 5000, to: 53)
                        .payload([UInt8](repeating: 0, count: 30)).fragments(of: 16)[1], to: outside)
            ),
        ]
    }

    @Test("An isolated pod can't make one up", arguments: Family.allCases)
    func forged(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (pod, _) = try isolated(datapath, family)
        for (name, packet) in Self.forgeries(pod, family) {
            #expect(try datapath.run(packet, on: .fromPod(pod)).isPassing == false, "\(name)")
        }
        #expect(try datapath.connectionCount() == 1)
    }

    @Test("What is quoted in the padding behind the packet is not quoted", arguments: Family.allCases)
    func quotedInPadding(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (pod, query) = try isolated(datapath, family)
        let error = pod.sends(to: family.outside).icmpError(.portUnreachable, quoting: query, limit: 0).bytes
        #expect(try datapath.run(error + query.bytes, on: .fromPod(pod)) == .dropped(leaving: .isolated))
    }

    @Test("A pod does not report on the connections of others", arguments: Family.allCases)
    func othersConnection(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let talk = try datapath.conversation(family)
        try datapath.establish(talk)
        let intruder = try datapath.addPod(egress: HandMadePolicy.denyAll.id)
        let quoted = Packet.raw.ip(from: talk.client[family], to: talk.server[family]).tcp(
            from: 40000, to: 80, flags: .ack)
        let packet = intruder.sends(to: talk.client[family]).icmpError(.tooBig(mtu: 68), quoting: quoted)
        #expect(try datapath.run(packet, on: .fromPod(intruder)) == .dropped(leaving: .isolated))
    }

    @Test(
        "Any router may report to an isolated pod about its own packets, and about nothing else",
        arguments: Family.allCases)
    func fromRouter(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        #expect(try datapath.run(pod.sends(to: family.outside).udp(from: 53, to: 5000), on: .fromPod(pod)) == .passed)
        let router = family == .v4 ? ip("198.51.100.1") : ip("2001:db8:1::1")
        func report(_ port: Port) -> Packet {
            pod.receives(from: router).icmpError(
                .timeExceeded, quoting: Packet.raw.ip(from: pod[family], to: family.outside).udp(from: port, to: 5000))
        }
        for hook in [Hook.toPod(pod), .fromNetwork] {
            #expect(try datapath.run(report(53), on: hook) == .passed)
            #expect(try datapath.run(report(54), on: hook) == .dropped(entering: .isolated))
        }
    }

    /// An isolated pod that has asked a Service by datagrams, which are translated packet by packet, and was answered.
    private func asker(_ datapath: DatapathFixture, _ family: Family) throws -> Pod {
        let onlyBackend = HandMadePolicy(
            id: 0x1f75, rules: [HandMadePolicy.Rule(ports: HandMadePolicy.PortRange(ipProtocol: .udp, port: 8053))])
        try datapath.set(.denyAll)
        try datapath.set(onlyBackend)
        let pod = try datapath.addPod(egress: onlyBackend.id)
        try datapath.addService(SocketAddress(family.virtual, 53), .udp, to: [SocketAddress(family.outside, 8053)])
        let question = pod.sends(to: family.virtual).udp(from: 40000, to: 53)
        let answer = pod.receives(from: family.outside).udp(from: 8053, to: 40000)
        #expect(try datapath.run(question, on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(answer, on: .toPod(pod)) == .passed)
        #expect(datapath.outputView?.source == family.virtual)
        return pod
    }

    /// What the pod says of a Service's answer to one of its ports.
    private func complaint(_ pod: Pod, _ family: Family, from port: Port = 53, to own: Port = 40000) -> Packet {
        let answer = Packet.raw.ip(from: family.virtual, to: pod[family]).udp(from: port, to: own)
        return pod.sends(to: family.virtual).icmpError(.portUnreachable, quoting: answer)
    }

    @Test("An isolated pod may say to a Service what became of its answer, and of no other", arguments: Family.allCases)
    func aboutService(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let pod = try asker(datapath, family)
        let isolated = Fate.dropped(leaving: .isolated)
        #expect(try datapath.run(complaint(pod, family), on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(complaint(pod, family, to: 40001), on: .fromPod(pod)) == isolated)
        #expect(try datapath.run(complaint(pod, family, from: 54), on: .fromPod(pod)) == isolated)
        try datapath.setEndpoint(of: pod) {
            $0.egress_policy = HandMadePolicy.denyAll.id
            $0.generation += 1
        }
        #expect(try datapath.run(complaint(pod, family), on: .fromPod(pod)) == isolated)
    }

    @Test("… nor of what has not come through the Service", arguments: Family.allCases)
    func besideService(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let pod = try asker(datapath, family)
        try datapath.forgetConnections()
        #expect(try datapath.run(complaint(pod, family), on: .fromPod(pod)) == .dropped(leaving: .isolated))
        let direct = pod.sends(to: family.outside).udp(from: 40000, to: 8053)
        #expect(try datapath.run(direct, on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(complaint(pod, family), on: .fromPod(pod)) == .dropped(leaving: .isolated))
    }

    @Test("About a connection that was cut, or is long over, nothing passes")
    func notAnyMore() throws {
        let datapath = try DatapathFixture()
        let (pod, query) = try isolated(datapath, .v4)
        let error = pod.sends(to: Family.v4.outside).icmpError(.portUnreachable, quoting: query)
        try datapath.setEndpoint(of: pod) { $0.ingress_policy = HandMadePolicy.denyAll.id }
        try datapath.bumpGeneration(of: pod)
        #expect(try datapath.run(error, on: .fromPod(pod)) == .dropped(leaving: .isolated))
    }

    @Test("A new generation that still allows the connection allows its errors", arguments: Family.allCases)
    func otherGeneration(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (pod, query) = try isolated(datapath, family)
        let frame = pod.receives(from: family.outside).udp(from: 5000, to: 53)
        let before = try #require(try datapath.connection(of: frame)).entry.responderSide
        try datapath.bumpGeneration(of: pod)
        let error = pod.sends(to: family.outside).icmpError(.portUnreachable, quoting: query)
        #expect(try datapath.run(error, on: .fromPod(pod)) == .passed)
        let after = try #require(try datapath.connection(of: frame)).entry.responderSide
        #expect(before.generation == after.generation && before.packets == after.packets, "no packet of it")
    }

    @Test("An expired connection says nothing for an error")
    func expired() throws {
        let datapath = try DatapathFixture { $0.half_open_timeout_ns = 1 }
        let (pod, query) = try isolated(datapath, .v4)
        datapath.passTime()
        let error = pod.sends(to: Family.v4.outside).icmpError(.portUnreachable, quoting: query)
        #expect(try datapath.run(error, on: .fromPod(pod)) == .dropped(leaving: .isolated))
    }
}

@Suite("Echoes")
struct EchoTests {
    @Test("An echo's answer comes back to an isolated pod, another identifier's does not", arguments: Family.allCases)
    func answer(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        #expect(try datapath.run(pod.sends(to: family.outside).echo(identifier: 77), on: .fromPod(pod)) == .passed)
        let answer = pod.receives(from: family.outside).echo(reply: true, identifier: 77)
        #expect(try datapath.run(answer, on: .fromNetwork) == .delivered)
        let found = try #require(try datapath.connection(of: answer))
        #expect(!found.isHalfOpen && found.entry.openerSide.packets == 1 && found.entry.responderSide.packets == 1)
        #expect(found.entry.detail == (family == .v4 ? 8 : 128))
        let stray = pod.receives(from: family.outside).echo(reply: true, identifier: 78)
        #expect(try datapath.run(stray, on: .fromNetwork) == .dropped(entering: .isolated))
    }

    @Test("A pod that asks may not be asked with the same identifier", arguments: Family.allCases)
    func question(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        #expect(try datapath.run(pod.sends(to: family.outside).echo(identifier: 77), on: .fromPod(pod)) == .passed)
        let question = pod.receives(from: family.outside).echo(identifier: 77)
        #expect(try datapath.run(question, on: .fromNetwork) == .dropped(entering: .isolated))
    }

    /// Queries that nothing tells from those of the other end, and their answers.
    private static func queries(_ family: Family) -> [(query: UInt8, answer: UInt8)] {
        family == .v4 ? [(8, 0), (13, 14), (15, 16), (17, 18), (42, 43)] : [(128, 129), (139, 140), (160, 161)]
    }

    @Test("A pod that asks without an identifier gets the answer, and is not asked itself", arguments: Family.allCases)
    func withoutIdentifier(_ family: Family) throws {
        for (query, answer) in Self.queries(family) {
            let datapath = try DatapathFixture()
            try datapath.set(.denyAll)
            let pod = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
            let arriving = pod.receives(from: family.outside)
            #expect(try datapath.run(pod.sends(to: family.outside).icmp(type: query), on: .fromPod(pod)) == .passed)
            for _ in 0..<2 {
                #expect(try datapath.run(arriving.icmp(type: answer), on: .fromNetwork) == .delivered, "\(answer)")
                for (other, _) in Self.queries(family) {
                    let fate = try datapath.run(arriving.icmp(type: other), on: .fromNetwork)
                    #expect(fate == .dropped(entering: .isolated), "\(other) after \(query)")
                }
            }
            #expect(try datapath.connectionCount() == 1)
        }
    }

    @Test("An advertisement answers a solicitation, also between addresses that a router could forward to")
    func advertisement() throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
        let arriving = pod.receives(from: Family.v6.outside)
        #expect(try datapath.run(pod.sends(to: Family.v6.outside).icmp(type: 135), on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(arriving.icmp(type: 136), on: .fromNetwork) == .delivered)
        #expect(try datapath.run(arriving.icmp(type: 135), on: .fromNetwork) == .dropped(entering: .isolated))
    }

    @Test("Where both may ask, both are answered, without an identifier too", arguments: Family.allCases)
    func bothAsk(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (one, other) = (try datapath.addPod(), try datapath.addPod())
        for _ in 0..<2 {
            for (asker, asked) in [(one, other), (other, one)] {
                let query = asker.sends(to: asked[family]).echo(identifier: 0)
                let answer = asked.sends(to: asker[family]).echo(reply: true, identifier: 0)
                #expect(try datapath.run(query, on: .fromPod(asker)) == .delivered)
                #expect(try datapath.run(answer, on: .fromPod(asked)) == .delivered)
            }
        }
    }
}
