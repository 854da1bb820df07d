internal import Addressing

/// Pods by their names, each in an object of its own.
///
/// A dictionary with the pods inside has room for up to twice as many, and a large cluster has many. The objects never
/// change, so a copy of the table stays as it was.
struct PodTable: Sendable {
    final class Entry: Sendable {
        let pod: PolicyPod

        init(_ pod: PolicyPod) { self.pod = pod }
    }

    private var entries: [PodKey: Entry] = [:]

    subscript(key: PodKey) -> PolicyPod? {
        get { entries[key]?.pod }
        set { entries[key] = newValue.map(Entry.init) }
    }

    func entry(_ key: PodKey) -> Entry? { entries[key] }

    var keys: some Sequence<PodKey> { entries.keys }

    var values: some Sequence<PolicyPod> { entries.values.lazy.map(\.pod) }
}
