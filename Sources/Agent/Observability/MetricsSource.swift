internal import Datapath
internal import Flows
internal import HTTPEndpoint
internal import HubbleServer
internal import KubernetesAPI
internal import PrometheusText

/// Reads everything that a scrape tells.
struct MetricsSource: Sendable {
    let configuration: AgentConfiguration
    let controller: NodeController
    let hub: FlowHub
    let evidence: EvidenceCounters
    let counters: FlowCounters
    let directory: FlowDirectory
    let hubble: HubbleCounters
    let exports: Exports
    let requests: APIStatistics?
    /// nil where nothing is written to the API server.
    let reports: ReportCounters?

    func answer(_ question: HTTPQuestion) async -> HTTPAnswer {
        guard question.path == "/metrics" else { return .notFound }
        return HTTPAnswer(200, contentType: PrometheusText.contentType, PrometheusText.text(await families()))
    }

    /// All metrics.
    func families() async -> [MetricFamily] {
        let (drops, events) = packetCounters()
        let metrics = AgentMetrics(
            node: configuration.node, controller: await controller.report(), requests: requests, hub: hub.statistics,
            evidence: evidence.counts, drops: drops, events: events, names: nameOutcomes(), shortcuts: shortcutCounts())
        return metrics.families + hubble.families + exports.families + (reports?.families ?? [])
            + counters.families(directory)
    }

    private func nameOutcomes() -> [NameOutcome: UInt64]? {
        guard let reader = try? reader() else { return nil }
        return try? reader.nameOutcomes()
    }

    private func shortcutCounts() -> ShortcutCounts? {
        guard let reader = try? reader() else { return nil }
        return try? reader.shortcutCounts()
    }

    /// What the data path counts. Without maps, as before the first sync of a first start, there is nothing to tell.
    private func packetCounters() -> ([DropCount]?, EventCounters?) {
        do throws(DatapathReadError) {
            let reader = try reader()
            return (try reader.drops(), try reader.eventCounters())
        } catch { return (nil, nil) }
    }

    private func reader() throws(DatapathReadError) -> DatapathReader {
        try DatapathReader(bpffs: configuration.bpffs, version: configuration.layouts.version)
    }
}
