internal import FlowExport
internal import Flows
internal import LinuxKernel
internal import Logging
internal import OTLPClient
internal import PrometheusText
internal import ServiceLifecycle

/// The exporters that the configuration asks for, with what they count.
struct Exports: Sendable {
    /// One exporter: what it counts and how that is called, and its work.
    private struct Running: Sendable {
        let prefix: String
        let labels: [MetricLabel]
        let counters: ExportCounters
        let run: @Sendable (@escaping MetricReader) async -> Void
    }

    /// Reads all metrics of the agent, those of the exporters included.
    typealias MetricReader = @Sendable () async -> [MetricFamily]

    private var running: [Running] = []
    private let configuration: AgentConfiguration
    private let policyLog: PolicyLogSettings
    private let hub: FlowHub
    private let started: UInt64
    private let log: Logger

    /// - Parameter started: when the agent began to take in flows, in nanoseconds since 1970.
    init(
        _ configuration: AgentConfiguration, hub: FlowHub, policyLog: PolicyLogSettings, started: UInt64, log: Logger
    ) {
        self.configuration = configuration
        self.hub = hub
        self.policyLog = policyLog
        self.started = started
        self.log = log
        if let file = configuration.policyLog { addPolicyLog(file) }
        if let file = configuration.exports.file { addFile(file) }
        if let collector = configuration.exports.collector {
            if collector.getsLogs { addLogs(collector) }
            if collector.getsMetrics { addMetrics(collector) }
        }
    }

    /// What does the work. A part of the agent that exports is to end after the collector has: it then has all flows.
    func services(_ metrics: @escaping MetricReader) -> [any ServiceLifecycle.Service] {
        running.map { one in ExportService { await one.run(metrics) } }
    }

    /// What all of them count; exporters with metrics of one name are samples of one family.
    var families: [MetricFamily] {
        MetricFamily.merged(running.map { $0.counters.families(prefix: $0.prefix, $0.labels) })
            + (configuration.policyLog == nil ? [] : [policyLog.family])
    }

    private mutating func addPolicyLog(_ file: AgentConfiguration.PolicyLog) {
        var limits = PolicyLogFormat.Limits()
        limits.rate = file.rate
        let settings = policyLog
        add(
            "policy log", "policy_logging_", losses: [.overwritten, .rate, .denyKeys],
            operations: FileSink.operations, PolicyLogFormat(limits) { settings.choice },
            FileSink(path: file.path, size: AgentConfiguration.PolicyLog.size, kept: AgentConfiguration.PolicyLog.kept))
    }

    private mutating func addFile(_ file: FlowExports.File) {
        let format = HubbleFormat(
            configuration.exports.choice, node: configuration.node, version: AgentConfiguration.version,
            started: started)
        add(
            "file", Self.prefix, [MetricLabel("exporter", "file")], losses: [.overwritten, .unwritable],
            operations: FileSink.operations, format, FileSink(path: file.path, size: file.size, kept: file.kept))
    }

    private static let prefix = "apus_export_"

    private mutating func addLogs(_ collector: FlowExports.Collector) {
        let resource = resource
        let format = OTLPLogFormat(
            configuration.exports.choice, node: configuration.node, version: AgentConfiguration.version,
            started: started)
        let sink = OTLPSink(collector.endpoint, .logs) { resource.logs($0) }
        var settings = settings("otlp_logs", "Flows")
        settings.gather = .milliseconds(500)
        let counters = ExportCounters(losses: [.overwritten, .refused], operations: OTLPSink.operations)
        let exporter = FlowExporter(hub, format: format, sink: sink, counters: counters, settings: settings)
        running.append(
            Running(prefix: Self.prefix, labels: [MetricLabel("exporter", "otlp_logs")], counters: counters) { _ in
                await exporter.run()
                await sink.close()
            })
    }

    private mutating func addMetrics(_ collector: FlowExports.Collector) {
        let (resource, started) = (resource, started)
        let sink = OTLPSink(collector.endpoint, .metrics) { $0.first?.bytes ?? [] }
        let settings = settings("otlp_metrics", "Metrics")
        let counters = ExportCounters(losses: [.refused, .superseded], operations: OTLPSink.operations)
        running.append(
            Running(prefix: Self.prefix, labels: [MetricLabel("exporter", "otlp_metrics")], counters: counters) {
                read in
                let exporter = MetricExporter(
                    every: collector.metricInterval, sink: sink, counters: counters, settings: settings
                ) {
                    resource.metrics(await read(), started: started, now: KernelClock.realtime())
                }
                await exporter.run()
                await sink.close()
            })
    }

    private var resource: OTLPResource {
        OTLPResource(node: configuration.node, version: AgentConfiguration.version)
    }

    private mutating func add<Format: FlowFormat, Sink: FlowSink>(
        _ name: String, _ prefix: String, _ labels: [MetricLabel] = [], losses: [ExportLoss], operations: [String],
        _ format: Format, _ sink: Sink
    ) {
        let counters = ExportCounters(losses: losses, operations: operations)
        let exporter = FlowExporter(
            hub, format: format, sink: sink, counters: counters, settings: settings(name, "Flows"))
        running.append(
            Running(prefix: prefix, labels: labels, counters: counters) { _ in await exporter.run() })
    }

    /// How an exporter works, which tells in the log when it begins to fail and when it goes on.
    private func settings(_ name: String, _ what: String) -> ExportSettings {
        var settings = ExportSettings(now: KernelClock.monotonic)
        let log = log
        settings.announce = { problem in
            if let problem {
                log.error(
                    "\(what) are not exported for now",
                    metadata: ["exporter": "\(name)", "problem": "\(problem.text)"])
            } else {
                log.notice("\(what) are exported again", metadata: ["exporter": "\(name)"])
            }
        }
        return settings
    }
}

/// Exports flows until the agent is told to stop.
private struct ExportService: ServiceLifecycle.Service {
    let run: @Sendable () async -> Void

    func run() async throws {
        try await untilShutdown(run)
    }
}
