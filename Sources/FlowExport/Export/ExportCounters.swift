public import PrometheusText
internal import Synchronization

/// What one exporter has done, shared by it and those who ask.
public final class ExportCounters: Sendable {
    /// The counts at one time.
    public struct Counts: Sendable, Equatable {
        /// Records that were delivered, and the events that they stand for.
        public var records: UInt64 = 0
        public var events: UInt64 = 0
        /// Events that were to be exported and were not.
        public var dropped: [ExportLoss: UInt64]
        /// Deliveries that failed, by what failed; they were tried again unless the records were refused.
        public var failures: [String: UInt64]
        /// Whether the last delivery failed.
        public var isFailing = false
    }

    private let counts: Mutex<Counts>

    /// Counters at zero, also those of what has not happened yet: alerts ask for a rise.
    ///
    /// - Parameters:
    ///   - losses: why events of this exporter can be dropped.
    ///   - operations: what can fail.
    public init(losses: [ExportLoss], operations: [String]) {
        counts = Mutex(
            Counts(
                dropped: Dictionary(uniqueKeysWithValues: losses.map { ($0, 0) }),
                failures: Dictionary(uniqueKeysWithValues: operations.map { ($0, 0) })))
    }

    public var current: Counts { counts.withLock { $0 } }

    package func delivered(_ records: some Collection<ExportRecord>) {
        counts.withLock { counts in
            counts.records += UInt64(records.count)
            for record in records { counts.events += record.events }
        }
    }

    package func dropped(_ events: UInt64, _ reason: ExportLoss) {
        counts.withLock { $0.dropped[reason, default: 0] += events }
    }

    /// Notes how a delivery went; returns whether that is news.
    package func note(_ problem: DeliveryProblem?) -> Bool {
        counts.withLock { counts in
            if let problem { counts.failures[problem.operation, default: 0] += 1 }
            defer { counts.isFailing = problem != nil }
            return counts.isFailing != (problem != nil)
        }
    }

    /// What was counted, as metrics.
    ///
    /// - Parameters:
    ///   - prefix: how their names begin, as `apus_export_`.
    ///   - labels: what tells this exporter from others with the same prefix.
    public func families(prefix: String, _ labels: [MetricLabel] = []) -> [MetricFamily] {
        let counts = current
        var dropped = MetricFamily(
            "\(prefix)dropped_events_total", .counter, "Events that were to be exported and were not, by why.")
        for (reason, count) in counts.dropped.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            dropped.add(.count(count), labels + [MetricLabel("reason", reason.rawValue)])
        }
        var failures = MetricFamily(
            "\(prefix)failures_total", .counter, "Deliveries of records that failed, by what failed.")
        for (operation, count) in counts.failures.sorted(by: { $0.key < $1.key }) {
            failures.add(.count(count), labels + [MetricLabel("operation", operation)])
        }
        return [
            MetricFamily(
                "\(prefix)records_total", .counter, "Records that were delivered.",
                [MetricSample(.count(counts.records), labels)]),
            MetricFamily(
                "\(prefix)events_total", .counter, "Events that the delivered records stand for.",
                [MetricSample(.count(counts.events), labels)]),
            dropped, failures,
            MetricFamily(
                "\(prefix)failing", .gauge, "Whether the last delivery failed, so that records wait.",
                [MetricSample(.flag(counts.isFailing), labels)]),
        ]
    }
}
