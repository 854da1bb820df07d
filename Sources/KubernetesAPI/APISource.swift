package import Kubernetes
internal import NIOSSL

/// A source of objects that follows an API server: lists and watches of all kinds, side by side.
///
/// It tells the same events as a directory of manifests. Several kinds have something to say at once, so it calls who
/// listens instead of being iterated, and waits for each call to return: nothing is queued.
package struct APISource: Sendable {
    private let access: ClusterAccess
    private let settings: APISettings
    private let userAgent: String
    /// What has become of its requests.
    package let statistics: APIStatistics

    /// A source.
    /// - Parameters:
    ///   - access: the server, and how to be let in.
    ///   - settings: how it is followed.
    ///   - userAgent: what to call oneself, as `apusd/1.0`.
    package init(_ access: ClusterAccess, settings: APISettings = APISettings(), userAgent: String) {
        self.access = access
        self.settings = settings
        self.userAgent = userAgent
        statistics = APIStatistics(settings.kinds)
    }

    /// Reads the certificates and the key that the access has, so that a mistake is known before anything depends on them.
    package func validate() throws(AccessError) {
        do { _ = try TLSConfiguration(access) } catch {
            throw AccessError("a certificate or the key for \(access.server) can't be read: \(error)")
        }
    }

    /// Follows the server until the task is cancelled. `.synced` is told when every kind has been told in full.
    package func run(_ deliver: @escaping @Sendable (SourceEvent) async -> Void) async throws {
        let (settings, statistics) = (settings, statistics)
        let count = SyncCount(settings.kinds.count)
        try await APIClient.with(access, settings: settings, userAgent: userAgent) { client in
            try await withThrowingTaskGroup { group in
                for kind in settings.kinds {
                    group.addTask {
                        let follower = KindFollower(
                            kind, client: client, settings: settings, statistics: statistics,
                            deliver: deliver,
                            didSync: { if await count.isLast() { await deliver(.synced) } })
                        try await follower.run()
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}

/// How many kinds have not been told in full yet.
private actor SyncCount {
    private var remaining: Int

    init(_ remaining: Int) {
        self.remaining = remaining
    }

    /// Counts one kind, and says whether it was the last one.
    func isLast() -> Bool {
        remaining -= 1
        return remaining == 0
    }
}
