internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("ICMP errors about what has left in the node's name")
struct MasqueradeErrorTests {
    /// A pod that has opened a connection, and the node's port of it.
    private func opened(_ gate: Gate) throws -> (pod: Pod, port: Port) {
        let pod = try gate.datapath.addPod()
        #expect(try gate.send(pod) == .passed)
        return (pod, try #require(try gate.port(of: pod)))
    }

    @Test(
        "One that comes in reaches the pod, and speaks of what the pod has sent",
        arguments: Family.allCases, Talk.allCases)
    func incoming(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let (pod, port) = try opened(gate)
        let left = talk.forth(on: Packet.raw.ip(from: gate.node, to: gate.world), from: port, to: Gate.port)
        let sent = talk.forth(on: Packet.raw.ip(from: pod[family], to: gate.world), from: Gate.podPort, to: Gate.port)
        for error in ICMPErrorTests.errors {
            for limit in Reporter.limits(family) {
                func report(_ quoted: Packet, to receiver: IPAddress) -> Packet {
                    Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: Reporter.router(family), to: receiver)
                        .icmpError(error, quoting: quoted, limit: limit)
                }
                #expect(try gate.datapath.run(report(left, to: gate.node), on: .fromNetwork) == .passed)
                #expect(gate.datapath.output == report(sent.withChecksum(of: left), to: pod[family]).bytes)
                let told = pod.receives(from: Reporter.router(family)).icmpError(error, quoting: sent, limit: limit)
                #expect(try gate.datapath.run(told, on: .toPod(pod)) == .passed)
            }
        }
    }

    @Test("One about something else is the node's, untouched", arguments: Family.allCases, Talk.allCases)
    func others(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let (pod, port) = try opened(gate)
        func report(_ source: IPAddress, _ port: Port, to receiver: IPAddress) -> Packet {
            let quoted = talk.forth(on: Packet.raw.ip(from: source, to: gate.world), from: port, to: Gate.port)
            return Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: Reporter.router(family), to: receiver)
                .icmpError(.timeExceeded, quoting: quoted)
        }
        let third = family == .v4 ? ip("198.51.100.9") : ip("2001:db8:1::9")
        let reports = [
            report(gate.node, port == 61000 ? 61001 : 61000, to: gate.node),
            report(third, port, to: gate.node), report(gate.node, port, to: third),
        ]
        for report in reports {
            #expect(try gate.datapath.run(report, on: .fromNetwork) == .passed)
            #expect(gate.datapath.output == report.bytes)
        }
        try gate.datapath.forgetConnections()
        let late = report(gate.node, port, to: gate.node)
        #expect(try gate.datapath.run(late, on: .fromNetwork) == .passed)
        #expect(gate.datapath.output == late.bytes, "\(pod)")
    }

    @Test("Nobody outside reports as if he were of this node", arguments: Family.allCases)
    func spoofed(_ family: Family) throws {
        let gate = try Gate(family)
        let (pod, port) = try opened(gate)
        let quoted = gate.talk.forth(on: Packet.raw.ip(from: gate.node, to: gate.world), from: port, to: Gate.port)
        let report = Packet.ethernet(from: Edge.router, to: Edge.uplink).ip(from: pod[family], to: gate.node)
            .icmpError(.timeExceeded, quoting: quoted)
        #expect(try gate.datapath.run(report, on: .fromNetwork) == .dropped(entering: .invalidSource))
    }

    @Test(
        "One that a pod sends about an answer leaves from the node, and speaks of what the world has sent",
        arguments: Family.allCases, [Talk.tcp, .udp])
    func outgoing(_ family: Family, _ talk: Talk) throws {
        let gate = try Gate(family, talk)
        let (pod, port) = try opened(gate)
        let got = talk.back(on: Packet.raw.ip(from: gate.world, to: pod[family]), from: Gate.port, to: Gate.podPort)
        let came = talk.back(on: Packet.raw.ip(from: gate.world, to: gate.node), from: Gate.port, to: port)
        #expect(
            try gate.datapath.run(
                pod.sends(to: gate.world).icmpError(.portUnreachable, quoting: got), on: .fromPod(pod)) == .passed)
        // The node is a router in between for too large a packet; of others the network may take nothing from it.
        for sender in [pod[family], gate.node, Reporter.router(family)] {
            func report(_ quoted: Packet, from source: IPAddress) -> Packet {
                Packet.ethernet(from: Edge.uplink, to: Edge.router).ip(from: source, to: gate.world)
                    .icmpError(.portUnreachable, quoting: quoted)
            }
            #expect(try gate.datapath.run(report(got, from: sender), on: .toNetwork) == .passed)
            #expect(gate.datapath.output == report(came.withChecksum(of: got), from: gate.node).bytes)
        }
    }
}
