internal import Flows
internal import HTTPEndpoint
internal import LinuxKernel
internal import Synchronization

/// How the agent is, for those who must not wait for it to ask: it is noted with each round of the controller.
final class AgentHealth: Sendable {
    private let report = Mutex<HealthReport?>(nil)
    private let startedAt = KernelClock.monotonic()
    /// What load balancers ask for.
    let checks = HealthChecks()

    func note(_ new: HealthReport) { report.withLock { $0 = new } }

    /// What the agent's own health endpoint answers.
    func answer(_ question: HTTPQuestion) -> HTTPAnswer {
        let verdict = verdict(at: KernelClock.monotonic())
        switch question.path {
        case "/healthz": return verdict.liveness
        case "/readyz": return verdict.readiness
        default: return .notFound
        }
    }

    /// What kube-proxy's health endpoint answers.
    func answerAsProxy(_ question: HTTPQuestion) -> HTTPAnswer {
        let verdict = verdict(at: KernelClock.monotonic())
        switch question.path {
        case "/healthz": return verdict.proxyHealth(at: KernelClock.realtime())
        case "/livez": return verdict.proxyLiveness(at: KernelClock.realtime())
        default: return .notFound
        }
    }

    /// Whether Services are as kube-proxy would call healthy.
    var servicesAreHealthy: Bool { verdict(at: KernelClock.monotonic()).servicesAreHealthy }

    private func verdict(at now: UInt64) -> HealthVerdict {
        HealthVerdict(report.withLock { $0 }, startedAt: startedAt, now: now)
    }
}

/// What a round of the controller found; times are in nanoseconds of the monotonic clock.
struct HealthReport: Sendable, Equatable {
    var roundAt: UInt64
    /// Whether all objects have been read once and the programs of this build are in force.
    var isInForce: Bool
    /// Since when a change of Services is refused by the kernel; nil while none is.
    var servicesPendingSince: UInt64?
    /// When Services were last in force as wanted; nil: not yet.
    var servicesUpdatedAt: UInt64?
    /// Whether this node is being deleted, so that no load balancer should send it anything new.
    var nodeIsLeaving: Bool
}

/// What a report means at a time.
struct HealthVerdict: Sendable, Equatable {
    /// How long the controller may be without a round, and a change of Services without effect: as kube-proxy, which
    /// waits for two of its 30 s rounds.
    static let patience: UInt64 = 60_000_000_000

    let isAlive: Bool
    let isInForce: Bool
    /// Whether Services are as kube-proxy would call healthy; also while the agent is starting.
    let servicesAreHealthy: Bool
    /// For how many nanoseconds Services have not been as wanted; nil: they never were.
    let servicesAge: UInt64?
    let nodeIsLeaving: Bool

    /// - Parameter report: the last one; nil: there has been none.
    init(_ report: HealthReport?, startedAt: UInt64, now: UInt64) {
        func isLate(_ time: UInt64) -> Bool { now > time && now - time >= Self.patience }
        isAlive = !isLate(report?.roundAt ?? startedAt)
        isInForce = report?.isInForce ?? false
        servicesAreHealthy = isAlive && !(report?.servicesPendingSince.map(isLate) ?? false)
        servicesAge = report?.servicesUpdatedAt.map { now - min(now, $0) }
        nodeIsLeaving = report?.nodeIsLeaving ?? false
    }

    var liveness: HTTPAnswer {
        isAlive
            ? HTTPAnswer(200, "ok\n")
            : HTTPAnswer(503, "the agent has not looked at what is due for a minute; the data path goes on\n")
    }

    var readiness: HTTPAnswer {
        guard isAlive else { return liveness }
        return isInForce
            ? HTTPAnswer(200, "ok\n")
            : HTTPAnswer(503, "not all objects have been read once; what an earlier start left in force stays\n")
    }

    /// As kube-proxy's `/healthz`: what decides is the status, 503 also on a node that is being deleted.
    func proxyHealth(at now: UInt64) -> HTTPAnswer {
        let isHealthy = servicesAreHealthy && !nodeIsLeaving
        let times = times(isHealthy, now)
        return json(isHealthy, "{\(times), \"nodeEligible\": \(!nodeIsLeaving)}")
    }

    /// As kube-proxy's `/livez`: the node doesn't matter.
    func proxyLiveness(at now: UInt64) -> HTTPAnswer {
        json(servicesAreHealthy, "{\(times(servicesAreHealthy, now))}")
    }

    /// kube-proxy gives the current time as that of the last update while it is healthy.
    private func times(_ isHealthy: Bool, _ now: UInt64) -> String {
        let updated = isHealthy ? now : servicesAge.map { now - min(now, $0) } ?? 0
        return "\"lastUpdated\": \"\(Timestamp.text(updated))\",\"currentTime\": \"\(Timestamp.text(now))\""
    }

    private func json(_ isHealthy: Bool, _ body: String) -> HTTPAnswer {
        HTTPAnswer(isHealthy ? 200 : 503, contentType: "application/json", body)
    }
}
