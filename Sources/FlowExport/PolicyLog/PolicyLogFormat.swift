public import Flows

/// The policy log: connections that policies allowed, each by itself, and those that they denied, counted together.
public struct PolicyLogFormat: FlowFormat {
    /// The bounds.
    public struct Limits: Sendable, Hashable {
        /// Records a second.
        public var rate = 500
        /// Different denials that wait at one time.
        public var denyKeys = 4096
        /// Nanoseconds that a denial waits for more of its kind.
        public var window: UInt64 = 5_000_000_000

        public init() {}
    }

    private let currentChoice: @Sendable () -> PolicyLogChoice?
    private var choice = PolicyLogChoice()
    private var denials: DenialWindow
    private var rate: RecordRate

    /// - Parameter choice: what is logged now; nil while that is not known.
    public init(_ limits: Limits = Limits(), choice: @escaping @Sendable () -> PolicyLogChoice?) {
        currentChoice = choice
        denials = DenialWindow(length: limits.window, limit: limits.denyKeys)
        rate = RecordRate(limits.rate)
    }

    public var due: UInt64? { denials.due }

    public var isIdle: Bool { choice.allow == .none && choice.deny == .none && denials.due == nil }

    public mutating func begin() -> Bool {
        guard let choice = currentChoice() else { return false }
        self.choice = choice
        return true
    }

    public mutating func take(_ flow: Flow, now: UInt64, into output: inout ExportOutput) {
        switch flow.kind {
        case .opened:
            addAllowed(flow, .egress, by: flow.egressRule, now: now, &output)
            addAllowed(flow, .ingress, by: flow.ingressRule, now: now, &output)
        case .denied: addDenied(flow, now: now, &output)
        case .audited, .closed, .active, .packet, .dns, .lost: break
        }
    }

    public mutating func ripen(now: UInt64, into output: inout ExportOutput) {
        while let waiting = denials.next(now: now) { write(waiting, now: now, &output) }
    }

    /// The rate is for a log that goes on: at the end nothing is left out.
    public mutating func finish(into output: inout ExportOutput) {
        while let waiting = denials.next(now: nil) { output.records.append(ExportRecord(Self.record(waiting))) }
    }

    /// A connection is logged at each end of this node where a rule let it pass.
    private mutating func addAllowed(
        _ flow: Flow, _ direction: Flow.Direction, by rule: RuleReference?, now: UInt64, _ output: inout ExportOutput
    ) {
        guard let parts = rule?.parts, parts.index != nil, choice.logsAllowed(by: .init(parts)) else { return }
        let record = PolicyLogRecord(
            flow: flow, direction: direction, disposition: .allow, policy: .init(parts), count: 1)
        write(ExportRecord(record), now: now, &output)
    }

    private mutating func addDenied(_ flow: Flow, now: UInt64, _ output: inout ExportOutput) {
        // Other drops are no decisions of policies.
        guard flow.dropReason?.hasPrefix("policy_") ?? false else { return }
        let judged = flow.direction == .ingress ? flow.destination : flow.source
        guard choice.logsDenied(at: judged) else { return }
        if !denials.add(flow, now: now) { output.dropped[.denyKeys, default: 0] += flow.count }
    }

    private static func record(_ waiting: DenialWindow.Waiting) -> PolicyLogRecord {
        let flow = waiting.flow
        let rule = flow.direction == .ingress ? flow.ingressRule : flow.egressRule
        return PolicyLogRecord(
            flow: flow, direction: flow.direction, disposition: .deny, policy: rule?.parts.map { .init($0) },
            count: waiting.count)
    }

    private mutating func write(_ waiting: DenialWindow.Waiting, now: UInt64, _ output: inout ExportOutput) {
        write(ExportRecord(Self.record(waiting)), now: now, &output)
    }

    private mutating func write(_ record: ExportRecord, now: UInt64, _ output: inout ExportOutput) {
        if rate.admits(now: now) {
            output.records.append(record)
        } else {
            output.dropped[.rate, default: 0] += record.events
        }
    }
}

extension ExportRecord {
    fileprivate init(_ record: PolicyLogRecord) { self.init(record.json.utf8, events: record.count) }
}
