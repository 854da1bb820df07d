internal import Addressing

/// Pods by their names, each in an object of its own.
///
/// A dictionary with the pods inside has room for up to twice as many, and a large cluster has many. For the same
/// reason names stand under their namespaces, and not both in every key. The objects never change, so a copy of the
/// table stays as it was.
struct PodTable: Sendable {
    final class Entry: Sendable {
        let pod: PolicyPod

        init(_ pod: PolicyPod) { self.pod = pod }
    }

    private var namespaces: [String: [String: Entry]] = [:]

    subscript(key: PodKey) -> PolicyPod? {
        get { entry(key)?.pod }
        set {
            namespaces[key.namespace, default: [:]][key.name] = newValue.map(Entry.init)
            if namespaces[key.namespace]?.isEmpty == true { namespaces[key.namespace] = nil }
        }
    }

    func entry(_ key: PodKey) -> Entry? { namespaces[key.namespace]?[key.name] }

    func pods(in namespace: String) -> some Sequence<PolicyPod> {
        (namespaces[namespace] ?? [:]).values.lazy.map(\.pod)
    }

    var values: some Sequence<PolicyPod> { namespaces.values.lazy.flatMap { $0.values.lazy.map(\.pod) } }
}
