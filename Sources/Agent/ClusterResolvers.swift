internal import Addressing
internal import Datapath
internal import Kubernetes

/// The resolvers that pods of the cluster are given: their answers teach names.
struct ClusterResolvers: Sendable {
    /// The label's values that resolvers in `kube-system` have.
    private static let applications: Set<String> = ["kube-dns", "node-local-dns"]
    /// NodeLocal DNSCache, and the metadata server of Google's cloud.
    private static let known: [CIDR] = [
        CIDR(host: IPAddress(v4: 0xa9fe_140a)), CIDR(host: IPAddress(v4: 0xa9fe_a9fe)),
    ]

    private var pods: [ObjectKey: [IPAddress]] = [:]
    private var services: [ObjectKey: [IPAddress]] = [:]
    /// The addresses of each EndpointSlice in `kube-system`, by its Service.
    private var backends: [ObjectKey: [ObjectKey: [IPAddress]]] = [:]
    private var serviceOfSlice: [ObjectKey: ObjectKey] = [:]

    /// Every resolver's address. Only the addresses that the cluster gave to its own resolvers' Services are trusted as
    /// Services': any other one may be the external IP of anybody's. The addresses behind them are trusted for what was
    /// asked of these, and only while they are there: a connection outlives the backend that it was led to, whose address
    /// may go to another pod.
    ///
    /// - Parameter others: blocks that are trusted besides.
    func trusted(with others: Set<CIDR>) -> [CIDR: ResolverTrust] {
        var found: [CIDR: ResolverTrust] = [:]
        for prefix in Self.known + others + pods.values.joined().map({ CIDR(host: $0) }) { found[prefix] = .peer }
        // NodeLocal DNSCache listens on the Service's address itself.
        for address in services.values.joined() { found[CIDR(host: address)] = [.peer, .frontend] }
        for (service, addresses) in services where !addresses.isEmpty {
            for address in (backends[service] ?? [:]).values.joined() {
                // The longest prefix counts alone: it has to say what those around it do.
                let around: ResolverTrust = others.contains { $0.contains(address) } ? .peer : []
                found[CIDR(host: address), default: []].formUnion(around.union(.backend))
            }
        }
        return found
    }

    /// Takes in a change of an object.
    mutating func apply(_ change: ObjectChange) {
        switch change {
        case .upsert(.pod(let pod)): pods[change.key] = isResolver(pod.meta) ? pod.liveAddresses : nil
        case .upsert(.service(let service)):
            let isKnown = service.meta.namespace == "kube-system" && service.meta.name == "kube-dns"
            services[change.key] = isKnown || isResolver(service.meta) ? service.clusterIPs : nil
        case .upsert(.endpointSlice(let slice)): set(slice, change.key)
        case .delete(let key):
            pods[key] = nil
            services[key] = nil
            remove(slice: key)
        default: break
        }
    }

    /// Takes in a slice, whether its Service is known yet or not.
    private mutating func set(_ slice: EndpointSlice, _ key: ObjectKey) {
        remove(slice: key)
        guard key.namespace == "kube-system", let name = slice.serviceName, !slice.isForHeadlessService else { return }
        let service = ObjectKey(.service, namespace: key.namespace, name: name)
        backends[service, default: [:]][key] = slice.endpoints.flatMap(\.addresses)
        serviceOfSlice[key] = service
    }

    private mutating func remove(slice key: ObjectKey) {
        guard let service = serviceOfSlice.removeValue(forKey: key) else { return }
        backends[service]?[key] = nil
        if backends[service]?.isEmpty ?? false { backends[service] = nil }
    }

    private func isResolver(_ meta: ObjectMeta) -> Bool {
        meta.namespace == "kube-system" && (meta.labels["k8s-app"].map(Self.applications.contains) ?? false)
    }
}
