internal import FlowExport
internal import Flows
internal import LinuxKernel
internal import PrometheusText
internal import Synchronization

/// The counters of flows, shared by the collector that counts and those who ask.
final class FlowCounters: Sendable {
    private let metrics: Mutex<FlowMetrics>

    init(node: String) { metrics = Mutex(FlowMetrics(node: node)) }

    func count(_ flows: [Flow]) { metrics.withLock { $0.count(flows) } }

    /// What was counted, without series of pods that have long been gone.
    func families(_ directory: FlowDirectory) -> [MetricFamily] {
        metrics.withLock { metrics in
            metrics.forgetGonePods(now: KernelClock.monotonic()) { directory.knows($0) }
            return metrics.families()
        }
    }
}
