internal import Datapath
internal import PrometheusText

extension AgentMetrics {
    /// Destinations that have a series of their own: those with the most ports in use.
    private static let destinations = 20

    /// The node's ports for what leaves in its name.
    var masqueradeFamilies: [MetricFamily] {
        guard let ports = evidence.ports else { return [] }
        var used = MetricFamily(
            "apus_masquerade_ports_in_use", .gauge,
            "Ports of the node in use towards a destination, of the destinations with the most; `other` has the rest.")
        let (first, others) = ports.greatest(Self.destinations)
        for (destination, count) in first {
            used.add(.count(count), Self.labels("\(destination.address)", "\(destination.ipProtocol)"))
        }
        used.add(.count(others), Self.labels("other", ""))
        return [
            used,
            MetricFamily(
                "apus_masquerade_ports", .gauge, "Ports of the node that there are towards each destination.",
                [MetricSample(.count(ports.capacity))]),
            MetricFamily(
                "apus_masquerade_crowded_destinations", .gauge,
                "Destinations towards which the ports of the node are about to run out.",
                [MetricSample(.count(ports.crowdedDestinations.count))]),
        ] + failureFamilies
    }

    private var failureFamilies: [MetricFamily] {
        guard let drops else { return [] }
        let failed = drops.filter { $0.reason == .portsExhausted }.reduce(0) { $0 + $1.dropped.packets }
        return [
            MetricFamily(
                "apus_masquerade_port_failures_total", .counter,
                "Packets that were dropped as no port of the node was found free towards their destination.",
                [MetricSample(.count(failed))], outlivesProcess: true)
        ]
    }

    private static func labels(_ destination: String, _ ipProtocol: String) -> [MetricLabel] {
        [MetricLabel("destination", destination), MetricLabel("protocol", ipProtocol)]
    }
}
