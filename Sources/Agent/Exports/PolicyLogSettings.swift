internal import FlowExport
internal import Kubernetes
internal import PrometheusText
internal import Synchronization

/// What the objects of the cluster say of the policy log, shared by the one who follows them and the one who writes it.
final class PolicyLogSettings: Sendable {
    private struct State {
        var choice = PolicyLogChoice()
        /// Whether all objects have been read once.
        var isKnown = false
    }

    private let state = Mutex(State())

    /// What is logged; nil until all objects have been read once.
    var choice: PolicyLogChoice? { state.withLock { $0.isKnown ? $0.choice : nil } }

    /// Whether any decision is to be logged, as far as objects have been read.
    var logsAnything: Bool { choice.map { $0.allow != .none || $0.deny != .none } ?? false }

    /// All objects have been read once.
    func noteSynced() { state.withLock { $0.isKnown = true } }

    /// Takes in changes of objects.
    func apply(_ changes: [ObjectChange]) {
        state.withLock { state in
            for change in changes {
                switch change {
                case .upsert(let object): state.choice.upsert(object)
                case .delete(let key): state.choice.remove(key)
                }
            }
        }
    }

    /// Which dispositions are logged.
    var family: MetricFamily {
        let choice = state.withLock(\.choice)
        var family = MetricFamily(
            "policy_logging_enabled", .gauge,
            "Whether connections of a disposition are logged, of all or some policies.")
        family.add(.flag(choice.allow != .none), [MetricLabel("disposition", "allow")])
        family.add(.flag(choice.deny != .none), [MetricLabel("disposition", "deny")])
        return family
    }
}

extension PolicyLogChoice {
    fileprivate mutating func upsert(_ object: KubernetesObject) {
        switch object {
        case .networkLogging(let logging) where logging.meta.name == NetworkLogging.name:
            allow = Scope(logging.allow)
            deny = Scope(logging.deny)
        case .namespace(let namespace):
            note(namespace.meta.name, in: \.namespaces, isAnnotated: namespace.meta.logsDenied)
        case .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy:
            note(Policy(object.key), in: \.policies, isAnnotated: object.meta.logsAllowed)
        case .node, .service, .endpointSlice, .pod, .networkLogging: break
        }
    }

    fileprivate mutating func remove(_ key: ObjectKey) {
        switch key.kind {
        case .networkLogging where key.name == NetworkLogging.name: (allow, deny) = (.none, .none)
        case .namespace: namespaces.remove(key.name)
        case .networkPolicy, .clusterNetworkPolicy, .fqdnNetworkPolicy: policies.remove(Policy(key))
        case .node, .service, .endpointSlice, .pod, .networkLogging: break
        }
    }

    private mutating func note<Name: Hashable>(
        _ name: Name, in names: WritableKeyPath<PolicyLogChoice, Set<Name>>, isAnnotated: Bool
    ) {
        if isAnnotated { self[keyPath: names].insert(name) } else { self[keyPath: names].remove(name) }
    }
}

extension PolicyLogChoice.Policy {
    fileprivate init(_ key: ObjectKey) {
        self.init(kind: key.kind.rawValue, namespace: key.namespace, name: key.name)
    }
}

extension PolicyLogChoice.Scope {
    fileprivate init(_ choice: NetworkLogging.Choice) {
        self = choice.log ? choice.delegate ? .delegated : .all : .none
    }
}
