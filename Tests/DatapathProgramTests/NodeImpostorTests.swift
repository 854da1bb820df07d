internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Who claims at an uplink to be the node in its live connections")
struct NodeImpostorTests {
    private static let spoofed = Fate.dropped(entering: .invalidSource)

    /// A pod that only the node may reach, whose address is the family's.
    private func isolated(_ datapath: DatapathFixture, node: IPAddress) throws -> Pod {
        try datapath.set(.denyAll)
        try datapath.setClass(0, of: node, isLocalNode: true)
        return try datapath.addPod(ingress: HandMadePolicy.denyAll.id)
    }

    /// Datagrams and segments of a conversation that lives.
    private static let headers: [@Sendable (Packet, Port, Port, TCPFlags) -> Packet] = [
        { packet, from, to, _ in packet.udp(from: from, to: to) },
        { packet, from, to, flags in packet.tcp(from: from, to: to, flags: flags) },
    ]

    @Test("Nobody goes on with what the node has opened", arguments: Family.allCases, headers.indices)
    func opener(_ family: Family, header: Int) throws {
        let header = Self.headers[header]
        let datapath = try DatapathFixture()
        let node = family.outside
        let pod = try isolated(datapath, node: node)
        let question = header(pod.receives(from: node), 40000, 53, .syn)
        let answer = header(pod.sends(to: node), 53, 40000, [.syn, .ack])
        let next = header(pod.receives(from: node), 40000, 53, .ack)
        #expect(try datapath.run(question, on: .toPod(pod)) == .passed)
        #expect(try datapath.run(next, on: .fromNetwork) == Self.spoofed)
        #expect(try datapath.run(answer, on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(next, on: .fromNetwork) == Self.spoofed)
        #expect(try datapath.run(next, on: .toPod(pod)) == .passed)
        let entry = try #require(try datapath.connection(of: next)).entry
        #expect(entry.openerSide.packets == 2 && entry.responderSide.packets == 1)
    }

    @Test("Nobody answers for the node what a pod has asked it", arguments: Family.allCases, headers.indices)
    func responder(_ family: Family, header: Int) throws {
        let header = Self.headers[header]
        let datapath = try DatapathFixture()
        let node = family.outside
        let pod = try isolated(datapath, node: node)
        let question = header(pod.sends(to: node), 40000, 53, .syn)
        let answer = header(pod.receives(from: node), 53, 40000, [.syn, .ack])
        #expect(try datapath.run(question, on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(answer, on: .fromNetwork) == Self.spoofed)
        #expect(try datapath.run(answer, on: .toPod(pod)) == .passed)
        #expect(try datapath.run(answer, on: .fromNetwork) == Self.spoofed)
    }

    @Test("… nor where it has asked by a Service", arguments: Family.allCases)
    func byService(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let node = family.outside
        let pod = try isolated(datapath, node: node)
        try datapath.addService(SocketAddress(family.virtual, 53), .udp, to: [SocketAddress(node, 5353)])
        let question = pod.sends(to: family.virtual).udp(from: 40000, to: 53)
        let answer = pod.receives(from: node).udp(from: 5353, to: 40000)
        #expect(try datapath.run(question, on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(answer, on: .fromNetwork) == Self.spoofed)
        #expect(try datapath.run(answer, on: .toPod(pod)) == .passed)
    }

    @Test("An address that is the node's no more is that of whoever has it", arguments: Family.allCases)
    func formerAddress(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let pod = try isolated(datapath, node: family.outside)
        let question = pod.sends(to: family.outside).udp(from: 40000, to: 53)
        let answer = pod.receives(from: family.outside).udp(from: 53, to: 40000)
        #expect(try datapath.run(question, on: .fromPod(pod)) == .passed)
        try datapath.setClass(0, of: family.outside)
        #expect(try datapath.run(answer, on: .fromNetwork) == .delivered)
    }

    @Test("What has an address of the Node object alone is no impostor", arguments: Family.allCases, headers.indices)
    func addressElsewhere(_ family: Family, header: Int) throws {
        let header = Self.headers[header]
        let datapath = try DatapathFixture()
        let pod = try isolated(datapath, node: family.outside)
        try datapath.setClass(0, of: family.outside, isLocalNode: true, isElsewhere: true)
        let question = header(pod.sends(to: family.outside), 40000, 53, .syn)
        let answer = header(pod.receives(from: family.outside), 53, 40000, [.syn, .ack])
        #expect(try datapath.run(question, on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(answer, on: .fromNetwork) == .delivered)
    }

    @Test("What was opened before the flag was known goes on", arguments: Family.allCases)
    func withoutFlag(_ family: Family) throws {
        let datapath = try DatapathFixture()
        let pod = try datapath.addPod()
        let question = pod.receives(from: family.outside).udp(from: 40000, to: 53)
        #expect(try datapath.run(question, on: .toPod(pod)) == .passed)
        #expect(try datapath.run(pod.sends(to: family.outside).udp(from: 53, to: 40000), on: .fromPod(pod)) == .passed)
        #expect(try datapath.run(question, on: .fromNetwork) == .delivered)
    }
}
