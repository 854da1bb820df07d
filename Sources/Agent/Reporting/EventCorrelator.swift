internal import KubernetesAPI

/// What is to be written as Events about objects that are not in force, as a value: problems go in, writes come out.
///
/// A problem is written when it has lasted for a while, counted up while it lasts (the API server forgets Events after an
/// hour), and followed by a normal Event when it is over. One that comes back goes on with its Event, and so does one
/// of which something else is said meanwhile: the Event says that when it is written again.
struct EventCorrelator: Sendable {
    /// What is to be written.
    enum Write: Sendable, Hashable {
        case create(ClusterEvent)
        /// The Event happened again; if it is not there any more, it is to be created.
        case update(ClusterEvent)

        var event: ClusterEvent {
            switch self {
            case .create(let event), .update(let event): event
            }
        }
    }

    struct Limits: Sendable {
        /// How long a problem must have lasted before it is written, in nanoseconds: much is over by itself.
        var delay: UInt64 = 10_000_000_000
        /// After how long a lasting problem is written again.
        var interval: UInt64 = 1_800_000_000_000
        /// For how long a problem that is over is remembered.
        var memory: UInt64 = 600_000_000_000
        /// How many Events about one object may be written at once, and after how long there may be another one, as
        /// client-go's recorders have it.
        var burst = 25
        var refill: UInt64 = 300_000_000_000
        /// How many writes may come out at once; the others follow with the next call.
        var writes = 20
        /// How many problems are followed; what is beyond is not written.
        var problems = 1024

        init() {}
    }

    private struct State: Sendable {
        /// Since when it lasts; nil: it is over.
        var since: UInt64?
        var event: ClusterEvent?
        var writtenAt: UInt64 = 0
        var endedAt: UInt64 = 0
        /// Whether it is over and that is not written yet.
        var owesEnding = false
    }

    private let limits: Limits
    private let node: String
    private var states: [ObjectProblem.Key: State] = [:]
    private var allowances: [ObjectReference: Allowance] = [:]
    /// Events that were not written because there are too many.
    private(set) var suppressed: UInt64 = 0

    init(node: String, limits: Limits = Limits()) {
        self.node = node
        self.limits = limits
    }

    /// Takes in the problems that there are now, and says what is to be written.
    ///
    /// - Parameters:
    ///   - subject: the object of a problem as the API server knows it; nil: it has no such kind.
    ///   - now: nanoseconds since 1970, for the names of Events too.
    ///   - time: the same as RFC 3339, to the second.
    mutating func update(
        _ problems: [ObjectProblem], subject: (ObjectReference) -> ClusterEvent.Subject?, now: UInt64, time: String
    ) -> [Write] {
        let current = Dictionary(problems.map { ($0.key, $0) }) { min($0, $1) }
        follow(Set(current.keys), now)
        var writes: [Write] = []
        for (key, state) in states.sorted(by: { $0.key < $1.key }) where writes.count < limits.writes {
            if let problem = current[key] {
                guard isDue(state, now), let subject = subject(key.object) else { continue }
                writes += write(problem, state, subject, now, time)
            } else if state.owesEnding, let event = state.event {
                states[key]?.owesEnding = false
                writes.append(.create(ending(of: event, now, time)))
            }
        }
        return writes
    }

    /// A new Event could not be written: it is tried again after the delay. What only happened again is not.
    mutating func failed(_ write: Write, now: UInt64) {
        guard case .create(let event) = write else { return }
        for (problem, state) in states where state.event?.name == event.name {
            states[problem]?.event = nil
            if state.since != nil { states[problem]?.since = now }
        }
    }

    /// Notes which problems have begun and ended, and forgets old ones.
    private mutating func follow(_ current: Set<ObjectProblem.Key>, _ now: UInt64) {
        for problem in current.subtracting(states.keys).sorted() {
            if states.count < limits.problems { states[problem] = State(since: now) } else { suppressed += 1 }
        }
        for (problem, state) in states {
            if current.contains(problem) {
                if state.since == nil { states[problem]?.since = now }
                states[problem]?.owesEnding = false
            } else if state.since != nil {
                states[problem]?.since = nil
                states[problem]?.endedAt = now
                states[problem]?.owesEnding = true
                if state.event == nil { states[problem] = nil }
            } else if now - state.endedAt >= limits.memory {
                states[problem] = nil
            }
        }
        let followed = Set(states.keys.map(\.object))
        allowances = allowances.filter { followed.contains($0.key) || !$0.value.isFull(now, limits) }
    }

    private func isDue(_ state: State, _ now: UInt64) -> Bool {
        guard let since = state.since, now - since >= limits.delay else { return false }
        return state.event == nil || state.writtenAt < since || now - state.writtenAt >= limits.interval
    }

    private mutating func write(
        _ problem: ObjectProblem, _ state: State, _ subject: ClusterEvent.Subject, _ now: UInt64, _ time: String
    ) -> [Write] {
        states[problem.key]?.writtenAt = now
        guard allowances[problem.object, default: Allowance(limits, now)].take(now, limits) else {
            suppressed += 1
            return []
        }
        var event =
            state.event
            ?? ClusterEvent(
                name: name(problem, now), subject: subject, isWarning: true,
                reason: problem.reason.rawValue, message: problem.message, node: node, time: time)
        if state.event != nil {
            event.message = problem.message
            event.count += 1
            event.lastTime = time
        }
        states[problem.key]?.event = event
        return state.event == nil ? [.create(event)] : [.update(event)]
    }

    private func ending(of event: ClusterEvent, _ now: UInt64, _ time: String) -> ClusterEvent {
        ClusterEvent(
            name: event.name + ".end" + String(now / 1_000_000_000, radix: 16), subject: event.subject,
            isWarning: false, reason: "Mended", message: "No longer \(event.reason): \(event.message)", node: node,
            time: time)
    }

    /// A name as client-go's recorders give: the object's, and a number that no other Event about it has.
    private func name(_ problem: ObjectProblem, _ now: UInt64) -> String {
        // Agents of many nodes may find the same at the same time (FNV-1a).
        let what = "\(node)/\(problem.object.kind)/\(problem.reason.rawValue)/\(problem.topic)"
        let hash = what.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "\(problem.object.name.prefix(200)).\(String(now &+ hash % 1_000_000_000, radix: 16))"
    }
}

/// How many Events about an object may still be written.
private struct Allowance: Sendable {
    private var tokens: Double
    private var since: UInt64

    init(_ limits: EventCorrelator.Limits, _ now: UInt64) {
        tokens = Double(limits.burst)
        since = now
    }

    private func tokens(_ now: UInt64, _ limits: EventCorrelator.Limits) -> Double {
        min(Double(limits.burst), tokens + Double(now - min(now, since)) / Double(max(1, limits.refill)))
    }

    func isFull(_ now: UInt64, _ limits: EventCorrelator.Limits) -> Bool {
        tokens(now, limits) >= Double(limits.burst)
    }

    mutating func take(_ now: UInt64, _ limits: EventCorrelator.Limits) -> Bool {
        tokens = tokens(now, limits)
        since = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}

extension ObjectProblem.Key: Comparable {
    static func < (left: ObjectProblem.Key, right: ObjectProblem.Key) -> Bool {
        (left.object.kind, left.object.namespace, left.object.name, left.reason.rawValue, left.topic)
            < (right.object.kind, right.object.namespace, right.object.name, right.reason.rawValue, right.topic)
    }
}

extension ObjectProblem: Comparable {
    static func < (left: ObjectProblem, right: ObjectProblem) -> Bool {
        left.key == right.key ? left.message < right.message : left.key < right.key
    }
}
