/// A list that is being read.
struct Listing: Sendable {
    /// What has been named.
    var seen = ObjectTable<Void>()
    /// What is different from what is known, to be told at the end; empty before the first list is complete, when what
    /// comes is told at once.
    var changed: [ObjectKey: KubernetesObject] = [:]
    /// Whether something came that has no name, so that any object may have been meant.
    var hasUnnamed = false
    /// Whether it is read as a stream now.
    var streams = false
}

extension ListWatch {
    /// Takes in items of a page.
    mutating func take(_ items: [ReceivedObject?]) -> [ListWatchAction] {
        var batch = ChangeBatch()
        for item in items {
            if let item { list(item, &batch) } else { listing?.hasUnnamed = true }
        }
        return batch.finish()
    }

    /// Takes in an object that a list names.
    mutating func list(_ received: ReceivedObject, _ batch: inout ChangeBatch) {
        listing?.seen[received.key] = ()
        guard isSynced, let object = received.object else { return upsert(received, &batch) }
        tellTroubles(of: received, &batch)
        // Without a version, as from a test's server, nothing can be taken to be the same.
        let isSame = known[received.key] == received.resourceVersion && !received.resourceVersion.isEmpty
        listing?.changed[received.key] = isSame ? nil : object
    }

    /// Takes in the end of a page: of the last one, the list is complete.
    mutating func endPage(_ envelope: ListEnvelope) -> [ListWatchAction] {
        backoff.reset()
        let actions = isConnected()
        nextPage = envelope.continuation
        guard envelope.continuation == nil else { return actions }
        return actions + complete(at: envelope.resourceVersion)
    }

    /// The list is complete: what it did not name is gone.
    mutating func complete(at version: String) -> [ListWatchAction] {
        guard let listing else { return [] }
        self.listing = nil
        self.version = version
        isCut = true
        var batch = ChangeBatch()
        if !listing.hasUnnamed {
            let gone = known.keys.filter { !listing.seen.contains($0) }
            for key in gone {
                batch.delete(key)
                known[key] = nil
            }
            for key in Array(troubled.keys) where !listing.seen.contains(key) { forgive(key, &batch) }
        }
        for (key, object) in listing.changed {
            let isNew = known.updateValue(object.meta.resourceVersion, forKey: key) == nil
            batch.upsert(object, isNew: isNew)
        }
        return batch.finish() + becomeSynced()
    }

    private mutating func becomeSynced() -> [ListWatchAction] {
        if isSynced { return [] }
        return change { $0.isSynced = true } + [.synced]
    }

    /// The server does not have the kind, and has said so more than once: there are no objects of it.
    mutating func completeAsAbsent() -> [ListWatchAction] {
        listing = Listing()
        let actions = complete(at: "")
        listing = Listing()
        return actions
    }
}

extension ListWatch {
    /// Tells an object that is new or different.
    mutating func upsert(_ received: ReceivedObject, _ batch: inout ChangeBatch) {
        tellTroubles(of: received, &batch)
        guard let object = received.object else { return }
        if known[received.key] == received.resourceVersion, !received.resourceVersion.isEmpty { return }
        let isNew = known.updateValue(received.resourceVersion, forKey: received.key) == nil
        batch.upsert(object, isNew: isNew)
    }

    /// Tells what is wrong with an object, once for each version of it.
    private mutating func tellTroubles(of received: ReceivedObject, _ batch: inout ChangeBatch) {
        let key = received.key
        if troubled[key] == received.resourceVersion, !received.resourceVersion.isEmpty { return }
        forgive(key, &batch)
        if received.diagnostics.isEmpty { return }
        troubled[key] = received.resourceVersion
        for var diagnostic in received.diagnostics {
            diagnostic.keepsLastGood = received.object == nil && known[key] != nil
            if diagnostic.keepsLastGood { diagnostic.keptKeys = [key] }
            batch.diagnostics.append(diagnostic)
        }
    }

    /// Takes back what was told to be wrong with an object.
    mutating func forgive(_ key: ObjectKey, _ batch: inout ChangeBatch) {
        if troubled.removeValue(forKey: key) != nil { batch.forgiven.append(key.path) }
    }
}
