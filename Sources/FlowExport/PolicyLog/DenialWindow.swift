internal import Addressing
internal import Flows

/// Denials that wait, so that those of one client to one server are told together.
struct DenialWindow: Sendable {
    /// A connection without the client's port.
    private struct Key: Hashable {
        let source: IPAddress
        let destination: SocketAddress
        let ipProtocol: IPProtocol
        let direction: Flow.Direction

        init(_ flow: Flow) {
            source = flow.tuple.source.address
            destination = flow.tuple.destination
            ipProtocol = flow.tuple.ipProtocol
            direction = flow.direction
        }
    }

    /// The first of some denials, and their number.
    struct Waiting: Sendable {
        let flow: Flow
        var count: UInt64
        fileprivate let due: UInt64
    }

    /// Nanoseconds that a denial waits for more of its kind.
    private let length: UInt64
    /// How many may wait.
    private let limit: Int
    private var waiting: [Key: Waiting] = [:]
    /// In the order in which they are due.
    private var order: [Key] = []
    /// How many of `order` have been told.
    private var told = 0

    init(length: UInt64, limit: Int) {
        self.length = length
        self.limit = max(limit, 1)
    }

    /// When the first is due.
    var due: UInt64? { told < order.count ? waiting[order[told]]?.due : nil }

    /// Takes in a denial; false when it finds no room.
    mutating func add(_ flow: Flow, now: UInt64) -> Bool {
        let key = Key(flow)
        if waiting[key] != nil {
            waiting[key]?.count += flow.count
            return true
        }
        guard waiting.count < limit else { return false }
        waiting[key] = Waiting(flow: flow, count: flow.count, due: now + length)
        order.append(key)
        return true
    }

    /// Takes out one that is due; with nil for the time, any.
    mutating func next(now: UInt64?) -> Waiting? {
        guard told < order.count, let first = waiting[order[told]], now.map({ first.due <= $0 }) ?? true else {
            return nil
        }
        waiting[order[told]] = nil
        told += 1
        if told == order.count || told > 1024 {
            order.removeFirst(told)
            told = 0
        }
        return first
    }
}
