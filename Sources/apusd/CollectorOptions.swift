import Agent
import ArgumentParser
import OTLPClient

/// The collector of OpenTelemetry.
struct CollectorOptions: ParsableArguments {
    @Option(
        help: .flag(
            "otlp-endpoint", "A collector that gets flows and metrics by OTLP, such as http://collector:4318.",
            default: "none"))
    var otlpEndpoint: String?
    @Option(help: .flag("otlp-headers", "A header of requests to it, as NAME=VALUE; repeatable."))
    var otlpHeaders: [String] = []
    @Option(help: .flag("otlp-ca", "Who signs its certificate, in PEM.", default: "whom the system trusts"))
    var otlpCa: String?
    @Option(help: .flag("otlp-logs", "Whether it gets flows: on or off.", default: "on"))
    var otlpLogs: Switch?
    @Option(help: .flag("otlp-metrics", "Whether it gets metrics: on or off.", default: "on"))
    var otlpMetrics: Switch?
    @Option(help: .flag("otlp-metrics-interval", "Seconds between two readings of metrics.", default: 60))
    var otlpMetricsInterval: Double?

    /// nil: none.
    func collector() throws -> FlowExports.Collector? {
        guard let url = otlpEndpoint ?? Environment.text("otlp-endpoint"), !url.isEmpty else { return nil }
        var collector: FlowExports.Collector
        do {
            collector = FlowExports.Collector(
                endpoint: try OTLPEndpoint(
                    url, headers: Environment.values("otlp-headers", otlpHeaders),
                    authority: otlpCa ?? Environment.text("otlp-ca")))
        } catch { throw ValidationError("--otlp-endpoint: \(error)") }
        collector.getsLogs = try Environment.value("otlp-logs", otlpLogs, default: .on) == .on
        collector.getsMetrics = try Environment.value("otlp-metrics", otlpMetrics, default: .on) == .on
        let seconds = try Environment.value("otlp-metrics-interval", otlpMetricsInterval, default: 60)
        guard (1...86_400).contains(seconds) else {
            throw ValidationError("--otlp-metrics-interval: \(seconds) is not a number of seconds from 1 to 86400")
        }
        collector.metricInterval = .seconds(seconds)
        return collector
    }
}
