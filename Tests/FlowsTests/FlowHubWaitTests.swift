import Flows
import Testing

@Suite struct FlowHubWaiting {
    @Test func aReaderIsWokenByTheFlowItWaitsFor() async {
        let hub = FlowHub(capacity: 4)
        async let waited = hub.waits(for: 1)
        hub.append(Sample.flow())
        #expect(await waited && hub.nextSequence == 2)
        #expect(await hub.waits(for: 1), "it is there already")
    }

    @Test func theEndWakesAllAndSaysSo() async {
        let hub = FlowHub(capacity: 4)
        hub.append(Sample.flow())
        async let waited = hub.waits(for: 2)
        hub.finish()
        #expect(await !waited)
        #expect(await hub.waits(for: 1), "what was there can still be read")
    }

    @Test func aCancelledReaderWaitsNoMore() async {
        let hub = FlowHub(capacity: 4)
        let reader = Task { await hub.waits(for: 1) }
        reader.cancel()
        #expect(await !reader.value)
    }

    @Test func flowsBeforeANumberAreTheNewestOfThem() {
        let hub = FlowHub(capacity: 4)
        for _ in 0..<6 { hub.append(Sample.flow()) }
        #expect(hub.before(7, limit: 2).map(\.sequence) == [5, 6])
        #expect(hub.before(5, limit: 9).map(\.sequence) == [3, 4])
        #expect(hub.before(3, limit: 9).isEmpty && hub.before(99, limit: 1).map(\.sequence) == [6])
        #expect(hub.since(4, limit: 2).map(\.sequence) == [4, 5])
    }
}
