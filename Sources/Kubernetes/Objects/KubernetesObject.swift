/// The kinds that Apus reads; their order is the order in which a batch names them.
public enum ObjectKind: String, Sendable, Hashable, CaseIterable {
    case namespace = "Namespace"
    case node = "Node"
    case service = "Service"
    case endpointSlice = "EndpointSlice"
    case pod = "Pod"
    case networkPolicy = "NetworkPolicy"
    case clusterNetworkPolicy = "ClusterNetworkPolicy"
    case fqdnNetworkPolicy = "FQDNNetworkPolicy"
    case networkLogging = "NetworkLogging"

    /// The group and version that the kind is read in.
    public var apiVersion: String {
        switch self {
        case .namespace, .node, .service, .pod: "v1"
        case .endpointSlice: "discovery.k8s.io/v1"
        case .networkPolicy: "networking.k8s.io/v1"
        case .clusterNetworkPolicy: "policy.networking.k8s.io/v1alpha2"
        case .fqdnNetworkPolicy, .networkLogging: "networking.gke.io/v1alpha1"
        }
    }

    /// Whether objects of the kind live in a namespace.
    public var isNamespaced: Bool {
        switch self {
        case .namespace, .node, .clusterNetworkPolicy, .networkLogging: false
        case .service, .endpointSlice, .pod, .networkPolicy, .fqdnNetworkPolicy: true
        }
    }

    /// The kind with this name in this version, nil when Apus does not read it.
    public init?(_ name: String, apiVersion: String) {
        guard let kind = ObjectKind(rawValue: name), kind.apiVersion == apiVersion else { return nil }
        self = kind
    }
}

/// What names one object of the cluster.
public struct ObjectKey: Sendable, Hashable {
    /// The kind.
    public var kind: ObjectKind
    /// Empty for cluster-scoped kinds.
    public var namespace: String
    /// The name.
    public var name: String

    /// A key.
    public init(_ kind: ObjectKind, namespace: String = "", name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }
}

extension ObjectKey: CustomStringConvertible {
    /// `Service shop/web`, `Node node-a`.
    public var description: String {
        namespace.isEmpty ? "\(kind.rawValue) \(name)" : "\(kind.rawValue) \(namespace)/\(name)"
    }
}

extension ObjectKey: Comparable {
    public static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        if left.kind != right.kind { return left.kind.rank < right.kind.rank }
        return (left.namespace, left.name) < (right.namespace, right.name)
    }
}

extension ObjectKind {
    fileprivate var rank: Int { Self.allCases.firstIndex(of: self) ?? Self.allCases.count }
}

/// An object of any of the kinds that Apus reads.
public enum KubernetesObject: Sendable, Hashable {
    case namespace(Namespace)
    case node(Node)
    case service(Service)
    case endpointSlice(EndpointSlice)
    case pod(Pod)
    case networkPolicy(NetworkPolicy)
    case clusterNetworkPolicy(ClusterNetworkPolicy)
    case fqdnNetworkPolicy(FQDNNetworkPolicy)
    case networkLogging(NetworkLogging)

    /// The object's metadata.
    public var meta: ObjectMeta {
        switch self {
        case .namespace(let object): object.meta
        case .node(let object): object.meta
        case .service(let object): object.meta
        case .endpointSlice(let object): object.meta
        case .pod(let object): object.meta
        case .networkPolicy(let object): object.meta
        case .clusterNetworkPolicy(let object): object.meta
        case .fqdnNetworkPolicy(let object): object.meta
        case .networkLogging(let object): object.meta
        }
    }

    /// The object's kind.
    public var kind: ObjectKind {
        switch self {
        case .namespace: .namespace
        case .node: .node
        case .service: .service
        case .endpointSlice: .endpointSlice
        case .pod: .pod
        case .networkPolicy: .networkPolicy
        case .clusterNetworkPolicy: .clusterNetworkPolicy
        case .fqdnNetworkPolicy: .fqdnNetworkPolicy
        case .networkLogging: .networkLogging
        }
    }

    /// The object's key.
    public var key: ObjectKey { ObjectKey(kind, namespace: meta.namespace, name: meta.name) }
}
