package import Kubernetes
internal import Synchronization

/// What has become of the requests to an API server, by kind of objects.
package final class APIStatistics: Sendable {
    /// How a request failed.
    package enum Failure: String, Sendable, Hashable, CaseIterable {
        /// Nobody answered.
        case unreachable
        /// The answer was no.
        case refused
        /// The answer broke off.
        case cut
        /// Nothing came for too long.
        case silent
        /// The answer is not what was asked for.
        case malformed
    }

    package struct Counts: Sendable, Hashable {
        /// Lists that were begun: one for a start, the others because the server or a version was lost.
        package var lists: UInt64 = 0
        package var watches: UInt64 = 0
        package var failures: [Failure: UInt64] = [:]

        package init() {}
    }

    private let counts: Mutex<[ObjectKind: Counts]>

    /// Counts of kinds of which nothing has been asked yet.
    package init(_ kinds: [ObjectKind]) {
        counts = Mutex(Dictionary(uniqueKeysWithValues: kinds.map { ($0, Counts()) }))
    }

    package var current: [ObjectKind: Counts] { counts.withLock { $0 } }

    func note(_ request: ListWatchRequest, of kind: ObjectKind) {
        counts.withLock { counts in
            switch request {
            case .page(nil, _), .initialEvents: counts[kind, default: Counts()].lists += 1
            case .page: break
            case .watch: counts[kind, default: Counts()].watches += 1
            }
        }
    }

    func note(_ ending: ListWatchEnding, of kind: ObjectKind) {
        guard let failure = Failure(ending) else { return }
        counts.withLock { $0[kind, default: Counts()].failures[failure, default: 0] += 1 }
    }
}

extension APIStatistics.Failure {
    fileprivate init?(_ ending: ListWatchEnding) {
        switch ending {
        case .complete, .timeUp: return nil
        case .unreachable: self = .unreachable
        case .refused: self = .refused
        case .cut: self = .cut
        case .silent: self = .silent
        case .malformed: self = .malformed
        }
    }
}
