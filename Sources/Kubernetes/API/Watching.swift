extension ListWatch {
    /// Takes in lines of a watch.
    mutating func take(_ events: [WatchEvent]) -> [ListWatchAction] {
        var batch = ChangeBatch()
        var actions: [ListWatchAction] = []
        for event in events {
            // What comes behind an error belongs to no watch.
            if error != nil { break }
            if case .bookmark(let version, endsInitialEvents: true) = event, listing != nil {
                actions += batch.finish() + complete(at: version)
                batch = ChangeBatch()
                progress()
            } else {
                take(event, &batch)
            }
        }
        // An ordinary bookmark before the mark that ends a streaming list: the server does not know of such lists.
        let isMistaken = listing?.streams == true && !streams
        return actions + batch.finish() + (isMistaken || error != nil ? [.abandon] : [])
    }

    private mutating func take(_ event: WatchEvent, _ batch: inout ChangeBatch) {
        switch event {
        case .upsert(let received) where listing != nil: list(received, &batch)
        case .upsert(let received):
            upsert(received, &batch)
            move(to: received.resourceVersion)
        case .delete(let key, _) where listing != nil: unlist(key, &batch)
        case .delete(let key, let version):
            delete(key, &batch)
            move(to: version)
        case .bookmark where listing != nil: streams = false
        case .bookmark(let version, _): move(to: version)
        case .error(let refusal): error = refusal
        case .unnamed: listing?.hasUnnamed = true
        }
        if listing == nil { progress() }
    }

    private mutating func move(to version: String) {
        if !version.isEmpty { self.version = version }
    }

    private mutating func progress() {
        hasEvents = true
        if error == nil { backoff.reset() }
    }

    /// An object of a list that is gone again before the list is complete.
    private mutating func unlist(_ key: ObjectKey, _ batch: inout ChangeBatch) {
        listing?.seen[key] = nil
        listing?.changed[key] = nil
        // Before the first list is complete, what came has been told. Later, the end of the list tells what is missing.
        if !isSynced { delete(key, &batch) }
    }

    private mutating func delete(_ key: ObjectKey, _ batch: inout ChangeBatch) {
        forgive(key, &batch)
        if known.removeValue(forKey: key) != nil { batch.delete(key) }
    }
}
