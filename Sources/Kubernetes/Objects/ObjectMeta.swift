/// The part of an object's metadata that Apus uses.
public struct ObjectMeta: Sendable, Hashable {
    /// The object's name, unique per kind and namespace.
    public var name: String
    /// The namespace; empty for cluster-scoped kinds.
    public var namespace: String
    /// The identity of this incarnation of the object; empty in hand-written manifests.
    public var uid: String
    /// The API server's version of the object; empty in hand-written manifests.
    public var resourceVersion: String
    /// The labels that selectors look at.
    public var labels: [String: String]
    /// The annotations, without the copy of the manifest that `kubectl apply` leaves there.
    public var annotations: [String: String]
    /// When the API server made the object, as it writes it, always in UTC: its order as text is its order in time.
    public var creationTimestamp: String?
    /// Whether a deletion has been asked for (`deletionTimestamp` is there).
    public var isTerminating: Bool
    /// The objects this one belongs to.
    public var owners: [OwnerReference]

    /// The metadata of an object; everything but the name has an empty default.
    public init(
        name: String, namespace: String = "", uid: String = "", resourceVersion: String = "",
        labels: [String: String] = [:], annotations: [String: String] = [:], creationTimestamp: String? = nil,
        isTerminating: Bool = false, owners: [OwnerReference] = []
    ) {
        self.name = name
        self.namespace = namespace
        self.uid = uid
        self.resourceVersion = resourceVersion
        self.labels = labels
        self.annotations = annotations
        self.creationTimestamp = creationTimestamp
        self.isTerminating = isTerminating
        self.owners = owners
    }

    /// The annotation that puts a policy, or the pods of a namespace, into audit mode.
    public static let auditAnnotation = "apus.dev/policy-audit"

    /// Whether what the policy, or the policies of the namespace's pods, would deny is reported and not denied.
    public var isPolicyAudited: Bool { annotations[Self.auditAnnotation] == "true" }

    /// The owner that manages the object: of a pod, its workload or the ReplicaSet of its Deployment.
    public var controller: OwnerReference? { owners.first(where: \.isController) }
}

/// One entry of `metadata.ownerReferences`.
public struct OwnerReference: Sendable, Hashable {
    /// The owner's kind, for example `ReplicaSet`.
    public var kind: String
    /// The owner's name, in the namespace of the owned object.
    public var name: String
    /// Whether this owner manages the object; at most one does.
    public var isController: Bool

    /// A reference to an owner.
    public init(kind: String, name: String, isController: Bool = true) {
        self.kind = kind
        self.name = name
        self.isController = isController
    }
}
