internal import Addressing
internal import DatapathABI
internal import PolicyGenerators
internal import TestSupport
internal import Testing

@Suite("What random pods send to the world, by few ports")
struct MasqueradeRandomTests {
    private static let seeds = withFreshSeed([1, 2], of: "MasqueradeRandomTests")

    private struct Connection: Hashable {
        var pod: Int
        var port: Port
        var world: IPAddress
    }

    @Test(
        "Whoever has a port has it alone, and gets every answer",
        arguments: seeds, Family.allCases.flatMap { family in Talk.allCases.map { (family, $0) } })
    func alone(seed: UInt64, kind: (family: Family, talk: Talk)) throws {
        var random = RandomSource(seed: seed)
        let gate = try Gate(kind.family, kind.talk) { $0.source_port_count = 16 }
        for _ in 0..<3 { try gate.datapath.addPod() }
        let worlds = kind.family == .v4 ? [ip("1.2.3.4"), ip("1.2.3.5")] : [ip("2a00::4"), ip("2a00::5")]
        var ports: [Connection: Port] = [:]
        var failures = 0
        for _ in 0..<400 {
            let connection = Connection(
                pod: Int.random(in: 0..<3, using: &random), port: .random(in: 40000..<40010, using: &random),
                world: worlds[Int.random(in: 0..<2, using: &random)])
            let ends = kind.talk.hasEnd && ports[connection] != nil && Int.random(in: 0..<3, using: &random) == 0
            let flags: TCPFlags = ends ? .rst : ports[connection] == nil ? .syn : .ack
            let pod = gate.datapath.pods[connection.pod]
            guard try gate.send(pod, connection.port, to: connection.world, flags) == .passed else {
                #expect(ports[connection] == nil, "who has a port keeps it: \(connection)")
                failures += 1
                continue
            }
            let port = try #require(try gate.port(of: pod, connection.port, to: connection.world))
            #expect(ports[connection] ?? port == port, "\(connection)")
            ports[connection] = ends ? nil : port
            let sharing = ports.filter { $0.value == port && $0.key.world == connection.world }.keys
            #expect(sharing.allSatisfy { $0 == connection }, "\(connection) and \(sharing)")
            if !ends { try expectAnswer(gate, connection, port) }
        }
        #expect(!ports.isEmpty && (kind.talk.hasEnd || failures > 0))
    }

    private func expectAnswer(_ gate: Gate, _ connection: Connection, _ port: Port) throws {
        let answer = gate.arriving(from: connection.world, to: gate.node, port)
        #expect(try gate.datapath.run(answer, on: .fromNetwork) == .delivered)
        let pod = gate.datapath.pods[connection.pod]
        #expect(gate.datapath.output == gate.received(pod, connection.port, from: connection.world).bytes)
    }
}
