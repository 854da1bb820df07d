import BPF
import Datapath
import DatapathABI
import FlowExport
import Flows
import PolicyGenerators
import TestSupport
import Testing

@testable import Agent
@testable import ApusCLI

/// Bytes in the rings that are no records: as another version of the programs would write, or a broken one.
@Suite(.serialized) struct BrokenRecordTests {
    private static let eventLength = MemoryLayout<apus_event>.size
    private static let answerLength = MemoryLayout<apus_answer_event>.size

    @Test(arguments: [("events", eventLength), ("dns_answers", answerLength)])
    func randomAndTruncatedRecordsAreCountedAndWhatFollowsIsTold(ring: String, length: Int) async throws {
        let node = try FloodNode { $0.capacities.eventBytes = 1 << 20 }
        let lengths = [1, 8, length - 1, length, length + 1, 2 * length]
        let seed = UInt64.random(in: 0 ... .max)
        var random = RandomSource(seed: seed)
        for length in lengths {
            try node.write(
                (0..<50).map { _ in (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) } }, to: ring)
        }
        let hub = FlowHub(capacity: 4096)
        let told = try await node.collect(100, into: hub)
        let undecodable = node.evidence.counts.undecodable
        #expect(undecodable >= UInt64(50 * (lengths.count - 1)), "seed \(seed)")
        #expect(
            told.lost == undecodable && told.flows == UInt64(50 * lengths.count) - undecodable + 100, "seed \(seed)")
        #expect(hub.statistics.lostInCollector == undecodable && hub.statistics.lostInKernel == 0)
        try Self.tellInEveryForm(hub.last(.max))
    }

    /// What makes sense by chance has values that nothing else has: no form may fall over them.
    private static func tellInEveryForm(_ flows: [Flow]) throws {
        var everything = PolicyLogChoice()
        (everything.allow, everything.deny) = (.all, .all)
        let all = everything
        var formats: [any FlowFormat] = [
            HubbleFormat(FlowChoice(), node: "node-a", version: "1.2.3", started: 0),
            OTLPLogFormat(FlowChoice(), node: "node-a", version: "1.2.3", started: 0),
            PolicyLogFormat(PolicyLogFormat.Limits()) { all },
        ]
        var output = ExportOutput()
        for index in formats.indices {
            for flow in flows { formats[index].take(flow, now: 0, into: &output) }
            formats[index].finish(into: &output)
        }
        #expect(output.records.count >= 2 * flows.count)
        var tally = FlowTally(by: .pod, window: nil)
        for flow in flows {
            tally.add(flow)
            #expect(!FlowText().line(flow).isEmpty)
            _ = try FlowJSON.line(flow)
        }
        for row in tally.rows(now: nil) { _ = TopRow(row.name, row.sums) }
    }
}

extension FloodNode {
    /// Writes records of one length into a ring, as a program does.
    func write(_ records: [[UInt8]], to ring: String) throws {
        guard let length = records.first?.count else { return }
        let shape = BPFMapShape(type: .array, keySize: 4, valueSize: length, maxEntries: 1)
        let source = try BPFMap.create(shape, name: "records")
        let target = try map(ring)
        let writer = try BPFProgram.load(
            .classifier, instructions: Self.copy(source, target, length: length), name: "write_records")
        for record in records {
            try withUnsafeBytes(of: UInt32(0)) { try source.update($0.bytes, record.span.bytes) }
            _ = try writer.testRun(packet: [UInt8](repeating: 0, count: 64))
        }
    }

    /// `if (record = lookup(source, 0)) bpf_ringbuf_output(ring, record, length, BPF_RB_NO_WAKEUP)`; the numbers are those
    /// of Documentation/bpf/standardization.
    private static func copy(_ source: borrowing BPFMap, _ ring: borrowing BPFMap, length: Int) -> [BPFInstruction] {
        let lookUp = [
            BPFInstruction(0x62, destination: 10, offset: -4, immediate: 0),
            BPFInstruction(0xbf, destination: 2, source: 10), BPFInstruction(0x07, destination: 2, immediate: -4),
        ]
        let orLeave = [
            BPFInstruction(0x85, immediate: 1), BPFInstruction(0x55, offset: 1), BPFInstruction(0x95),
            BPFInstruction(0xbf, destination: 2, source: 0),
        ]
        let output = [
            BPFInstruction(0xb7, destination: 3, immediate: Int32(length)),
            BPFInstruction(0xb7, destination: 4, immediate: 1), BPFInstruction(0x85, immediate: 130),
            BPFInstruction(0xb7), BPFInstruction(0x95),
        ]
        return lookUp + source.loadAddress(into: 1) + orLeave + ring.loadAddress(into: 1) + output
    }
}
