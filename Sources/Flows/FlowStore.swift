/// The last flows, each with a number that grows by one.
///
/// A ring of fixed capacity: the oldest flow makes room for the newest.
public struct FlowStore: Sendable {
    /// How many flows it keeps.
    public let capacity: Int
    /// The number that the next flow gets; the first is 1.
    public private(set) var nextSequence: UInt64 = 1

    private var ring: [Flow] = []
    /// The events that the records stand for which have made room for newer ones.
    private var overwrittenEvents: UInt64 = 0
    /// Those of all records so far.
    private var appendedEvents: UInt64 = 0

    /// An empty store.
    ///
    /// - Parameter capacity: how many flows it keeps, at least one.
    public init(capacity: Int) { self.capacity = max(capacity, 1) }

    /// How many flows it holds.
    public var count: Int { ring.count }

    /// The number of the oldest flow that is still here; ``nextSequence`` when there is none.
    public var firstSequence: UInt64 { nextSequence - UInt64(ring.count) }

    /// How many flows have made room for newer ones.
    public var overwritten: UInt64 { firstSequence - 1 }

    /// Where a reader is that wants only what comes from now on.
    public var end: FlowPosition { FlowPosition(sequence: nextSequence, events: appendedEvents) }

    /// Stores a flow under the next number.
    public mutating func append(_ flow: Flow) {
        let slot = slot(of: nextSequence)
        if ring.count < capacity {
            ring.append(flow)
        } else {
            overwrittenEvents += ring[slot].storedEvents
            ring[slot] = flow
        }
        ring[slot].sequence = nextSequence
        appendedEvents += flow.storedEvents
        nextSequence += 1
    }

    /// The flow that was stored last.
    var newest: Flow? { ring.isEmpty ? nil : ring[slot(of: nextSequence - 1)] }

    /// The newest `count` flows that match, oldest first; records of loss between them come on top of the count.
    public func last(_ count: Int, _ filter: FlowFilter = FlowFilter()) -> [Flow] {
        var found: [Flow] = []
        var missing = count
        var sequence = nextSequence
        while missing > 0, sequence > firstSequence {
            sequence -= 1
            let flow = ring[slot(of: sequence)]
            guard filter.matches(flow) else { continue }
            found.append(flow)
            if flow.kind != .lost { missing -= 1 }
        }
        return found.reversed()
    }

    /// At most `limit` flows from number `sequence` on; when some of them were overwritten, a record of that loss comes
    /// first.
    public func since(_ sequence: UInt64, _ filter: FlowFilter = FlowFilter(), limit: Int = .max) -> [Flow] {
        let wanted = max(sequence, 1)
        guard wanted < nextSequence else { return [] }
        var found: [Flow] = []
        let oldest = ring[slot(of: firstSequence)]
        if wanted < firstSequence {
            var loss = Flow.lost(firstSequence - wanted, by: .store, time: oldest.time, node: oldest.node)
            loss.sequence = firstSequence - 1
            found.append(loss)
        }
        for number in max(wanted, firstSequence)..<nextSequence where found.count < limit {
            let flow = ring[slot(of: number)]
            if filter.matches(flow) { found.append(flow) }
        }
        return found
    }

    /// At most `limit` of the flows that a reader has not passed; when some of them were overwritten, a record of that loss
    /// comes first. It stands for what overwritten records of loss have stood for, too.
    public func since(_ position: FlowPosition, limit: Int = .max) -> [Flow] {
        var flows = since(position.sequence, limit: limit)
        if let loss = flows.first?.loss, loss.source == .store {
            let missing = overwrittenEvents &- position.events
            flows[0].count = missing
            flows[0].loss?.count = missing
        }
        return flows
    }

    /// The same of flows before another place, for a reader that wants what was there once: of what has been overwritten
    /// since then only what was before that place is its loss.
    public func since(_ position: FlowPosition, before end: FlowPosition, limit: Int = .max) -> [Flow] {
        guard position.sequence < end.sequence else { return [] }
        guard firstSequence >= end.sequence else {
            return since(position, limit: limit).filter { $0.sequence < end.sequence }
        }
        let oldest = ring[slot(of: firstSequence)]
        var loss = Flow.lost(end.events &- position.events, by: .store, time: oldest.time, node: oldest.node)
        loss.sequence = end.sequence - 1
        return [loss]
    }

    /// The place of the oldest flow that is still here.
    public var start: FlowPosition { FlowPosition(sequence: firstSequence, events: overwrittenEvents) }

    /// The newest `limit` of the flows before number `sequence`, oldest first.
    public func before(_ sequence: UInt64, limit: Int) -> [Flow] {
        let end = min(sequence, nextSequence)
        guard end > firstSequence else { return [] }
        let count = min(UInt64(max(limit, 0)), end - firstSequence)
        return (end - count..<end).map { ring[slot(of: $0)] }
    }

    private func slot(of sequence: UInt64) -> Int { Int((sequence - 1) % UInt64(capacity)) }
}

/// How far a reader of a store has come, in records and in the events that they stand for: a record of loss stands for as
/// many as it counts. So its sum is right also when such a record was overwritten before it came.
public struct FlowPosition: Sendable, Hashable, LosslessStringConvertible {
    /// The number of the flow that is next.
    public private(set) var sequence: UInt64
    private(set) var events: UInt64

    /// The start of a store.
    public init() { self.init(sequence: 1, events: 0) }

    init(sequence: UInt64, events: UInt64) {
        self.sequence = sequence
        self.events = events
    }

    /// Parses what ``description`` has written; nil where the text is no place.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt64($0) }
        guard parts.count == 2, let sequence = parts[0], let events = parts[1], sequence > 0 else { return nil }
        self.init(sequence: sequence, events: events)
    }

    /// The number of the next flow and the events before it: `7-9`.
    public var description: String { "\(sequence)-\(events)" }

    /// Goes on behind the flow that the store gave next.
    public mutating func pass(_ flow: Flow) {
        sequence = flow.sequence + 1
        // A place that was parsed may say anything.
        events &+= flow.storedEvents
    }

    /// Goes back to before the flow that ``FlowStore/before(_:limit:)`` gave last.
    public mutating func goBack(before flow: Flow) {
        sequence = flow.sequence
        events &-= flow.storedEvents
    }
}

extension Flow {
    /// As many events as it takes the place of in the stream.
    fileprivate var storedEvents: UInt64 { loss?.count ?? 1 }
}
