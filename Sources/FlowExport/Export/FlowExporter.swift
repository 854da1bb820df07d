public import Flows

/// Reads flows from the hub's store, has a format make records of them and a sink deliver these.
///
/// It holds no queue but the records at hand: an output that is slow, or fails, makes it read later, and what the store
/// has overwritten by then is counted. So it delays neither the collector nor another reader, whatever happens.
public struct FlowExporter<Format: FlowFormat, Sink: FlowSink>: Sendable {
    private let hub: FlowHub
    private let format: Format
    private let sink: Sink
    private let counters: ExportCounters
    private let settings: ExportSettings

    public init(
        _ hub: FlowHub, format: Format, sink: Sink, counters: ExportCounters, settings: ExportSettings
    ) {
        self.hub = hub
        self.format = format
        self.sink = sink
        self.counters = counters
        self.settings = settings
    }

    /// Exports until the task is cancelled or the hub has finished; then what is left, as far as the output takes it.
    public func run() async {
        var format = format
        var position = FlowPosition()
        var goesOn = true
        while goesOn, !Task.isCancelled {
            let isReady = format.begin()
            if isReady, format.isIdle { position = hub.end }
            guard isReady, !format.isIdle else {
                try? await Task.sleep(for: settings.pause)
                continue
            }
            var output = ExportOutput()
            let isBehind = take(from: &position, &format, &output)
            format.ripen(now: settings.now(), into: &output)
            guard await deliver(output) else { return }
            if isBehind { continue }
            goesOn = await wait(for: position.sequence, due: format.due)
            if goesOn, settings.gather > .zero { try? await Task.sleep(for: settings.gather) }
        }
        await finish(&format, &position)
    }

    /// Takes a batch of flows; returns whether there may be more.
    private func take(
        from position: inout FlowPosition, _ format: inout Format, _ output: inout ExportOutput
    ) -> Bool {
        let flows = hub.since(position, limit: settings.batch)
        let now = settings.now()
        for flow in flows {
            position.pass(flow)
            if let loss = flow.loss, loss.source == .store { output.dropped[.overwritten, default: 0] += loss.count }
            format.take(flow, now: now, into: &output)
        }
        return flows.count == settings.batch
    }

    /// Waits for flows or for what is due; returns false when no flows will come any more.
    private func wait(for sequence: UInt64, due: UInt64?) async -> Bool {
        guard let due else { return await hub.waits(for: sequence) }
        let now = settings.now()
        let pause = Duration.nanoseconds(due > now ? Int64(clamping: due - now) : 0)
        let hub = hub
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask { await hub.waits(for: sequence) }
            group.addTask {
                try? await Task.sleep(for: pause)
                return true
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    /// Delivers records, however often that takes. Returns whether it did: false when the task was cancelled before.
    private func deliver(_ output: ExportOutput) async -> Bool {
        for (reason, count) in output.dropped { counters.dropped(count, reason) }
        var rest = output.records[...]
        var failures = 0
        while !rest.isEmpty {
            let delivery = await sink.deliver(Array(rest))
            counters.delivered(rest.prefix(delivery.delivered))
            rest = rest.dropFirst(delivery.delivered)
            if counters.note(delivery.problem) { settings.announce(delivery.problem) }
            guard let problem = delivery.problem else { continue }
            if Task.isCancelled, !problem.isFinal { return false }
            failures = delivery.delivered > 0 || problem.isFinal ? 0 : failures + 1
            if problem.isFinal {
                counters.dropped(rest.reduce(0) { $0 + $1.events }, .refused)
                rest = []
            }
            try? await Task.sleep(for: settings.pause(after: problem, failures: failures))
        }
        return true
    }

    /// What came before the end, and what waits to be told.
    private func finish(_ format: inout Format, _ position: inout FlowPosition) async {
        guard format.begin(), !format.isIdle else { return }
        var isBehind = true
        while isBehind {
            var output = ExportOutput()
            isBehind = take(from: &position, &format, &output)
            if !isBehind { format.finish(into: &output) }
            guard await deliver(output) else { return }
        }
    }
}

/// How an exporter works, apart from what it exports.
public struct ExportSettings: Sendable {
    /// Nanoseconds of a clock that does not jump.
    public var now: @Sendable () -> UInt64
    /// Is told when deliveries begin to fail, with the problem, and when they work again, with nil.
    public var announce: @Sendable (DeliveryProblem?) -> Void = { _ in }
    /// A number from 0 to 1, so that the exporters of many nodes don't come in step.
    public var random: @Sendable () -> Double = { Double.random(in: 0..<1) }
    /// Flows taken at once: the store is locked meanwhile.
    public var batch = 256
    /// How often a format is asked whether it wants flows by now.
    public var pause: Duration = .milliseconds(100)
    /// The pause after the first failure; it doubles with each up to the longest.
    public var firstRetry: Duration = .milliseconds(500)
    public var longestRetry: Duration = .seconds(30)
    /// How long an exporter that has caught up waits for more, so that a delivery has more than one record.
    public var gather: Duration = .zero

    public init(now: @escaping @Sendable () -> UInt64) { self.now = now }

    /// The pause after a problem that came so often in a row: a receiver that wants to be left alone is.
    package func pause(after problem: DeliveryProblem, failures: Int) -> Duration {
        max(problem.retryAfter ?? .zero, backoff(failures))
    }

    /// The pause after so many failures in a row, shortened by up to a half by chance.
    private func backoff(_ failures: Int) -> Duration {
        let doubled = firstRetry * (1 << min(max(failures - 1, 0), 16))
        return min(doubled, longestRetry) * (0.5 + 0.5 * random())
    }
}
