internal import Addressing
internal import BPF
internal import DatapathABI
internal import TestSupport
internal import Testing

@Suite("Load balancers for some clients only, packet by packet")
struct SourceRangeTests {
    private static func edge(_ family: Family, _ limits: [String], backends: Int = 1) throws -> Edge {
        let edge = try Edge(family)
        try edge.expose(
            (0..<backends).map { _ in edge.remote }, at: family.virtual, kind: .APUS_SERVICE_LOAD_BALANCER,
            limits: limits.compactMap { CIDR($0) })
        return edge
    }

    private static func ranges(_ family: Family) -> (its: String, others: String) {
        family == .v4 ? ("203.0.113.0/24", "198.51.100.0/24") : ("2001:db8::/64", "2001:db8:ffff::/64")
    }

    @Test("A client outside of all ranges is dropped, for a reason of its own", arguments: Family.allCases)
    func outside(_ family: Family) throws {
        let ranges = Self.ranges(family)
        let cases: [([String], Fate)] = [
            ([ranges.others], .dropped(entering: .sourceRange)), ([ranges.its], .passed),
            ([ranges.others, ranges.its], .passed), (["\(family.outside)/\(family == .v4 ? 32 : 128)"], .passed),
            ([family == .v4 ? "0.0.0.0/0" : "::/0"], .passed), ([], .passed),
        ]
        for (limits, fate) in cases {
            let edge = try Self.edge(family, limits)
            let request = edge.arriving(from: nil, Edge.clientPort, to: family.virtual)
            #expect(try edge.datapath.run(request, on: .fromNetwork) == fate, "\(limits)")
            #expect((edge.datapath.output == request.bytes) == (fate != .passed), "\(limits)")
        }
    }

    @Test("Pods are clients by their address", arguments: Family.allCases)
    func pods(_ family: Family) throws {
        let edge = try Self.edge(family, [family == .v4 ? "10.244.1.2/32" : "fd00::2/128"])
        let (first, second) = (try edge.datapath.addPod(), try edge.datapath.addPod())
        for (pod, fate) in [(first, Fate.dropped(leaving: .sourceRange)), (second, .passed)] {
            let request = pod.sends(to: family.virtual).tcp(from: 40000, to: Edge.nodePort, flags: .syn)
            #expect(try edge.datapath.run(request, on: .fromPod(pod)) == fate)
        }
        #expect(edge.datapath.outputView?.destination == edge.remote)
    }

    @Test("Without endpoints all are refused", arguments: Family.allCases)
    func noEndpoints(_ family: Family) throws {
        let edge = try Self.edge(family, [Self.ranges(family).others], backends: 0)
        let request = edge.arriving(from: nil, Edge.clientPort, to: family.virtual)
        #expect(try edge.datapath.run(request, on: .fromNetwork) == .delivered)
        #expect(try edge.datapath.drops().keys.map(\.reason) == [.noBackend])
    }

    @Test("A connection outlives the range that it was opened under", arguments: Family.allCases)
    func established(_ family: Family) throws {
        let edge = try Self.edge(family, [Self.ranges(family).its])
        let request = edge.arriving(from: nil, Edge.clientPort, to: family.virtual)
        #expect(try edge.datapath.run(request, on: .fromNetwork) == .passed)
        try edge.datapath.maps.sourceRanges.clear(apus_source_range_key.self)
        let second = edge.arriving(from: nil, Edge.clientPort, to: family.virtual, Edge.nodePort, .ack)
        #expect(try edge.datapath.run(second, on: .fromNetwork) == .passed)
        #expect(edge.datapath.outputView?.destination == edge.remote)
        let other = edge.arriving(from: nil, 40001, to: family.virtual)
        #expect(try edge.datapath.run(other, on: .fromNetwork) == .dropped(entering: .sourceRange))
    }
}
