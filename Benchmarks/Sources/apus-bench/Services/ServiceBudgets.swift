extension Budget {
    /// Ahead of kube-proxy's rules in both modes with each number of Services, and as fast with many as with one.
    static let services = ServiceMetric.all.filter { $0 != .nodeForwarding }.flatMap { metric in
        ServicePeerKind.sizes.flatMap { size in
            [ServiceSubject.iptables, .nftables].map { reference in
                Budget(
                    .services(
                        metric, .init(subject: .apus, services: size), of: .init(subject: reference, services: size)),
                    metric.isRate ? .above(1) : .below(1))
            }
        } + [flat(metric)]
    }

    /// The slowest hundredth of connections has a wider spread than their mean.
    private static func flat(_ metric: ServiceMetric) -> Budget {
        Budget(
            .services(
                metric, .init(subject: .apus, services: ServiceCount.many), of: .init(subject: .apus, services: 1)),
            metric.isRate ? .atLeast(0.95) : .atMost(1.1))
    }
}
