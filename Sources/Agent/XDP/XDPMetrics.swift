internal import Datapath
internal import PrometheusText

extension AgentMetrics {
    /// What became of the packets that the shortcut at XDP has seen.
    var shortcutFamilies: [MetricFamily] {
        guard let shortcuts else { return [] }
        var packets = MetricFamily(
            "apus_xdp_packets_total", .counter,
            "Packets that came in by uplinks with XDP: forwarded there, or passed to the kernel as they came.",
            outlivesProcess: true)
        packets.add(.count(shortcuts.forwarded), [MetricLabel("result", "forwarded")])
        packets.add(.count(shortcuts.passed), [MetricLabel("result", "passed")])
        return [packets]
    }
}
