internal import Addressing
internal import Kubernetes

/// The resolvers that pods of the cluster are given: their answers teach names.
struct ClusterResolvers: Sendable {
    /// The label's values that resolvers in `kube-system` have.
    private static let applications: Set<String> = ["kube-dns", "node-local-dns"]
    /// NodeLocal DNSCache, and the metadata server of Google's cloud.
    private static let known: Set<CIDR> = [
        CIDR(host: IPAddress(v4: 0xa9fe_140a)), CIDR(host: IPAddress(v4: 0xa9fe_a9fe)),
    ]

    private var addresses: [ObjectKey: [IPAddress]] = [:]

    /// Every resolver's address.
    var prefixes: Set<CIDR> { Self.known.union(addresses.values.joined().map { CIDR(host: $0) }) }

    /// Takes in a change of an object.
    mutating func apply(_ change: ObjectChange) {
        switch change {
        case .upsert(.pod(let pod)): set(change.key, isResolver(pod.meta) ? pod.liveAddresses : [])
        case .upsert(.service(let service)):
            let isKnown = service.meta.namespace == "kube-system" && service.meta.name == "kube-dns"
            set(change.key, isKnown || isResolver(service.meta) ? service.clusterIPs : [])
        case .delete(let key): addresses[key] = nil
        default: break
        }
    }

    private mutating func set(_ key: ObjectKey, _ found: [IPAddress]) { addresses[key] = found.isEmpty ? nil : found }

    private func isResolver(_ meta: ObjectMeta) -> Bool {
        meta.namespace == "kube-system" && (meta.labels["k8s-app"].map(Self.applications.contains) ?? false)
    }
}
