internal import FlowExport
internal import Flows
internal import LinuxKernel
internal import Logging
internal import PrometheusText
internal import ServiceLifecycle

/// The exporters that the configuration asks for, with what they count.
struct Exports: Sendable {
    /// One exporter: what it is called in logs and metrics, what it counts, and its work.
    private struct Running: Sendable {
        let name: String
        let prefix: String
        let labels: [MetricLabel]
        let counters: ExportCounters
        let run: @Sendable () async -> Void
    }

    private var running: [Running] = []
    private let policyLog: PolicyLogSettings
    private let hub: FlowHub
    private let log: Logger

    init(_ configuration: AgentConfiguration, hub: FlowHub, policyLog: PolicyLogSettings, log: Logger) {
        self.hub = hub
        self.policyLog = policyLog
        self.log = log
        if let file = configuration.policyLog { addPolicyLog(file) }
    }

    /// What does the work. A part of the agent that exports is to end after the collector has: it then has all flows.
    var services: [any ServiceLifecycle.Service] { running.map { ExportService(run: $0.run) } }

    var families: [MetricFamily] {
        running.flatMap { $0.counters.families(prefix: $0.prefix, $0.labels) }
            + (running.contains { $0.prefix == Self.policyLogPrefix } ? [policyLog.family] : [])
    }

    private static let policyLogPrefix = "policy_logging_"

    private mutating func addPolicyLog(_ file: AgentConfiguration.PolicyLog) {
        var limits = PolicyLogFormat.Limits()
        limits.rate = file.rate
        let settings = policyLog
        add(
            "policy log", Self.policyLogPrefix, losses: [.overwritten, .rate, .denyKeys],
            operations: FileSink.operations, PolicyLogFormat(limits) { settings.choice },
            FileSink(path: file.path, size: AgentConfiguration.PolicyLog.size, kept: AgentConfiguration.PolicyLog.kept))
    }

    private mutating func add<Format: FlowFormat, Sink: FlowSink>(
        _ name: String, _ prefix: String, _ labels: [MetricLabel] = [], losses: [ExportLoss], operations: [String],
        _ format: Format, _ sink: Sink
    ) {
        var settings = ExportSettings(now: KernelClock.monotonic)
        let log = log
        settings.announce = { problem in
            if let problem {
                log.error(
                    "Flows are not exported for now", metadata: ["exporter": "\(name)", "problem": "\(problem.text)"])
            } else {
                log.notice("Flows are exported again", metadata: ["exporter": "\(name)"])
            }
        }
        let counters = ExportCounters(losses: losses, operations: operations)
        let exporter = FlowExporter(hub, format: format, sink: sink, counters: counters, settings: settings)
        running.append(
            Running(name: name, prefix: prefix, labels: labels, counters: counters) { await exporter.run() })
    }
}

/// Exports flows until the agent is told to stop.
private struct ExportService: ServiceLifecycle.Service {
    let run: @Sendable () async -> Void

    func run() async throws {
        try await untilShutdown(run)
    }
}
