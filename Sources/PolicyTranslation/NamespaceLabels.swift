internal import Kubernetes
internal import NetworkPolicy

/// The labels of every namespace that has an object or pods.
///
/// A pod can't be without its namespace, so a namespace whose object is not there (in manifests written by hand, or not
/// yet in a list) is one of which only the name is known. Taking it for none would let a policy of an administrator
/// that denies, for all namespaces or by name, select nobody.
struct NamespaceLabels: Sendable {
    private var objects: [String: Facts] = [:]
    private var pods: [String: Set<String>] = [:]
    /// What the policy compiler knows.
    private var told: [String: Facts] = [:]

    private struct Facts: Hashable {
        var labels: [String: String] = [:]
        var isAudited = false
    }

    /// What a batch of changes says of namespaces to the policy compiler.
    mutating func apply(_ changes: [ObjectChange]) -> [PolicyInput] {
        var touched: Set<String> = []
        for change in changes {
            let key = change.key
            switch change {
            case .upsert(.namespace(let namespace)):
                objects[key.name] = Facts(labels: namespace.meta.labels, isAudited: namespace.meta.isPolicyAudited)
            case .upsert(.pod): pods[key.namespace, default: []].insert(key.name)
            case .delete where key.kind == .namespace: objects[key.name] = nil
            case .delete where key.kind == .pod: pods[key.namespace]?.remove(key.name)
            case .upsert, .delete: continue
            }
            touched.insert(key.kind == .namespace ? key.name : key.namespace)
        }
        return touched.sorted().compactMap { tell($0) }
    }

    private mutating func tell(_ name: String) -> PolicyInput? {
        if pods[name]?.isEmpty ?? false { pods[name] = nil }
        let facts = facts(of: name)
        guard told[name] != facts else { return nil }
        told[name] = facts
        return facts.map { .namespace(name, labels: $0.labels, isAudited: $0.isAudited) } ?? .namespaceRemoved(name)
    }

    /// The API server sets the label with the name on every namespace; manifests written by hand may lack it.
    private func facts(of name: String) -> Facts? {
        guard var facts = objects[name] ?? (pods[name] == nil ? nil : Facts()) else { return nil }
        facts.labels["kubernetes.io/metadata.name"] = name
        return facts
    }
}
