internal import PrometheusText
internal import Synchronization

/// What became of writes to the API server.
final class ReportCounters: Sendable {
    /// What is written.
    enum Subject: String, Sendable, Hashable, CaseIterable {
        case event
        case nodeStatus = "node_status"
    }

    private struct Counts: Sendable {
        var written: [Subject: UInt64] = [:]
        var failed: [Subject: UInt64] = [:]
        var suppressed: UInt64 = 0
    }

    private let state = Mutex(Counts())

    func note(_ subject: Subject, succeeded: Bool) {
        state.withLock { counts in
            if succeeded { counts.written[subject, default: 0] += 1 } else { counts.failed[subject, default: 0] += 1 }
        }
    }

    func note(suppressed: UInt64) { state.withLock { $0.suppressed = suppressed } }

    var families: [MetricFamily] {
        let counts = state.withLock { $0 }
        var written = MetricFamily("apus_api_writes_total", .counter, "What was written to the API server.")
        var failed = MetricFamily(
            "apus_api_write_failures_total", .counter, "What could not be written to the API server.")
        for subject in Subject.allCases {
            let label = [MetricLabel("what", subject.rawValue)]
            written.add(.count(counts.written[subject] ?? 0), label)
            failed.add(.count(counts.failed[subject] ?? 0), label)
        }
        let suppressed = MetricFamily(
            "apus_events_suppressed_total", .counter, "Events that were not written because there are too many.",
            [MetricSample(.count(counts.suppressed))])
        return [written, failed, suppressed]
    }
}
