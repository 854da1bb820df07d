internal import Datapath
internal import Kubernetes
internal import LoadBalancing
internal import NetworkPolicy

/// An object that is not in force as it is written.
struct ObjectProblem: Sendable, Hashable {
    /// Why it isn't: the label of metrics and the reason of Events.
    enum Reason: String, Sendable, Hashable, CaseIterable {
        /// A field is wrong, or asks for what can't be done.
        case invalid = "Invalid"
        /// A field is not known; what it is in is closed, and the rest in force.
        case unknownField = "UnknownField"
        /// It is there twice, or claims what belongs to another object.
        case conflict = "Conflict"
        /// No interface leads to the pod alone.
        case noInterface = "NoInterface"
        /// A map is full.
        case mapFull = "MapFull"
        /// The kernel refused a write, which is tried again.
        case refused = "Refused"
        /// No programs on the pod's interface: its traffic is not judged.
        case notAttached = "NotAttached"
        /// What judges a pod could not be written in full: its traffic is dropped. The pod, and its policies.
        case closed = "Closed"
        /// The ports are about to run out that the node has towards a destination of its pods.
        case portsRunOut = "PortsRunOut"
    }

    var object: ObjectReference
    var reason: Reason
    /// One sentence for people.
    var message: String
    /// What tells it from other problems of the object for that reason, also when the message changes.
    var topic: String

    /// - Parameter topic: nil where the message never changes while the problem lasts.
    init(object: ObjectReference, reason: Reason, message: String, topic: String? = nil) {
        self.object = object
        self.reason = reason
        self.message = message
        self.topic = topic ?? message
    }

    /// What stays the same while a problem lasts.
    struct Key: Sendable, Hashable {
        var object: ObjectReference
        var reason: Reason
        var topic: String
    }

    var key: Key { Key(object: object, reason: reason, topic: topic) }
}

/// What names an object to people and to the API server.
struct ObjectReference: Sendable, Hashable {
    var kind: String
    /// Empty for cluster-scoped kinds.
    var namespace: String
    var name: String

    init(kind: String, namespace: String = "", name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    init(_ key: ObjectKey) { self.init(kind: key.kind.rawValue, namespace: key.namespace, name: key.name) }

    init(_ policy: PolicyName) {
        self.init(kind: policy.kind.rawValue, namespace: policy.namespace, name: policy.name)
    }

    init(_ pod: PodKey) { self.init(kind: "Pod", namespace: pod.namespace, name: pod.name) }

    /// Reads what load balancing writes: `Service shop/cart`.
    init?(words text: String) {
        let words = text.split(separator: " ")
        let path = words.count == 2 ? words[1].split(separator: "/") : []
        guard path.count == 2 else { return nil }
        self.init(kind: String(words[0]), namespace: String(path[0]), name: String(path[1]))
    }

    /// Reads what the data path calls the owner of a map's entry: `service shop/cart/http (TCP 10.96.0.10:80)`,
    /// `endpoint shop/web-1`, `policy NetworkPolicy/shop/web/ingress/0 7`, `FQDNNetworkPolicy/shop/web`; nil for what no
    /// single object owns.
    init?(datapath text: String) {
        let words = text.split(separator: " ")
        guard let last = words.dropFirst().first ?? words.first else { return nil }
        let path = last.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if words.count == 1 {
            guard let kind = PolicyKind(rawValue: path[0]), path.count == (kind == .clusterNetworkPolicy ? 2 : 3) else {
                return nil
            }
            self.init(kind: path[0], namespace: path.count == 3 ? path[1] : "", name: path[path.count - 1])
            return
        }
        switch (words[0], path.count) {
        case ("service", 2...): self.init(kind: "Service", namespace: path[0], name: path[1])
        case ("endpoint", 2): self.init(kind: "Pod", namespace: path[0], name: path[1])
        case ("policy", 4...) where PolicyKind(rawValue: path[0]) != nil:
            self.init(kind: path[0], namespace: path[1], name: path[2])
        default: return nil
        }
    }
}

extension ObjectProblem {
    /// What a source says of an object; nil where it can't tell which one.
    init?(_ diagnostic: SourceDiagnostic) {
        guard let key = diagnostic.key else { return nil }
        let reason: Reason
        switch diagnostic.problem {
        case .ignoredKind, .ignoredField: return nil
        case .unknownField: reason = .unknownField
        case .duplicate: reason = .conflict
        case .unreadable, .syntax, .invalidObject, .closedPart: reason = .invalid
        }
        self.init(object: ObjectReference(key), reason: reason, message: diagnostic.explanation)
    }

    init(_ problem: PolicyProblem) {
        self.init(
            object: ObjectReference(problem.object), reason: .invalid, message: "\(problem.field): \(problem.message)",
            topic: problem.field)
    }

    init?(_ problem: ServiceProblem) {
        guard let object = ObjectReference(words: problem.object) else { return nil }
        self.init(object: object, reason: .invalid, message: problem.reason)
    }

    init(_ pod: PodKey, _ problem: PodInterfaceProblem) {
        self.init(object: ObjectReference(pod), reason: .noInterface, message: problem.description)
    }

    init(_ pod: PodKey, notAttached message: String) {
        self.init(object: ObjectReference(pod), reason: .notAttached, message: message)
    }

    init?(_ problem: DatapathProblem) {
        guard let object = ObjectReference(datapath: problem.object) else { return nil }
        let reason: Reason
        var topic: String?
        switch problem.reason {
        case .slotsExhausted, .backendsExhausted, .endpointsExhausted, .namesExhausted: reason = .mapFull
        case .refused(_, let error): reason = error.saysFull ? .mapFull : .refused
        case .waiting: reason = .refused
        case .closed(let direction, _): (reason, topic) = (.closed, direction.text)
        case .patternRefused: reason = .invalid
        case .names, .namesWait: reason = .refused
        }
        self.init(object: object, reason: reason, message: problem.reason.description, topic: topic)
    }
}
