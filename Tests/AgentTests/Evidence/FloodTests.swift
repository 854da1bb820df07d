import Addressing
import Datapath
import FlowExport
import Flows
import TestSupport
import Testing

@testable import Agent

/// Records that come faster than anybody takes them.
@Suite(.serialized, .timeLimit(.minutes(10))) struct FloodTests {
    @Test func ofAFloodEachRecordIsToldOrCountedWhereItWasLost() async throws {
        let node = try FloodNode()
        // One look brings no more than fits, so who reads after each misses nothing.
        let hub = FlowHub(capacity: Collector.batch + 1)
        let slow = hub.follow(capacity: 64)
        let (sink, losses) = (HeldSink(), ExportCounters(losses: [.overwritten], operations: []))
        let exporter = FlowExporter(
            hub, format: CountFormat(), sink: sink, counters: losses, settings: ExportSettings(now: { 0 }))
        async let export: Void = exporter.run()
        // Each packet has a record of its own; three times what the store holds comes through the ring.
        let told = try await node.collect(50_000, atLeast: 3 * UInt64(Collector.batch + 1), into: hub)
        hub.finish()
        sink.letGo()
        await export

        let counted = try node.counters
        #expect(counted.submitted > 0 && counted.lost > 0, "it was no flood: \(counted)")
        #expect(counted.submitted + counted.lost == told.sent)
        #expect(told.flows == counted.submitted && told.packets == counted.submitted)
        #expect(told.lost == counted.lost && told.overwritten == 0)
        #expect(hub.statistics.lostInKernel == counted.lost)
        #expect(node.metric("hubble_lost_events_total") == counted.lost)

        var (sum, taken) = (UInt64(0), 0)
        for await flow in slow {
            sum += flow.loss?.count ?? 1
            taken += 1
        }
        #expect(sum == told.sent && taken <= 65 && slow.lost == hub.statistics.lostByFollowers)
        #expect(slow.lost > 0)

        #expect(sink.events == told.sent)
        #expect(losses.current.dropped[.overwritten] ?? 0 > 0, "the exporter was quick enough")
        #expect(hub.statistics.stored == Collector.batch + 1)
    }

    @Test func deniedPacketsThatWereEvictedAreCountedAsNeverTold() async throws {
        let node = try FloodNode {
            // What comes after the first one of each port waits for ever.
            $0.denialInterval = 3_600_000_000_000
            $0.capacities.eventBytes = 16 << 20
        }
        let ports = 30_000
        try node.flood(2 * ports, ports: ports)
        let hub = FlowHub(capacity: ports + 1)
        let told = try await node.collect(0, into: hub)
        var worker = try node.worker(hub)
        for _ in 0..<2 {
            if let error = worker.scanIfDue() { throw error }
        }
        #expect(try node.counters.lost == 0)
        let untold = 2 * UInt64(ports) - told.packets - (try node.waitingDenials)
        #expect(untold > 0 && node.evidence.counts.untoldDenials.total == untold)
        #expect(node.evidence.counts.untoldConnections.total == 0)
    }

    @Test func whatWasLostWhileNobodyTookItIsToldByTheNext() async throws {
        let node = try FloodNode()
        try node.flood(10_000)
        for _ in 0..<2 {
            // The second one finds nothing that was not told.
            let hub = FlowHub(capacity: Collector.batch)
            let told = try await node.collect(0, into: hub)
            let counted = try node.counters
            #expect(told.flows + told.lost == (hub.statistics.appended == 0 ? 0 : counted.submitted + counted.lost))
            #expect(node.toldLosses == counted.lost)
        }
    }
}
