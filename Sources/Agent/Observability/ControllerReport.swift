internal import Datapath
internal import Kubernetes
internal import LinuxKernel
internal import LoadBalancing
internal import NetworkPolicy
internal import PrometheusText

/// What the controller knows of itself, for a scrape.
struct ControllerReport: Sendable {
    /// One map of the data path.
    struct Map: Sendable, Hashable {
        var name: String
        /// Entries that are wanted; nil for maps that the data path fills.
        var entries: Int?
        var capacity: Int
        /// Writes that the kernel refused.
        var failures: UInt64
    }

    /// What the source says of one kind of objects.
    struct Kind: Sendable, Hashable {
        var kind: ObjectKind
        var objects: Int
        var isSynced: Bool
        /// nil from a source that can't be lost.
        var isConnected: Bool?
    }

    var isInForce: Bool
    var maps: [Map]
    var kinds: [Kind]
    var problems: [ObjectProblem]
    /// Files, or resources of an API server, of which something can't be read as any object, by the reason.
    var unreadable: [SourceDiagnostic.Problem: Int]
    /// Writes that wait to be tried again.
    var retries: Int
    var written: UInt64
    var passes: Histogram
    var latency: Histogram
    var endpoints: Int
    var attached: Int
    /// Interfaces that the CNI plugin handed over, and those whose pods nobody knows: they are closed.
    var handedOverInterfaces = (held: 0, closed: 0)
    var frontends: Int
    var learned: LearnedCounts
    var handedOver: HandedOverCounts
    /// Questions that nobody answered in time.
    var unanswered: UInt64
    var healthChecks = HealthChecks.Counts()
    /// Names of addresses that were not copied, as maps were full.
    var uncopied: UInt64
    var routing = RoutingCounts()
}

extension NodeController {
    func report() -> ControllerReport {
        let attached = kernel.attachedPods
        return ControllerReport(
            isInForce: isSynced, maps: mapReports(), kinds: kindReports(), problems: objectProblems(),
            unreadable: diagnostics.unreadable, retries: programming.problems.count, written: programming.written,
            passes: programming.passes,
            latency: latency.histogram, endpoints: interfaces.count,
            attached: interfaces.values.count { attached.contains($0.index) },
            handedOverInterfaces: (attachments.held.count, attachments.strangers.count),
            frontends: state.services.programs.count, learned: names.keeper.counts,
            handedOver: names.learner.counts, unanswered: names.questions.unanswered,
            healthChecks: monitor.checks.counts, uncopied: kernel.uncopiedNames, routing: routes.counts)
    }

    private func mapReports() -> [ControllerReport.Map] {
        let wanted = Dictionary(uniqueKeysWithValues: tables.entryCounts.map { ($0.table.rawValue, $0.count) })
        let refused = Dictionary(uniqueKeysWithValues: programming.refusals.map { ($0.key.rawValue, $0.value) })
        return kernel.mapCapacities.sorted { $0.key < $1.key }.map { name, capacity in
            ControllerReport.Map(
                name: name, entries: wanted[name], capacity: capacity, failures: refused[name] ?? 0)
        }
    }

    private func kindReports() -> [ControllerReport.Kind] {
        ObjectKind.allCases.map { kind in
            ControllerReport.Kind(
                kind: kind, objects: state.objectCounts[kind] ?? 0, isSynced: health[kind]?.isSynced ?? isSynced,
                isConnected: health[kind]?.isConnected)
        }
    }

    /// The objects that are not in force as written.
    func objectProblems() -> [ObjectProblem] {
        let closed = closedPods
        return diagnostics.all.compactMap(ObjectProblem.init) + state.policies.problems.map(ObjectProblem.init)
            + state.services.problems.compactMap(ObjectProblem.init)
            + unlocated.sorted { $0.key < $1.key }.map { ObjectProblem($0.key, $0.value) }
            + interfaces.keys.sorted().compactMap { pod in
                podProblems.problems["\(pod)"].map { ObjectProblem(pod, notAttached: $0) }
            }
            + programming.problems.compactMap(ObjectProblem.init)
            + closed.overlong.map(\.problem) + closed.judging.map(\.problem)
    }

    /// Notes how things stand for the health endpoints.
    func noteHealth() {
        monitor.checks.note(state.services.healthChecks.values, at: state.healthCheckAddresses)
        monitor.note(
            HealthReport(
                roundAt: KernelClock.monotonic(), isInForce: isSynced,
                servicesPendingSince: programming.servicesPendingSince,
                servicesUpdatedAt: programming.servicesUpdatedAt, nodeIsLeaving: state.nodeIsLeaving))
    }
}
