internal import Datapath
internal import PrometheusText

/// How writing to the data path goes: what to try again and when, and what has been said already.
struct ProgrammingState: Sendable {
    /// The first wait after a failure and the longest one, in nanoseconds.
    private static let firstDelay: UInt64 = 100_000_000
    private static let longestDelay: UInt64 = 10_000_000_000
    /// After so long, in nanoseconds, what is not written is not merely on its way.
    static let moment: UInt64 = 1_000_000_000

    private(set) var written: UInt64 = 0
    private(set) var failures: UInt64 = 0
    private(set) var lastDuration: UInt64 = 0
    private(set) var problems: [DatapathProblem] = []
    /// Since when each of them stands, in CLOCK_MONOTONIC nanoseconds.
    private var since: [DatapathProblem: UInt64] = [:]
    /// How long passes took, in seconds.
    private(set) var passes = Histogram(exponential: 0.0001, factor: 2, count: 18)
    /// Writes that the kernel refused, by map.
    private(set) var refusals: [DatapathTable: UInt64] = [:]
    /// Since when the kernel refuses what Services need, in CLOCK_MONOTONIC nanoseconds. A map that is full is not among
    /// that: the other Services work, and no other node would be better off.
    private(set) var servicesPendingSince: UInt64?
    /// When nothing of Services was refused last, in CLOCK_MONOTONIC nanoseconds; nil: never yet.
    private(set) var servicesUpdatedAt: UInt64?
    private var reported: Set<DatapathProblem> = []
    private var delay = firstDelay
    /// When to program next, in CLOCK_MONOTONIC nanoseconds; nil: when something changes.
    private var due: UInt64?
    private var lastDriftCheck: UInt64 = 0

    /// Notes the outcome of a pass.
    mutating func note(_ report: ProgrammingReport, started: UInt64, ended: UInt64) {
        written += UInt64(report.written)
        lastDuration = ended - started
        problems = Self.distinct(report.problems)
        since = Dictionary(uniqueKeysWithValues: problems.map { ($0, since[$0] ?? ended) })
        passes.observe(Double(lastDuration) / 1e9)
        noteRefusals(report, at: ended)
        if report.problems.isEmpty {
            delay = Self.firstDelay
            due = report.nextDeadline
        } else {
            due = min(ended + delay, report.nextDeadline ?? .max)
            delay = min(delay * 2, Self.longestDelay)
        }
    }

    private mutating func noteRefusals(_ report: ProgrammingReport, at now: UInt64) {
        var servicesAreRefused = false
        for problem in report.problems {
            guard case .refused(let table, let error) = problem.reason else { continue }
            failures += UInt64(problem.count)
            refusals[table, default: 0] += UInt64(problem.count)
            servicesAreRefused = servicesAreRefused || (table.isOfServices && !error.saysFull)
        }
        servicesPendingSince = servicesAreRefused ? servicesPendingSince ?? now : nil
        if !servicesAreRefused { servicesUpdatedAt = now }
    }

    /// The maps of policies and of classes of peers that had no room, each once, with the flags that size them: what
    /// may be the cause of a pod that is closed.
    var fullPolicyMaps: [String] {
        let full = problems.filter { problem in
            if case .refused(let table, let error) = problem.reason {
                table.isOfPolicies && error.saysFull
            } else {
                false
            }
        }
        return Set(full.map(\.reason.description)).sorted()
    }

    /// What has been wanted for longer than a moment and is not in the kernel.
    func standing(at now: UInt64) -> [DatapathProblem] {
        problems.filter { problem in since[problem].map { now >= $0 + Self.moment } ?? false }
    }

    /// Something else is wanted now, and what failed may find room: the waits start anew.
    mutating func startAnew() { delay = Self.firstDelay }

    /// The problems that have not been told yet; one that goes away and comes back is news again.
    mutating func news(in report: ProgrammingReport) -> [DatapathProblem] {
        let now = Set(report.problems)
        defer { reported = now }
        return Self.distinct(report.problems).filter { !reported.contains($0) }
    }

    /// One of each in order: every entry of an object that was refused is a problem, and they read alike.
    private static func distinct(_ problems: [DatapathProblem]) -> [DatapathProblem] {
        var seen: Set<DatapathProblem> = []
        return problems.filter { seen.insert($0).inserted }
    }

    /// Whether a pass is due.
    func isDue(at now: UInt64) -> Bool { due.map { $0 <= now } ?? false }

    /// Whether the kernel should be compared with what is wanted.
    mutating func driftIsDue(at now: UInt64, interval: Duration) -> Bool {
        if lastDriftCheck == 0 { lastDriftCheck = now }
        guard now - lastDriftCheck >= interval.nanoseconds else { return false }
        lastDriftCheck = now
        return true
    }
}

extension DatapathTable {
    fileprivate var isOfPolicies: Bool {
        switch self {
        case .policyPages, .policyPeers, .policySinglePorts, .policyPorts, .peerClasses, .peerPrefixes, .policyEpoch:
            true
        case .info, .interfaces, .endpoints, .endpointAddresses, .services, .slots, .backends, .names, .dnsResolvers,
            .sourceRanges, .uplinks, .nonMasquerade, .nodeRanges:
            false
        }
    }

    fileprivate var isOfServices: Bool { self == .services || self == .slots || self == .backends }
}

extension Duration {
    /// Whole nanoseconds; 0 for what is negative.
    var nanoseconds: UInt64 {
        let parts = components
        return UInt64(max(0, parts.seconds)) * 1_000_000_000 + UInt64(max(0, parts.attoseconds) / 1_000_000_000)
    }
}
