import Addressing
import FlowExport
import Flows
import Synchronization
import TestSupport
import Testing

/// A sink that keeps what it gets, and fails when it is told to.
private final class TestSink: FlowSink {
    private struct State {
        var texts: [String] = []
        var problems: [DeliveryProblem] = []
        var attempts = 0
        var isStuck = false
    }

    private let state = Mutex(State())

    /// - Parameter problems: what goes wrong first, one delivery after the other.
    init(_ problems: [DeliveryProblem] = [], isStuck: Bool = false) {
        state.withLock { ($0.problems, $0.isStuck) = (problems, isStuck) }
    }

    var texts: [String] { state.withLock { $0.texts } }
    var attempts: Int { state.withLock { $0.attempts } }

    func free() { state.withLock { $0.isStuck = false } }

    func deliver(_ records: [ExportRecord]) async -> Delivery {
        while state.withLock(\.isStuck), !Task.isCancelled { try? await Task.sleep(for: .milliseconds(5)) }
        return state.withLock { state in
            state.attempts += 1
            if let problem = state.problems.first {
                state.problems.removeFirst()
                return Delivery(delivered: 0, problem: problem)
            }
            state.texts += records.map { String(decoding: $0.bytes, as: UTF8.self) }
            return Delivery(delivered: records.count)
        }
    }
}

/// Writes the number of each flow with the name of its source, and tells losses.
private struct PlainFormat: FlowFormat {
    mutating func take(_ flow: Flow, now: UInt64, into output: inout ExportOutput) {
        if let loss = flow.loss { return output.records.append(ExportRecord("lost \(loss.count)".utf8, events: 0)) }
        output.records.append(ExportRecord("\(flow.tuple.destination.port) \(flow.source)".utf8))
    }
}

@Suite("An exporter of flows")
struct FlowExporterTests {
    private static let front = Pod("front-1", "10.1.0.1", node: "node-a").peer

    private static func flows(_ ports: some Sequence<Int>) -> [Flow] {
        ports.map { flow(.opened, front, front, port: UInt16($0)) }
    }

    private static func settings(batch: Int = 256) -> ExportSettings {
        var settings = ExportSettings { 0 }
        (settings.firstRetry, settings.batch) = (.milliseconds(1), batch)
        return settings
    }

    private static func counters() -> ExportCounters {
        ExportCounters(losses: [.overwritten, .refused], operations: ["send"])
    }

    @Test("delivers all flows with their names in order, those from before its start too")
    func order() async throws {
        let (hub, sink, counters) = (FlowHub(capacity: 1000), TestSink(), Self.counters())
        hub.append(Self.flows(1...10))
        let exporter = FlowExporter(
            hub, format: PlainFormat(), sink: sink, counters: counters, settings: Self.settings(batch: 7))
        async let end: Void = exporter.run()
        try await eventually("the first flows") { sink.texts.count == 10 }
        for port in 11...100 { hub.append(Self.flows([port])) }
        hub.finish()
        await end
        #expect(sink.texts == (1...100).map { "\($0) shop/front-1" })
        #expect(counters.current.events == 100 && counters.current.records == 100)
    }

    @Test("a stuck output delays nobody, and what it missed is counted and told once it goes on")
    func slow() async throws {
        let (hub, sink, counters) = (FlowHub(capacity: 50), TestSink(isStuck: true), Self.counters())
        let exporter = FlowExporter(
            hub, format: PlainFormat(), sink: sink, counters: counters, settings: Self.settings())
        async let end: Void = exporter.run()
        hub.append(Self.flows([1]))
        for port in 2...200 { hub.append(Self.flows([port])) }
        #expect(hub.statistics.appended == 200)
        sink.free()
        hub.finish()
        await end
        let counts = counters.current
        #expect(counts.events + (counts.dropped[.overwritten] ?? 0) == 200)
        #expect(counts.events >= 50 && sink.texts.last == "200 shop/front-1")
        #expect(sink.texts.contains("lost \(counts.dropped[.overwritten] ?? 0)"))
    }

    @Test("what failed is tried again, told once, and neither lost nor doubled")
    func failing() async throws {
        let problem = DeliveryProblem(operation: "send", text: "nobody is there")
        let (hub, sink, counters) = (FlowHub(capacity: 50), TestSink([problem, problem, problem]), Self.counters())
        let told = Mutex<[String?]>([])
        var settings = Self.settings()
        settings.announce = { problem in told.withLock { $0.append(problem?.text) } }
        hub.append(Self.flows(1...5))
        hub.finish()
        await FlowExporter(hub, format: PlainFormat(), sink: sink, counters: counters, settings: settings).run()
        #expect(sink.texts == (1...5).map { "\($0) shop/front-1" } && sink.attempts == 4)
        #expect(told.withLock { $0 } == ["nobody is there", nil])
        #expect(counters.current.failures == ["send": 3] && !counters.current.isFailing)
    }

    @Test("what the receiver refuses for good is counted as dropped")
    func refused() async throws {
        let problem = DeliveryProblem(operation: "send", text: "no", isFinal: true)
        let (hub, sink, counters) = (FlowHub(capacity: 50), TestSink([problem]), Self.counters())
        hub.append(Self.flows(1...5))
        hub.finish()
        await FlowExporter(hub, format: PlainFormat(), sink: sink, counters: counters, settings: Self.settings()).run()
        #expect(sink.texts == [] && counters.current.dropped[.refused] == 5 && counters.current.isFailing)
    }

    @Test("what wants no flows leaves them unread, and gets those from then on when it does")
    func idle() async throws {
        // More than are appended until the exporter reads: which of those are lost is no question here.
        let (hub, sink, counters) = (FlowHub(capacity: 100_000), TestSink(), Self.counters())
        let choice = Mutex(PolicyLogChoice())
        let asked = Mutex(0)
        let format = PolicyLogFormat {
            asked.withLock { $0 += 1 }
            return choice.withLock { $0 }
        }
        var settings = Self.settings()
        settings.pause = .milliseconds(1)
        let exporter = FlowExporter(hub, format: format, sink: sink, counters: counters, settings: settings)
        let allowed = flow(.opened, Self.front, Self.front) {
            $0.egressRule = RuleReference("NetworkPolicy/shop/out/egress/0")
        }
        for _ in 0..<200 { hub.append(allowed) }
        let running = Task { await exporter.run() }
        try await eventually("it to find nothing wanted") { asked.withLock { $0 } >= 2 }
        choice.withLock { $0.allow = .all }
        try await eventually("the log to be written") {
            hub.append(allowed)
            return !sink.texts.isEmpty
        }
        running.cancel()
        await running.value
        #expect(counters.current.dropped[.overwritten] == 0)
    }

    @Test("one that gathers delivers together what comes meanwhile, and does not hold it back at the end")
    func gathering() async throws {
        let (hub, sink, counters) = (FlowHub(capacity: 50), TestSink(), Self.counters())
        var settings = Self.settings()
        settings.gather = .seconds(3600)
        hub.append(Self.flows([1]))
        let exporter = FlowExporter(
            hub, format: PlainFormat(), sink: sink, counters: counters, settings: settings)
        let running = Task { await exporter.run() }
        try await eventually("the first flow") { sink.texts.count == 1 }
        for port in 2...5 { hub.append(Self.flows([port])) }
        running.cancel()
        await running.value
        #expect(sink.texts == (1...5).map { "\($0) shop/front-1" } && sink.attempts == 2)
    }
}
