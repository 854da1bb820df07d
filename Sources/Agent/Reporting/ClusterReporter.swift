internal import Flows
internal import Kubernetes
internal import KubernetesAPI
internal import LinuxKernel
internal import Logging
internal import ServiceLifecycle

/// Tells the API server what this node's agent has to say: Events about objects that are not in force, and that the
/// node's network is there. Nothing waits for it.
struct ClusterReporter: ServiceLifecycle.Service {
    private static let interval: Duration = .seconds(1)

    let access: ClusterAccess
    let userAgent: String
    let node: String
    let controller: NodeController
    let counters: ReportCounters
    let log: Logger

    func run() async throws {
        try await untilShutdown {
            try await APIWriter.with(access, userAgent: userAgent) { writer in
                var work = Work(reporter: self, writer: writer)
                while !Task.isCancelled {
                    await work.round()
                    try await Task.sleep(for: Self.interval)
                }
            }
        }
    }
}

/// What one run of the reporter keeps.
private struct Work {
    let reporter: ClusterReporter
    let writer: APIWriter
    private var correlator: EventCorrelator
    private var condition = ConditionKeeper()
    /// Whether the last write failed: that is told once.
    private var isFailing = false
    /// Until when the server has asked to be left alone.
    private var heldUntil: UInt64 = 0

    init(reporter: ClusterReporter, writer: APIWriter) {
        self.reporter = reporter
        self.writer = writer
        correlator = EventCorrelator(node: reporter.node)
    }

    mutating func round() async {
        let now = KernelClock.realtime()
        guard now >= heldUntil else { return }
        let found = await reporter.controller.findings()
        await keepCondition(found, now)
        let writes = correlator.update(
            found.problems, subject: { found.subjects[$0] }, now: now, time: Self.text(now))
        for write in writes { await perform(write, now) }
        reporter.counters.note(suppressed: correlator.suppressed)
    }

    private mutating func keepCondition(_ found: NodeFindings, _ now: UInt64) async {
        guard
            condition.isDue(
                isInForce: found.isInForce, isKnown: found.nodeIsKnown, isUnavailable: found.networkIsUnavailable,
                now: now)
        else { return }
        let wanted = NodeCondition(
            type: ConditionKeeper.type, isTrue: false, reason: "ApusIsInForce",
            message: "the data path of Apus is in force on this node", time: Self.text(now))
        let isWritten = await succeeds(.nodeStatus, now) { [writer, reporter] () async throws(APIWriteError) in
            try await writer.set(wanted, ofNode: reporter.node)
        }
        if isWritten { condition.noteSuccess(at: now) } else { condition.noteFailure(at: now) }
    }

    private mutating func perform(_ write: EventCorrelator.Write, _ now: UInt64) async {
        let isWritten = await succeeds(.event, now) { [writer] () async throws(APIWriteError) in
            switch write {
            case .create(let event): try await writer.create(event)
            case .update(let event):
                do throws(APIWriteError) { try await writer.update(event) } catch  where error.code == 404 {
                    // The API server has forgotten it, as it does after a while.
                    try await writer.create(event)
                }
            }
        }
        if !isWritten { correlator.failed(write, now: now) }
    }

    /// Writes, counts, and says once when that begins to fail and when it works again. Once the server has asked to be
    /// left alone, nothing more is written in that round.
    private mutating func succeeds(
        _ subject: ReportCounters.Subject, _ now: UInt64, _ body: () async throws(APIWriteError) -> Void
    ) async -> Bool {
        if now < heldUntil { return false }
        do throws(APIWriteError) { try await body() } catch {
            reporter.counters.note(subject, succeeded: false)
            heldUntil = now + UInt64(error.retryAfter ?? 0) * 1_000_000_000
            if !isFailing {
                reporter.log.warning(
                    "The API server does not take what this agent reports; the data path does not need it",
                    metadata: ["what": "\(subject.rawValue)", "error": "\(error)"])
            }
            isFailing = true
            return false
        }
        reporter.counters.note(subject, succeeded: true)
        if isFailing { reporter.log.info("The API server takes what this agent reports again") }
        isFailing = false
        return true
    }

    /// RFC 3339, to the second, as the API has times.
    private static func text(_ time: UInt64) -> String { Timestamp.text(time).prefix(19) + "Z" }
}
