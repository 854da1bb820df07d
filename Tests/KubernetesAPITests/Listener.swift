import Kubernetes
import Synchronization

/// What a listener has been told so far.
final class Listener: Sendable {
    struct State {
        var objects: [ObjectKey: KubernetesObject] = [:]
        var isSynced = false
        var standings: [ObjectKind: KindStanding] = [:]
        var diagnostics: [SourceDiagnostic] = []
        /// Every deletion, in order.
        var deleted: [ObjectKey] = []
    }

    private let state = Mutex(State())

    var now: State { state.withLock { $0 } }

    func take(_ event: SourceEvent) {
        state.withLock { state in
            switch event {
            case .synced: state.isSynced = true
            case .standing(let kind, let standing): state.standings[kind] = standing
            case .diagnostic(let diagnostic): state.diagnostics.append(diagnostic)
            case .forgiven(let source): state.diagnostics.removeAll { $0.source == source }
            case .resolved(let diagnostic): state.diagnostics.removeAll { $0 == diagnostic }
            case .changes(let changes):
                for change in changes {
                    switch change {
                    case .upsert(let object): state.objects[object.key] = object
                    case .delete(let key):
                        state.objects[key] = nil
                        state.deleted.append(key)
                    }
                }
            }
        }
    }
}
