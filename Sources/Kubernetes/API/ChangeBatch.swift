/// Changes on their way to who listens, put together so that each batch names a key once, deletions first.
struct ChangeBatch {
    /// Places of which former diagnostics no longer hold.
    var forgiven: [String] = []
    var diagnostics: [SourceDiagnostic] = []
    private var finished: [SourceEvent] = []
    private var deletions: Set<ObjectKey> = []
    private var upserts: [ObjectKey: KubernetesObject] = [:]
    /// Those of them that nobody has been told of before.
    private var untold: Set<ObjectKey> = []

    /// Adds an object. One that comes back after its deletion is another one, which begins a new batch.
    mutating func upsert(_ object: KubernetesObject, isNew: Bool) {
        if deletions.contains(object.key) { flush() }
        upserts[object.key] = object
        if isNew { untold.insert(object.key) }
    }

    /// Adds a deletion; none is told of what came in the same batch.
    mutating func delete(_ key: ObjectKey) {
        upserts[key] = nil
        if untold.remove(key) == nil { deletions.insert(key) }
    }

    private mutating func flush() {
        if deletions.isEmpty && upserts.isEmpty { return }
        finished.append(
            .changes(
                deletions.sorted().map(ObjectChange.delete)
                    + upserts.sorted { $0.key < $1.key }.map { .upsert($0.value) }))
        (deletions, upserts, untold) = ([], [:], [])
    }

    /// What is to be told.
    mutating func finish() -> [ListWatchAction] {
        flush()
        let events = forgiven.map { .forgiven(source: $0) } + finished + diagnostics.map { .diagnostic($0) }
        return events.map(ListWatchAction.tell)
    }
}
