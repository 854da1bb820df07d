import Kubernetes
import PrometheusText
import Testing

@testable import Agent

@Suite struct ProgrammingLatencies {
    private static let second: UInt64 = 1_000_000_000
    /// 2026-03-01T10:31:00Z.
    private static let start: UInt64 = 1_772_361_060 * second

    private func slice(_ name: String, _ time: String?) -> ObjectChange {
        let annotations = time.map { [ProgrammingLatency.annotation: $0] } ?? [:]
        return .upsert(
            .endpointSlice(EndpointSlice(meta: ObjectMeta(name: name, namespace: "a", annotations: annotations))))
    }

    @Test func eachSliceCountsFromItsFirstChangeThatIsNotInForce() {
        var latency = ProgrammingLatency(start: Self.start)
        latency.note([slice("one", "2026-03-01T10:31:01Z"), slice("two", "2026-03-01T10:31:02.5Z")])
        latency.note([slice("one", "2026-03-01T10:31:02Z")])
        latency.settle(at: Self.start + 4 * Self.second)
        #expect(latency.histogram.count == 2)
        #expect(latency.histogram.sum == 4.5)
        latency.settle(at: Self.start + 9 * Self.second)
        #expect(latency.histogram.count == 2, "what is in force is not measured again")
    }

    @Test func whatIsOlderThanTheAgentUnknownOrGoneIsNotMeasured() {
        var latency = ProgrammingLatency(start: Self.start)
        latency.note([
            slice("old", "2026-03-01T10:30:59Z"), slice("none", nil), slice("odd", "yesterday"),
            slice("gone", "2026-03-01T10:31:01Z"),
            .upsert(.namespace(Namespace(meta: ObjectMeta(name: "a")))),
        ])
        latency.note([.delete(ObjectKey(.endpointSlice, namespace: "a", name: "gone"))])
        latency.settle(at: Self.start + 4 * Self.second)
        #expect(latency.histogram.count == 0)
    }

    @Test func clocksThatDisagreeCountAsNoTime() {
        var latency = ProgrammingLatency(start: Self.start)
        latency.note([slice("early", "2026-03-01T10:31:09Z")])
        latency.settle(at: Self.start + Self.second)
        #expect(latency.histogram.count == 1 && latency.histogram.sum == 0)
    }
}
