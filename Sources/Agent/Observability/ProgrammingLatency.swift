internal import Flows
internal import Kubernetes
internal import PrometheusText

/// How long it takes until a change of endpoints is in force, as kube-proxy measures it: from the time that the endpoints
/// controller wrote on the slice.
struct ProgrammingLatency: Sendable {
    /// Where the controller writes the time of the change that made it write the slice.
    static let annotation = "endpoints.kubernetes.io/last-change-trigger-time"

    private(set) var histogram = Histogram(
        bounds: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 10, 20, 30, 60, 120, 300])
    /// Earlier changes are not ours to measure, in nanoseconds since 1970.
    private let start: UInt64
    /// The times of slices whose changes are not in force yet: the first one of each.
    private var pending: [ObjectKey: UInt64] = [:]

    init(start: UInt64) { self.start = start }

    /// Notes what will have to be in force.
    mutating func note(_ changes: [ObjectChange]) {
        for change in changes where change.key.kind == .endpointSlice {
            switch change {
            case .delete(let key): pending[key] = nil
            case .upsert(let object):
                guard case .endpointSlice(let slice) = object, pending[change.key] == nil,
                    let time = slice.meta.annotations[Self.annotation].flatMap(Timestamp.parse), time > start
                else { continue }
                pending[change.key] = time
            }
        }
    }

    /// All that was noted is in force.
    mutating func settle(at now: UInt64) {
        for time in pending.values { histogram.observe(now > time ? Double(now - time) / 1e9 : 0) }
        pending.removeAll(keepingCapacity: true)
    }
}
