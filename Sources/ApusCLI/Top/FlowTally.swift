internal import Addressing
package import Flows

/// What flows are summed up by.
package enum TallyKey: String, CaseIterable, Sendable, Codable {
    case pod, service, name, reason
}

/// Sums of flows by what they are of, over all of them or those of a time.
///
/// A value without a clock: time is that of the flows.
package struct FlowTally: Sendable {
    /// What is summed up of one pod, Service, name or reason.
    package struct Sums: Sendable, Equatable {
        /// Connections that were opened.
        package var connections: UInt64 = 0
        /// Packets that were denied, and those that audit mode let pass.
        package var denials: UInt64 = 0
        package var audits: UInt64 = 0
        /// Bytes of connections that ended or were reported as living on: of a pod those that it sent and got, else those
        /// from and to the client.
        package var sent: UInt64 = 0
        package var received: UInt64 = 0

        package init() {}

        fileprivate mutating func add(_ other: Sums) {
            connections &+= other.connections
            denials &+= other.denials
            audits &+= other.audits
            // What records say is no more certain than what they come from.
            sent &+= other.sent
            received &+= other.received
        }
    }

    /// How many parts a window has that leave it one by one.
    private static let parts: UInt64 = 30
    /// How many different names are summed up apart in each part, and how many connections are remembered.
    private static let limit = 10_000
    /// What the others are summed up as.
    package static let other = "(others)"

    private let key: TallyKey
    /// Nanoseconds of a part; nil: all time is one.
    private let part: UInt64?
    private var sums: [UInt64: [String: Sums]] = [:]
    /// What the last record of a living connection had counted.
    private var seen: [FlowTuple: FlowCounters] = [:]
    /// Records that are missing.
    package private(set) var lost: UInt64 = 0
    /// The times of the newest flow and of the first.
    private var newest: UInt64 = 0
    private var oldest = UInt64.max
    private let window: UInt64?

    /// - Parameter window: nanoseconds that a flow counts; nil: for ever.
    package init(by key: TallyKey, window: UInt64?) {
        self.key = key
        self.window = window
        part = window.map { max($0 / Self.parts, 1) }
    }

    /// Takes in a flow.
    package mutating func add(_ flow: Flow) {
        if let loss = flow.loss {
            lost &+= loss.count
            return
        }
        newest = max(newest, flow.time)
        oldest = min(oldest, flow.time)
        let bytes = takeNew(flow)
        for (name, isSource) in names(flow) {
            var sums = Sums()
            switch flow.kind {
            case .opened: sums.connections = 1
            case .denied: sums.denials = flow.count
            case .audited: sums.audits = flow.count
            case .closed, .active:
                (sums.sent, sums.received) = isSource ? bytes : (bytes.received, bytes.sent)
            case .packet, .dns, .lost: continue
            }
            add(sums, to: name, at: flow.time)
        }
    }

    /// The sums of the window that ends now, the largest first; what comes first decides the order, then the name.
    ///
    /// - Parameter now: nanoseconds since 1970; nil: the time of the newest flow.
    package mutating func rows(now: UInt64?) -> [(name: String, sums: Sums)] {
        let end = max(now ?? newest, newest)
        if let part {
            let first = end / part
            sums = sums.filter { $0.key + Self.parts > first }
        }
        var whole: [String: Sums] = [:]
        for part in sums.values { for (name, more) in part { whole[name, default: Sums()].add(more) } }
        return whole.sorted { left, right in
            let (more, less) = (order(left.value), order(right.value))
            return more == less ? left.key < right.key : more.lexicographicallyPrecedes(less, by: >)
        }.map { (name: $0.key, sums: $0.value) }
    }

    /// Nanoseconds that the sums of ``rows(now:)`` are of.
    package func span(now: UInt64?) -> UInt64 {
        let end = max(now ?? newest, newest)
        return min(end > oldest ? end - oldest : 0, window ?? .max)
    }

    private func order(_ sums: Sums) -> [UInt64] {
        let (bytes, denials) = (sums.sent &+ sums.received, sums.denials &+ sums.audits)
        return key == .reason ? [denials] : [bytes, sums.connections, denials]
    }

    private mutating func add(_ more: Sums, to name: String, at time: UInt64) {
        let part = part.map { time / $0 } ?? 0
        let isFull = sums[part]?[name] == nil && sums[part]?.count ?? 0 >= Self.limit
        sums[part, default: [:]][isFull ? Self.other : name, default: Sums()].add(more)
    }

    /// The bytes that no earlier record of the connection told.
    private mutating func takeNew(_ flow: Flow) -> (sent: UInt64, received: UInt64) {
        guard flow.kind == .closed || flow.kind == .active, let counters = flow.counters else { return (0, 0) }
        let former = seen[flow.tuple] ?? FlowCounters()
        if flow.kind == .closed {
            seen[flow.tuple] = nil
        } else if seen[flow.tuple] != nil || seen.count < Self.limit {
            seen[flow.tuple] = counters
        } else {
            // Told once it ends.
            return (0, 0)
        }
        func new(_ now: UInt64, _ then: UInt64) -> UInt64 { now >= then ? now - then : now }
        return (
            new(counters.forward.bytes, former.forward.bytes), new(counters.reverse.bytes, former.reverse.bytes)
        )
    }

    /// What a flow is summed up as, and whether that is at the opener's end.
    private func names(_ flow: Flow) -> [(name: String, isSource: Bool)] {
        switch key {
        case .pod:
            let ends = [(flow.source, true), (flow.destination, false)]
            return ends.filter { $0.0.kind == .pod }.map { (name: "\($0.0)", isSource: $0.1) }
        case .service: return flow.service.map { [(name: Self.text($0), isSource: true)] } ?? []
        case .name: return flow.destinationNames.first.map { [(name: $0, isSource: true)] } ?? []
        case .reason: return flow.dropReason.map { [(name: $0, isSource: true)] } ?? []
        }
    }

    private static func text(_ service: FlowService) -> String {
        guard let namespace = service.namespace, let name = service.name else { return "\(service.frontend)" }
        return "\(namespace)/\(name)" + (service.portName.map { ":\($0)" } ?? "")
    }
}
