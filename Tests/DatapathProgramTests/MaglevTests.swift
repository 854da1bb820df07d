internal import Addressing
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Backends by a table of places, for clients outside")
struct MaglevTests {
    private static let ports = 40000..<40256 as Range<Port>

    /// The address of the backend that each of many clients' ports is led to, on a node that has the pods.
    private static func led(_ family: Family, _ transport: Transport, table: [Int], pods: Int = 4) throws -> [IPAddress]
    {
        let edge = try Edge(family, transport)
        let backends = (1...pods).map { ip(family == .v4 ? "10.244.9.\($0)" : "fd00:9::\($0)") }
        try edge.datapath.addService(
            SocketAddress(edge.node, Edge.nodePort), transport.number, to: backends.map { SocketAddress($0, 8080) },
            kind: .APUS_SERVICE_NODE_PORT, table: table)
        return try ports.map { port in
            let packet = edge.arriving(from: nil, port, to: nil, Edge.nodePort)
            #expect(try edge.datapath.run(packet, on: .fromNetwork) == .passed)
            return try #require(edge.datapath.outputView?.destination)
        }
    }

    /// As a table of backends has its places, in equal shares.
    private static let table = (0..<61).map { $0 * 7 % 4 }

    @Test("Every node leads a connection to the same one", arguments: Family.allCases, Transport.allCases)
    func sameEverywhere(_ family: Family, _ transport: Transport) throws {
        let led = try Self.led(family, transport, table: Self.table)
        #expect(try Self.led(family, transport, table: Self.table) == led)
        let shares = Dictionary(grouping: led, by: { $0 }).mapValues(\.count)
        #expect(shares.count == 4 && shares.values.allSatisfy { (32...96).contains($0) }, "\(shares)")
    }

    @Test("Places that stay lead where they led", arguments: Family.allCases)
    func stays(_ family: Family) throws {
        let before = try Self.led(family, .tcp, table: Self.table)
        // The last backend has gone, and its places are others' now.
        let after = try Self.led(family, .tcp, table: Self.table.map { $0 == 3 ? 1 : $0 }, pods: 3)
        let gone = ip(family == .v4 ? "10.244.9.4" : "fd00:9::4")
        for (old, new) in zip(before, after) where old != gone { #expect(old == new) }
    }

    @Test("Session affinity comes before the table", arguments: Family.allCases)
    func affinity(_ family: Family) throws {
        let edge = try Edge(family)
        let backends = (1...4).map { SocketAddress(ip(family == .v4 ? "10.244.9.\($0)" : "fd00:9::\($0)"), 8080) }
        try edge.datapath.addService(
            SocketAddress(edge.node, Edge.nodePort), to: backends, kind: .APUS_SERVICE_NODE_PORT, affinity: 9,
            table: Self.table)
        var seen: Set<IPAddress> = []
        for port in Self.ports.prefix(32) {
            #expect(try edge.datapath.run(edge.arriving(from: nil, port), on: .fromNetwork) == .passed)
            if let address = edge.datapath.outputView?.destination { seen.insert(address) }
        }
        #expect(seen.count == 1)
    }
}
