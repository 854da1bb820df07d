internal import Synchronization

/// The store of the last flows, shared by one writer and any number of readers and followers.
///
/// A writer never waits for a follower: each has a bounded queue, and what a slow one misses it gets as one record of
/// loss. All state is behind one lock that is held for memory operations only.
public final class FlowHub: Sendable {
    private struct State {
        var store: FlowStore
        var followers: [UInt64: FlowFollower] = [:]
        var nextFollower: UInt64 = 0
        var lostByFollowers: UInt64 = 0
        var lostInKernel: UInt64 = 0
        var lostInCollector: UInt64 = 0
        var isFinished = false
        /// Readers of the store that wait for a flow that is not there yet.
        var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextWaiting: UInt64 = 0

        /// All of them; none waits any more.
        mutating func takeWaiting() -> [CheckedContinuation<Void, Never>] {
            defer { waiting = [:] }
            return Array(waiting.values)
        }

        private mutating func note(_ loss: FlowLoss) {
            switch loss.source {
            case .kernelRing: lostInKernel += loss.count
            case .collector: lostInCollector += loss.count
            case .store, .follower: break
            }
        }

        mutating func append(_ flow: Flow) {
            store.append(flow)
            if let loss = flow.loss { note(loss) }
            // A copy of a flow touches the counts of all that it refers to, so only for those who look.
            guard !followers.isEmpty, let numbered = store.newest else { return }
            for follower in followers.values { follower.push(numbered) }
        }
    }

    /// Counts for status and metrics.
    public struct Statistics: Sendable, Equatable {
        /// Records appended since the start.
        public var appended: UInt64
        /// Records held now.
        public var stored: Int
        /// Records that can be held.
        public var capacity: Int
        public var followers: Int
        /// Records that slow followers missed, those of followers that are gone included.
        public var lostByFollowers: UInt64
        /// Records that never left the kernel, as records of loss told.
        public var lostInKernel: UInt64
        /// Those that the agent could not read or had no room for, likewise.
        public var lostInCollector: UInt64
    }

    private let state: Mutex<State>

    /// An empty hub.
    ///
    /// - Parameter capacity: how many flows it keeps for readers that come later.
    public init(capacity: Int) { state = Mutex(State(store: FlowStore(capacity: capacity))) }

    /// Stores flows and hands them to the followers.
    public func append(_ flows: [Flow]) {
        let (wakeUps, readers) = state.withLock { state in
            if state.isFinished { return ([FlowFollower.WakeUp](), [CheckedContinuation<Void, Never>]()) }
            for index in flows.indices { state.append(flows[index]) }
            return (state.followers.values.compactMap { $0.wakeUp() }, state.takeWaiting())
        }
        for wakeUp in wakeUps { wakeUp.resume() }
        for reader in readers { reader.resume() }
    }

    /// Stores one flow and hands it to the followers.
    public func append(_ flow: Flow) { append([flow]) }

    /// The newest `count` flows that match, oldest first.
    public func last(_ count: Int, _ filter: FlowFilter = FlowFilter()) -> [Flow] {
        state.withLock { $0.store.last(count, filter) }
    }

    /// At most `limit` flows from number `sequence` on, a record of loss first when some were overwritten.
    public func since(_ sequence: UInt64, _ filter: FlowFilter = FlowFilter(), limit: Int = .max) -> [Flow] {
        state.withLock { $0.store.since(sequence, filter, limit: limit) }
    }

    /// The same of flows before another place.
    public func since(_ position: FlowPosition, before end: FlowPosition, limit: Int = .max) -> [Flow] {
        state.withLock { $0.store.since(position, before: end, limit: limit) }
    }

    /// The place of the oldest flow that is held.
    public var start: FlowPosition { state.withLock { $0.store.start } }

    /// At most `limit` of the flows that a reader has not passed, a record of loss first when some were overwritten.
    public func since(_ position: FlowPosition, limit: Int = .max) -> [Flow] {
        state.withLock { $0.store.since(position, limit: limit) }
    }

    /// Where a reader is that wants only what comes from now on.
    public var end: FlowPosition { state.withLock { $0.store.end } }

