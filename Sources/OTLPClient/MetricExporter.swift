public import FlowExport

/// Reads metrics at an interval and has them delivered. What could not be by the time of the next reading is left for
/// that: it has the newer numbers.
public struct MetricExporter<Sink: FlowSink>: Sendable {
    private let interval: Duration
    private let sink: Sink
    private let counters: ExportCounters
    private let settings: ExportSettings
    private let record: @Sendable () async -> ExportRecord

    /// - Parameters:
    ///   - record: reads all metrics, as one record.
    public init(
        every interval: Duration, sink: Sink, counters: ExportCounters, settings: ExportSettings,
        record: @escaping @Sendable () async -> ExportRecord
    ) {
        (self.interval, self.sink, self.counters) = (interval, sink, counters)
        (self.settings, self.record) = (settings, record)
    }

    /// Exports until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            let next = settings.now() + interval.nanoseconds
            let pause = await deliver(await record(), before: next)
            let now = settings.now()
            let rest = Duration.nanoseconds(next > now ? Int64(clamping: next - now) : 0)
            try? await Task.sleep(for: max(rest, pause))
        }
    }

    /// Tries until the next reading is due; returns how long the collector is to be left alone.
    private func deliver(_ record: ExportRecord, before next: UInt64) async -> Duration {
        var failures = 0
        while true {
            let delivery = await sink.deliver([record])
            if counters.note(delivery.problem) { settings.announce(delivery.problem) }
            guard let problem = delivery.problem else {
                counters.delivered([record])
                return .zero
            }
            if problem.isFinal {
                let taken = min(UInt64(clamping: delivery.delivered), record.events)
                if taken > 0 { counters.delivered([ExportRecord(record.bytes, events: taken)]) }
                counters.dropped(record.events - taken, .refused)
                return .zero
            }
            failures += 1
            let pause = settings.pause(after: problem, failures: failures)
            if Task.isCancelled || settings.now() + pause.nanoseconds >= next {
                counters.dropped(record.events, .superseded)
                return pause
            }
            try? await Task.sleep(for: pause)
        }
    }
}

extension Duration {
    /// A duration of less than 500 years in nanoseconds; 0 for one that is negative.
    fileprivate var nanoseconds: UInt64 {
        UInt64(max(0, components.seconds)) * 1_000_000_000 + UInt64(max(0, components.attoseconds)) / 1_000_000_000
    }
}
