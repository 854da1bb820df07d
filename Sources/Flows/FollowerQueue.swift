/// The bounded queue of one follower: what does not fit is counted, and the count takes its place in the queue.
///
/// A value without locks or waiting, so that its accounting can be tested alone.
struct FollowerQueue: Sendable {
    /// How many records it holds at most.
    let capacity: Int
    /// How many records this follower has lost so far.
    private(set) var lost: UInt64 = 0

    private var ring: [Flow?]
    private var head = 0
    private(set) var count = 0
    /// Records lost since the newest one in the queue, and the last of them.
    private var gap: (count: UInt64, last: Flow)?

    /// An empty queue; `capacity` is at least two, for a record of loss and the flow after it.
    init(capacity: Int) {
        self.capacity = max(capacity, 2)
        ring = Array(repeating: nil, count: self.capacity)
    }

    /// Adds a record, or counts it as lost.
    mutating func push(_ flow: Flow) {
        if let gap {
            guard count + 2 <= capacity else { return lose(flow) }
            store(record(of: gap))
            self.gap = nil
            store(flow)
        } else if count < capacity {
            store(flow)
        } else {
            lose(flow)
        }
    }

    /// Takes the oldest record; a gap after the last one comes out as a record of loss.
    mutating func pop() -> Flow? {
        guard count > 0 else {
            defer { gap = nil }
            return gap.map(record)
        }
        let flow = ring[head]
        ring[head] = nil
        head = (head + 1) % capacity
        count -= 1
        return flow
    }

    private mutating func store(_ flow: Flow) {
        ring[(head + count) % capacity] = flow
        count += 1
    }

    /// A record of loss that gets lost itself stands for all that it counted.
    private mutating func lose(_ flow: Flow) {
        let missing = flow.loss?.count ?? 1
        lost += missing
        gap = ((gap?.count ?? 0) + missing, flow)
    }

    private func record(of gap: (count: UInt64, last: Flow)) -> Flow {
        var record = Flow.lost(gap.count, by: .follower, time: gap.last.time, node: gap.last.node)
        record.sequence = gap.last.sequence
        return record
    }
}