    /// The newest `limit` of the flows before number `sequence`, oldest first.
    public func before(_ sequence: UInt64, limit: Int) -> [Flow] {
        state.withLock { $0.store.before(sequence, limit: limit) }
    }

    /// The number of the oldest flow that is held.
    public var firstSequence: UInt64 { state.withLock { $0.store.firstSequence } }

    /// The number that the next flow gets.
    public var nextSequence: UInt64 { state.withLock { $0.store.nextSequence } }

    /// Waits until the flow of a number is there, the hub has finished or the task is cancelled.
    ///
    /// A reader that follows the store this way holds no queue: what is overwritten before it comes is its loss.
    /// - Returns: whether there may be more.
    public func waits(for sequence: UInt64) async -> Bool {
        let id = state.withLock { state in
            state.nextWaiting += 1
            return state.nextWaiting
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if Task.isCancelled || state.isFinished || state.store.nextSequence > sequence { return true }
                    state.waiting[id] = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
        }
        return state.withLock { !$0.isFinished || $0.store.nextSequence > sequence } && !Task.isCancelled
    }

    /// Starts to follow: first the newest `last` flows that match, then all that come, without a gap between.
    ///
    /// - Parameter capacity: how many records the follower's queue holds while nobody takes them.
    /// - Returns: a sequence for one consumer; it ends when the hub finishes, and dropping it unregisters it.
    public func follow(_ filter: FlowFilter = FlowFilter(), last: Int = 0, capacity: Int = 4096) -> FlowSubscription {
        state.withLock { state in
            let past = state.store.last(last, filter)
            let follower = FlowFollower(filter: filter, past: past, capacity: capacity)
            if state.isFinished { follower.finish()?.resume() }
            let id = state.nextFollower
            state.nextFollower += 1
            if !state.isFinished { state.followers[id] = follower }
            return FlowSubscription(hub: self, id: id, follower: follower)
        }
    }

    /// Ends all followers once they have taken what is queued for them; later flows are ignored.
    public func finish() {
        let (wakeUps, readers) = state.withLock { state in
            state.isFinished = true
            let wakeUps = state.followers.values.compactMap { $0.finish() }
            for id in Array(state.followers.keys) { Self.forget(id, &state) }
            return (wakeUps, state.takeWaiting())
        }
        for wakeUp in wakeUps { wakeUp.resume() }
        for reader in readers { reader.resume() }
    }

    /// Counts for status and metrics.
    public var statistics: Statistics {
        state.withLock { state in
            Statistics(
                appended: state.store.nextSequence - 1, stored: state.store.count, capacity: state.store.capacity,
                followers: state.followers.count,
                lostByFollowers: state.followers.values.reduce(state.lostByFollowers) { $0 + $1.lost },
                lostInKernel: state.lostInKernel,
                lostInCollector: state.lostInCollector)
        }
    }

    fileprivate func unregister(_ id: UInt64) { state.withLock { Self.forget(id, &$0) } }

    private static func forget(_ id: UInt64, _ state: inout State) {
        guard let follower = state.followers.removeValue(forKey: id) else { return }
        state.lostByFollowers += follower.lost
    }
}

/// The flows that one follower gets; iterate it from one task at a time.
public final class FlowSubscription: AsyncSequence, Sendable {
    /// Takes the follower's flows one by one.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let subscription: FlowSubscription

        /// The next flow; nil when the hub has finished or the task is cancelled.
        public mutating func next() async -> Flow? { await subscription.follower.next() }
    }

    public typealias Element = Flow
    public typealias Failure = Never
    public typealias AsyncIterator = Iterator

    private let hub: FlowHub
    private let id: UInt64
    fileprivate let follower: FlowFollower

    fileprivate init(hub: FlowHub, id: UInt64, follower: FlowFollower) {
        self.hub = hub
        self.id = id
        self.follower = follower
    }

    deinit { hub.unregister(id) }

    public func makeAsyncIterator() -> Iterator { Iterator(subscription: self) }

    /// How many records this follower has lost.
    public var lost: UInt64 { follower.lost }
}
