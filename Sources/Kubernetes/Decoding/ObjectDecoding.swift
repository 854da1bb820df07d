extension KubernetesObject {
    /// The object of a known kind.
    init(_ fields: Fields, kind: ObjectKind) throws(FieldError) {
        var errors = GatheredErrors()
        let meta = errors.attempt { () throws(FieldError) in
            try fields.within("metadata") { (meta) throws(FieldError) in
                let meta = try ObjectMeta(meta, kind: kind)
                if kind.hasAuditMode { try meta.checkAudit() }
                return meta
            }
        }
        // What else is wrong is told as well.
        let object = errors.attempt { () throws(FieldError) in
            try KubernetesObject(fields, kind, meta ?? ObjectMeta(name: ""))
        }
        guard errors.isEmpty, let object else { throw errors.error }
        self = object
    }

    private init(_ fields: Fields, _ kind: ObjectKind, _ meta: ObjectMeta) throws(FieldError) {
        switch kind {
        case .namespace: self = .namespace(Namespace(meta: meta))
        case .node: self = .node(try Node(fields, meta: meta))
        case .service: self = .service(try Service(fields, meta: meta))
        case .endpointSlice: self = .endpointSlice(try EndpointSlice(fields, meta: meta))
        case .pod: self = .pod(try Pod(fields, meta: meta))
        case .networkPolicy: self = .networkPolicy(try NetworkPolicy(fields, meta: meta))
        case .clusterNetworkPolicy:
            self = .clusterNetworkPolicy(try ClusterNetworkPolicy(fields, meta: meta))
        case .fqdnNetworkPolicy: self = .fqdnNetworkPolicy(try FQDNNetworkPolicy(fields, meta: meta))
        case .networkLogging: self = .networkLogging(try NetworkLogging(fields, meta: meta))
        }
    }
}

extension ObjectKind {
    fileprivate var hasAuditMode: Bool {
        switch self {
        case .namespace, .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy: true
        case .node, .service, .endpointSlice, .pod, .networkLogging: false
        }
    }
}
