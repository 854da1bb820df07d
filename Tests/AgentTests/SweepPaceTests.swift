import Testing

@testable import Agent

@Suite("How often the agent looks at all names that are held")
struct SweepPaceTests {
    private static let second: UInt64 = 1_000_000_000

    /// How many looks there are in ten seconds with ten calls a second.
    private func looks(isPressing: (UInt64) -> Bool) -> Int {
        var pace = SweepPace()
        let start = 100 * Self.second
        _ = pace.isDue(at: start, isPressing: false)
        return (1...100).filter { step in
            let now = start + UInt64(step) * Self.second / 10
            return pace.isDue(at: now, isPressing: isPressing(UInt64(step)))
        }.count
    }

    @Test("Every five seconds, and once a second at most, whatever presses")
    func rate() {
        #expect(looks { _ in false } == 2)
        #expect(looks { _ in true } == 10)
        // What presses between two looks makes the next one sooner.
        #expect(looks { $0 == 12 || $0 == 45 } == 3)
        #expect(looks { $0 == 12 || $0 == 15 } == 2)
    }
}
