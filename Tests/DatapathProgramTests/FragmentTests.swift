internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Fragments")
struct FragmentTests {
    private func fragments(of family: Family, _ client: Pod, port: Port = 53, identification: UInt32 = 7) -> [Packet] {
        client.sends(to: family.outside).udp(from: 5000, to: port).payload([UInt8](repeating: 9, count: 80))
            .fragments(of: 32, identification: identification)
    }

    private func client(_ datapath: DatapathFixture) throws -> Pod {
        let policy = HandMadePolicy(
            id: 53, rules: [.init(ports: .init(ipProtocol: .udp, port: 53))])
        try datapath.set(policy)
        return try datapath.addPod(egress: policy.id)
    }

    @Test("Later fragments go the way of their first one", arguments: Family.allCases)
    func inOrder(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let pod = try client(datapath)
        for fragment in fragments(of: family, pod) { #expect(try datapath.run(fragment, on: .fromPod(pod)) == .passed) }
        let whole = pod.sends(to: family.outside).udp(from: 5000, to: 53)
        #expect(try #require(try datapath.connection(of: whole)).entry.openerSide.packets == 3)
        #expect(try datapath.connectionCount() == 1)
        for fragment in fragments(of: family, pod, port: 54, identification: 8) {
            #expect(try datapath.run(fragment, on: .fromPod(pod)) == .dropped(leaving: .isolated))
        }
    }

    @Test("Without its first one no fragment passes", arguments: Family.allCases)
    func firstMissing(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let pod = try client(datapath)
        let parts = fragments(of: family, pod)
        for fragment in parts.dropFirst() {
            #expect(try datapath.run(fragment, on: .fromPod(pod)) == .dropped(leaving: .fragment))
        }
        #expect(try datapath.run(parts[0], on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(parts[1], on: .fromPod(pod)) == .passed)
        let others = fragments(of: family, pod, identification: 9)
        #expect(try datapath.run(others[1], on: .fromPod(pod)) == .dropped(leaving: .fragment))
    }

    @Test("A first fragment is remembered for its time")
    func expired() throws {
        let datapath = try DatapathFixture { $0.fragment_timeout_ns = 1 }
        let pod = try client(datapath)
        let parts = fragments(of: .v4, pod)
        #expect(try datapath.run(parts[0], on: .fromPod(pod)) == .passed)
        datapath.passTime()
        #expect(try datapath.run(parts[1], on: .fromPod(pod)) == .dropped(leaving: .fragment))
    }

    @Test("A first fragment holds the whole transport header", arguments: Family.allCases)
    func tiny(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        let whole = pod.sends(to: family.outside).tcp(from: 5000, to: 80, flags: .syn).payload("the rest")
        let parts = whole.fragments(of: 8)
        // Padding does not make up for it (RFC 1858).
        #expect(try datapath.run(parts[0].bytes.followed(by: 26), on: .fromPod(pod)) == .dropped(leaving: .truncated))
        for fragment in whole.fragments(of: 24) { #expect(try datapath.run(fragment, on: .fromPod(pod)) == .passed) }
    }

    @Test("An ICMP error in fragments passes by its first one only", arguments: Family.allCases)
    func icmpError(_ family: Family) throws {
        let datapath = try DatapathFixture()
        try datapath.set(.denyAll)
        let pod = try datapath.addPod(egress: HandMadePolicy.denyAll.id)
        let query = pod.receives(from: family.outside).udp(from: 5000, to: 53)
        #expect(try datapath.run(query, on: .toPod(pod)) == .passed)
        let error = pod.sends(to: family.outside).icmpError(
            .portUnreachable,
            quoting: Packet.raw.ip(from: family.outside, to: pod[family]).udp(from: 5000, to: 53)
                .payload([UInt8](repeating: 1, count: 100)))
        let parts = error.fragments(of: 64)
        #expect(try datapath.run(parts[0], on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(parts[1], on: .fromPod(pod)).isPassing == false)
    }

    @Test("Delivered fragments are whole frames with one hop less", arguments: Family.allCases)
    func delivered(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let (client, server) = (try datapath.addPod(), try datapath.addPod())
        let sent = client.sends(to: server[family]).udp(from: 5000, to: 53).payload([UInt8](repeating: 9, count: 80))
        let expected = server.receives(from: client[family], ttl: 63).udp(from: 5000, to: 53)
            .payload([UInt8](repeating: 9, count: 80))
        for (fragment, wanted) in zip(sent.fragments(of: 32), expected.fragments(of: 32)) {
            #expect(try datapath.run(fragment, on: .fromPod(client)) == .delivered)
            #expect(datapath.output == wanted.bytes)
        }
    }
}
