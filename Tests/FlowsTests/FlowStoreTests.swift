import Flows
import Testing

@Suite struct FlowStores {
    @Test func theOldestMakesRoom() {
        var store = FlowStore(capacity: 3)
        for _ in 0..<5 { store.append(Sample.flow()) }
        #expect(store.count == 3 && store.firstSequence == 3 && store.nextSequence == 6 && store.overwritten == 2)
        #expect(store.last(10).map(\.sequence) == [3, 4, 5])
        #expect(store.last(2).map(\.sequence) == [4, 5])
        #expect(store.last(0).isEmpty)
    }

    /// Where reading starts, and the numbers that it gives; a record of loss has that of the last one lost.
    static let readings: [(from: UInt64, sequences: [UInt64])] = [
        (0, [2, 3, 4, 5]), (1, [2, 3, 4, 5]), (2, [2, 3, 4, 5]), (3, [3, 4, 5]), (5, [5]), (6, []), (99, []),
    ]

    @Test(arguments: readings)
    func readingOnTellsWhatWasOverwritten(from: UInt64, sequences: [UInt64]) {
        var store = FlowStore(capacity: 3)
        for _ in 0..<5 { store.append(Sample.flow()) }
        let flows = store.since(from)
        #expect(flows.map(\.sequence) == sequences)
        if let loss = flows.first?.loss { #expect(loss.source == .store && loss.count == 3 - max(from, 1)) }
    }

    @Test func whoWantsWhatWasThereOnceGetsThatOrItsLoss() {
        var store = FlowStore(capacity: 4)
        for _ in 0..<4 { store.append(Sample.flow()) }
        let (start, end) = (store.start, store.end)
        func told() -> [String] {
            var (position, told) = (start, [String]())
            while case let flows = store.since(position, before: end, limit: 3), !flows.isEmpty {
                for flow in flows {
                    position.pass(flow)
                    told.append(flow.loss.map { "\($0.count) lost" } ?? "\(flow.sequence)")
                }
            }
            return told
        }
        #expect(told() == ["1", "2", "3", "4"])
        for _ in 0..<2 { store.append(Sample.flow()) }
        #expect(told() == ["2 lost", "3", "4"])
        for _ in 0..<20 { store.append(Sample.flow()) }
        #expect(told() == ["4 lost"])
    }

    @Test func theLastOnesAreCountedAfterTheFilter() {
        var store = FlowStore(capacity: 10)
        for kind in [Flow.Kind.opened, .denied, .opened, .closed] { store.append(Sample.flow(kind)) }
        store.append(.lost(5, by: .kernelRing, time: 0, node: ""))
        store.append(Sample.flow(.closed))
        var filter = FlowFilter()
        filter.kinds = [.opened, .denied]
        #expect(store.last(2, filter).map(\.sequence) == [2, 3, 5], "loss comes on top")
        #expect(store.since(2, filter).map(\.sequence) == [2, 3, 5])
    }

    @Test func aStoredFlowIsSmall() {
        #expect(MemoryLayout<Flow>.stride <= 512, "65,536 of them are \(MemoryLayout<Flow>.stride * 65_536 >> 20) MiB")
    }

    @Test func anEmptyStoreAnswersNothing() {
        let store = FlowStore(capacity: 0)
        #expect(store.last(5).isEmpty && store.since(0).isEmpty && store.capacity == 1)
    }
}

@Suite(.timeLimit(.minutes(10))) struct FlowHubs {
    @Test func aFollowerGetsThePastAndThenAllThatComes() async {
        let hub = FlowHub(capacity: 10)
        hub.append([Sample.flow(), Sample.flow(), Sample.flow()])
        let subscription = hub.follow(last: 2)
        hub.append(Sample.flow())
        hub.finish()
        var sequences: [UInt64] = []
        for await flow in subscription { sequences.append(flow.sequence) }
        #expect(sequences == [2, 3, 4])
        hub.append(Sample.flow())
        #expect(hub.statistics.appended == 4, "a finished hub takes nothing")
    }

    @Test func aSlowFollowerGetsTheCountOfWhatItMissed() async {
        let hub = FlowHub(capacity: 10)
        let slow = hub.follow(capacity: 4)
        let fast = hub.follow(capacity: 100)
        for _ in 0..<10 { hub.append(Sample.flow()) }
        var iterator = slow.makeAsyncIterator()
        for expected in 1...4 as ClosedRange<UInt64> { #expect(await iterator.next()?.sequence == expected) }
        hub.append(Sample.flow())
        let loss = await iterator.next()
        #expect(loss?.loss == FlowLoss(source: .follower, count: 6) && loss?.sequence == 10)
        #expect(await iterator.next()?.sequence == 11)
        #expect(hub.statistics.lostByFollowers == 6 && slow.lost == 6 && fast.lost == 0)
        hub.finish()
        var count = 0
        for await _ in fast { count += 1 }
        #expect(count == 11)
    }

    @Test func lossThatIsLostIsCountedToo() async {
        let hub = FlowHub(capacity: 10)
        let follower = hub.follow(capacity: 2)
        hub.append([Sample.flow(), Sample.flow(), .lost(100, by: .kernelRing, time: 0, node: ""), Sample.flow()])
        hub.finish()
        var losses: [UInt64] = []
        for await flow in follower { losses.append(flow.loss?.count ?? 0) }
        #expect(losses == [0, 0, 101] && hub.statistics.lostInKernel == 100)
    }

    @Test func onlyWhatMatchesCountsForAFollower() async {
        let hub = FlowHub(capacity: 10)
        var filter = FlowFilter()
        filter.kinds = [.denied]
        let follower = hub.follow(filter, capacity: 2)
        for _ in 0..<50 { hub.append(Sample.flow()) }
        hub.append(Sample.flow(.denied))
        hub.finish()
        var kinds: [Flow.Kind] = []
        for await flow in follower { kinds.append(flow.kind) }
        #expect(kinds == [.denied] && hub.statistics.lostByFollowers == 0)
    }

    @Test func droppingASubscriptionForgetsTheFollower() {
        let hub = FlowHub(capacity: 10)
        var subscription: FlowSubscription? = hub.follow(capacity: 2)
        for _ in 0..<5 { hub.append(Sample.flow()) }
        #expect(hub.statistics.followers == 1)
        subscription = nil
        #expect(subscription == nil && hub.statistics.followers == 0)
        #expect(hub.statistics.lostByFollowers == 3, "its loss is not forgotten")
    }

    @Test func aCancelledFollowerStopsWaiting() async {
        let hub = FlowHub(capacity: 10)
        let task = Task {
            var count = 0
            for await _ in hub.follow() { count += 1 }
            return count
        }
        task.cancel()
        #expect(await task.value == 0)
        #expect(hub.statistics.followers == 0)
    }

    @Test func followingAFinishedHubEnds() async {
        let hub = FlowHub(capacity: 10)
        hub.append(Sample.flow())
        hub.finish()
        var count = 0
        for await _ in hub.follow(last: 5) { count += 1 }
        #expect(count == 1)
    }

    @Test func deliveredAndLostAddUpWhateverTheSpeed() async {
        let hub = FlowHub(capacity: 16)
        let total = 20_000
        let sums = await withTaskGroup(of: Int.self) { group in
            for capacity in [2, 7, 64, 30_000] {
                let follower = hub.follow(capacity: capacity)
                group.addTask {
                    var sum = 0
                    var previous: UInt64 = 0
                    for await flow in follower {
                        if flow.sequence <= previous { return -1 }
                        previous = flow.sequence
                        sum += Int(flow.loss?.count ?? 1)
                    }
                    return sum
                }
            }
            group.addTask {
                for number in 0..<total {
                    hub.append(Sample.flow())
                    if number % 100 == 0 { await Task.yield() }
                }
                hub.finish()
                return total
            }
            return await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(sums == [total, total, total, total, total])
    }
}
