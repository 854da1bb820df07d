internal import HubbleServer
internal import PrometheusText

extension HubbleCounters {
    /// What was sent to Hubble's clients.
    var families: [MetricFamily] {
        let counts = current
        return [
            MetricFamily(
                "apus_hubble_streams", .gauge, "Streams of flows that Hubble's clients have open.",
                [MetricSample(.count(counts.streams))]),
            MetricFamily(
                "apus_hubble_flows_sent_total", .counter, "Flows sent to Hubble's clients.",
                [MetricSample(.count(counts.flows))]),
            MetricFamily(
                "apus_hubble_flows_lost_total", .counter,
                "Flows that Hubble's clients were told to be missing, wherever they went missing.",
                [MetricSample(.count(counts.lost))]),
            MetricFamily(
                "apus_hubble_certificate_failures_total", .counter,
                "Readings of a replaced certificate, key or authority of Hubble's that could not be used.",
                [MetricSample(.count(counts.failedCertificates))]),
        ]
    }
}
