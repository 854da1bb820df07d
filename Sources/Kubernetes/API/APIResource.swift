extension ObjectKind {
    /// The kind's name in paths and in rules of RBAC, for example `endpointslices`.
    package var plural: String {
        switch self {
        case .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy: "\(rawValue.lowercased().dropLast())ies"
        case .namespace, .node, .service, .endpointSlice, .pod, .networkLogging: "\(rawValue.lowercased())s"
        }
    }

    /// Whether it is a custom resource, which an API server has only once somebody has installed its definition.
    var isCustomResource: Bool {
        switch self {
        case .clusterNetworkPolicy, .fqdnNetworkPolicy, .networkLogging: true
        case .namespace, .node, .service, .endpointSlice, .pod, .networkPolicy: false
        }
    }

    /// The path of all objects of the kind, in all namespaces.
    package var path: String { "\(root)/\(plural)" }

    private var root: String { apiVersion.contains("/") ? "/apis/\(apiVersion)" : "/api/\(apiVersion)" }

    fileprivate func path(_ key: ObjectKey) -> String {
        let place = key.namespace.isEmpty ? root : "\(root)/namespaces/\(key.namespace)"
        return "\(place)/\(plural)/\(key.name)"
    }
}

extension ObjectKey {
    /// The object's path at an API server, as `kubectl get --raw` takes it.
    package var path: String { kind.path(self) }
}
