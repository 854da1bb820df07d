import Addressing
import Kubernetes
import LoadBalancing

/// What the agent adds to kube-proxy's rules, which leave it to chance: who gets a destination that several Services
/// want, and which destinations have a table for clients outside.
struct FrontendContest {
    var cluster: KubeProxyModel
    /// When Services may have been made, the oldest first.
    var ages: [String]
    /// Whether a table chooses where a Service does not say it.
    var usesTables: Bool

    /// All that is to be known of a cluster.
    struct Outcome: Equatable {
        var offers: [KubeProxyModel.Destination: KubeProxyModel.Offer] = [:]
        var kinds: [KubeProxyModel.Destination: KubeProxyModel.Kind] = [:]
        /// Where a table chooses.
        var tables: Set<KubeProxyModel.Destination> = []
        /// The Services of which `apus status` tells something, once for each destination that they lost.
        var told: [String] = []
        var refusals: [IPAddress: Bool] = [:]
        var healthAnswers: [String: KubeProxyModel.HealthAnswer] = [:]
    }

    private struct OfferKey: Hashable {
        let namespace, name, port: String
        let kind: KubeProxyModel.Kind
        let isIPv4: Bool

        init(_ claim: KubeProxyModel.Claim, at address: IPAddress) {
            (namespace, name) = (claim.service.meta.namespace, claim.service.meta.name)
            (port, kind, isIPv4) = (claim.port.name, claim.kind, address.isIPv4)
        }
    }

    var outcome: Outcome {
        var outcome = Outcome(refusals: cluster.refusals, healthAnswers: cluster.healthAnswers)
        // What is offered is the same on each of a family's addresses.
        var offers: [OfferKey: KubeProxyModel.Offer] = [:]
        for (destination, claims) in cluster.claims {
            guard let winner = claims.min(by: precedes) else { continue }
            let key = OfferKey(winner, at: destination.address)
            let offer = offers[key] ?? cluster.offer(winner, at: destination.address)
            offers[key] = offer
            outcome.offers[destination] = offer
            outcome.kinds[destination] = winner.kind
            outcome.told += Set(claims.map(\.service.key)).subtracting([offer.service])
            if case .oneOf? = offer.outside, !destination.address.isLoopback, usesTable(winner) {
                outcome.tables.insert(destination)
            }
        }
        for service in cluster.services.values where cluster.isServed(service) && !isKnown(annotation(service)) {
            outcome.told.append(service.key)
        }
        outcome.told.sort()
        return outcome
    }

    /// ClusterIPs come first, then load balancers, externalIPs and node ports; then the older one; one of unknown age
    /// is the youngest. Then namespaces and names decide.
    private func precedes(_ left: KubeProxyModel.Claim, _ right: KubeProxyModel.Claim) -> Bool {
        let order = KubeProxyModel.Kind.allCases
        let leftRank = (order.firstIndex(of: left.kind)!, age(left.service))
        let rightRank = (order.firstIndex(of: right.kind)!, age(right.service))
        if leftRank != rightRank { return leftRank < rightRank }
        let (one, other) = (left.service.meta, right.service.meta)
        return (one.namespace, one.name) < (other.namespace, other.name)
    }

    private func age(_ service: Service) -> Int {
        service.meta.creationTimestamp.map { ages.firstIndex(of: $0)! } ?? ages.count
    }

    private func annotation(_ service: Service) -> String? {
        service.meta.annotations["apus.dev/load-balancer-algorithm"]
    }

    private func isKnown(_ algorithm: String?) -> Bool { [nil, "maglev", "random"].contains(algorithm) }

    /// What the node does by itself is not for ClusterIPs.
    private func usesTable(_ claim: KubeProxyModel.Claim) -> Bool {
        switch annotation(claim.service) {
        case "maglev": true
        case "random": false
        default: usesTables && claim.kind != .cluster
        }
    }
}
