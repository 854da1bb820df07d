import Flows
import Synchronization
import Testing

@testable import ApusCLI

@Suite struct `A meter of flows` {
    private let clock = Clock()
    private let shown = Text()

    private final class Clock: Sendable {
        private let time = Atomic<UInt64>(FakeDatapath.now)

        var now: UInt64 { time.load(ordering: .relaxed) }

        func pass(seconds: Double) { _ = time.add(UInt64(seconds * 1_000_000_000), ordering: .relaxed) }
    }

    private func meter(isQuiet: Bool = false, isSeen: Bool = true) -> FlowMeter {
        let shown = shown
        let renew: @Sendable (String) -> Void = { shown.append("<\($0)>") }
        let console = Console(write: { _ in }, note: { _ in }, renew: isSeen ? renew : nil)
        return FlowMeter(console, isQuiet: isQuiet) { [clock] in clock.now }
    }

    private func count(_ number: Int, _ meter: FlowMeter) {
        for _ in 0..<number { meter.count(FakeDatapath.flow(port: 80)) }
    }

    @Test func `tells twice a second at most, and takes it away in the end`() {
        let meter = meter()
        count(9, meter)
        clock.pass(seconds: 2)
        count(2, meter)
        clock.pass(seconds: 0.4)
        count(1, meter)
        meter.count(.lost(5, by: .kernelRing, time: 0, node: "node-a"))
        #expect(meter.finish() == "12 flows in 2s, 5.0 a second, 5 records lost")
        #expect(shown.value == "<10 flows in 2s, 5.0 a second><>")
    }

    @Test func `of a short time it is the rate of a second`() {
        let meter = meter()
        count(3, meter)
        clock.pass(seconds: 0.1)
        #expect(meter.finish() == "3 flows in 100ms, 3.0 a second" && shown.value.isEmpty)
    }

    @Test(arguments: [(true, true), (false, false)]) func `tells nothing where it is not to be seen`(
        _ isQuiet: Bool, _ isSeen: Bool
    ) {
        let meter = meter(isQuiet: isQuiet, isSeen: isSeen)
        clock.pass(seconds: 5)
        count(1, meter)
        #expect(meter.finish() == "1 flow in 5s, 0.2 a second" && shown.value.isEmpty)
    }
}
