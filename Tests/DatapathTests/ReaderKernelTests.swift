import Addressing
@testable import Datapath
import LoadBalancing
import NetworkPolicy
import Testing

/// The reader against what the data path itself pins.
@Suite struct ReaderKernelTests {
    private func load(_ maps: ReaderMaps, _ edits: [DatapathEdit]) throws -> DatapathKernel {
        let capacities = TableCapacities(
            endpoints: 16, services: 16, slots: 64, backends: 64, peerClasses: 16, peerPrefixes: 16, policyEntries: 64,
            names: 64, connections: 1024, halfOpen: 1024, eventBytes: 65536)
        var kernel = try DatapathKernel(DatapathOptions(bpffs: maps.bpffs, capacities: capacities))
        var tables = DatapathTables(node: "worker-1", startedAt: 5, capacities: capacities)
        tables.apply(edits)
        let report = tables.program(into: &kernel, now: 1)
        #expect(report.problems.isEmpty)
        try kernel.activate()
        return kernel
    }

    @Test("What the tables program is what the reader finds")
    func roundTrip() throws {
        let maps = try ReaderMaps(without: Set(PinnedMap.allCases))
        let kernel = try load(maps, [service(1, 1...3), service(2, []), .endpoint(.upsert(endpoint(4)))])
        let reader = try DatapathReader(bpffs: maps.bpffs)
        #expect(try reader.info().node == "worker-1")
        let services = try reader.services()
        #expect(services.map(\.frontend.address) == [frontend(1).address, frontend(2).address])
        #expect(services.first?.name?.description == "shop/s1:http")
        #expect(services.map { Set($0.backends) } == [Set((1...3).map { backend($0).address }), []])
        let endpoints = try reader.endpoints()
        #expect(endpoints.map(\.name?.description) == ["shop/p4"])
        #expect(endpoints.first?.interface == 104)
        #expect(try reader.drops().allSatisfy { $0.dropped == TrafficCount() })
        #expect(try reader.history(last: 5).isEmpty)
        #expect(kernel.capacities.endpoints == 16)
    }

    @Test("Every map that is documented is pinned, and can be listed and dumped")
    func everyMap() throws {
        let maps = try ReaderMaps(without: Set(PinnedMap.allCases))
        let kernel = try load(maps, [service(1, 1...3)])
        let reader = try DatapathReader(bpffs: maps.bpffs)
        #expect(try reader.maps().map(\.name) == PinnedMap.allCases.map(\.rawValue))
        for map in PinnedMap.allCases where ![.socketTranslations, .connectedSockets].contains(map) {
            _ = try reader.dump(map: map.rawValue)
        }
        var scanner = try ConnectionScanner(bpffs: maps.bpffs, timeouts: kernel.options.timeouts)
        #expect(try scanner.scan(now: 1) { _ in }.established == 0)
    }
}
