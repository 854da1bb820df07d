import AgentAPI
import Testing

@testable import Agent
@testable import Datapath

@Suite struct ProgrammingStates {
    private static let millisecond: UInt64 = 1_000_000
    private let refusal = DatapathProblem(
        object: "services 10.96.0.1", reason: .refused(.services, MapError(code: 7, description: "full")))

    private func report(_ problems: [DatapathProblem] = [], written: Int = 0, next: UInt64? = nil) -> ProgrammingReport
    {
        var report = ProgrammingReport()
        report.problems = problems
        report.written = written
        report.nextDeadline = next
        return report
    }

    @Test func aFailureIsTriedAgainEverLaterUpToTenSeconds() {
        var state = ProgrammingState()
        var now: UInt64 = 1
        var waits: [UInt64] = []
        for _ in 0..<10 {
            state.note(report([refusal]), started: now, ended: now)
            var wait: UInt64 = 0
            while !state.isDue(at: now + wait) { wait += Self.millisecond }
            waits.append(wait / Self.millisecond)
            now += wait
        }
        #expect(waits == [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000])
        #expect(state.failures == 10 && state.problems == [refusal])
        state.note(report(), started: now, ended: now)
        state.note(report([refusal]), started: now, ended: now)
        #expect(state.isDue(at: now + 100 * Self.millisecond), "success starts the series anew")
    }

    @Test func whatIsNotWrittenStandsAfterAMoment() {
        var state = ProgrammingState()
        let other = DatapathProblem(object: "endpoint shop/web", reason: .endpointsExhausted)
        let start: UInt64 = 5
        state.note(report([refusal]), started: 1, ended: start)
        #expect(state.standing(at: start + ProgrammingState.moment - 1).isEmpty)
        state.note(report([other, refusal]), started: 100, ended: 100)
        #expect(state.standing(at: start + ProgrammingState.moment) == [refusal], "the other one is new")
        let item = AgentAPI.DriftItem(refusal)
        #expect(item.table == "services" && item.kind == .notWritten && item.reason == "\(refusal.reason)")
        state.note(report([other]), started: 200, ended: 200)
        state.note(report([other, refusal]), started: 300, ended: 300)
        #expect(state.standing(at: 100 + ProgrammingState.moment) == [other], "it was written in between")
    }

    @Test func aPassIsDueWhenAGracePeriodEnds() {
        var state = ProgrammingState()
        state.note(report(written: 3, next: 500), started: 10, ended: 17)
        #expect(state.written == 3 && state.lastDuration == 7)
        #expect(!state.isDue(at: 499) && state.isDue(at: 500))
        state.note(report(), started: 500, ended: 501)
        #expect(!state.isDue(at: .max))
    }

    @Test func aProblemIsNewsOnceAndAgainWhenItComesBack() {
        var state = ProgrammingState()
        let news = [report([refusal]), report([refusal]), report(), report([refusal])].map { state.news(in: $0) }
        #expect(news == [[refusal], [], [], [refusal]])
    }

    @Test func entriesOfOneObjectThatFailAlikeAreOneProblem() {
        var state = ProgrammingState()
        let report = report([refusal, refusal, refusal])
        state.note(report, started: 1, ended: 2)
        #expect(state.problems == [refusal] && state.failures == 3)
        #expect(state.news(in: report) == [refusal])
    }

    @Test func theKernelIsComparedOnceAnInterval() {
        var state = ProgrammingState()
        let interval = Duration.seconds(1)
        let second = interval.nanoseconds
        // The first look starts the interval.
        let due = [5, second, second + 5, second + 6].map { state.driftIsDue(at: $0, interval: interval) }
        #expect(due == [false, false, true, false])
    }
}
