import TestSupport
import Testing

@Suite struct ChildProcesses {
    @Test func outputErrorsAndStatusAreCollected() async throws {
        let result = try await run(["sh", "-c", "cat; echo oops >&2; exit 3"], input: "hello\n")
        #expect(result.output == "hello\n" && result.errors == "oops\n" && result.ending == .exited(3))
    }

    @Test func largeOutputAndInputDoNotBlock() async throws {
        let text = String(repeating: "0123456789abcde\n", count: 100_000)
        #expect(try await run(["cat"], input: text).output == text)
    }

    @Test func aProcessThatTakesTooLongIsKilled() async throws {
        #expect(try await run(["sleep", "600"], within: .milliseconds(50)).ending == .killed(by: 9))
    }

    @Test func stoppingAsksFirstAndKillsThen() async throws {
        let polite = try ChildProcess([
            "sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done",
        ])
        try await eventually("the first line") { polite.lines == ["up"] }
        #expect(await polite.stop() == ProcessResult(ending: .exited(0), output: "up\nbye\n", errors: ""))
        let stubborn = try ChildProcess(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.02; done"])
        try await eventually("the first line") { stubborn.lines == ["up"] }
        #expect(await stubborn.stop(grace: .milliseconds(50)).ending == .killed(by: 9))
    }

    @Test func whatAProcessLeftBehindInItsGroupDiesWithIt() async throws {
        let result = try await run(["sh", "-c", "sleep 600 & echo $!"])
        let orphan = try #require(Int32(result.output.dropLast()))
        try await eventually("the end of the orphan") { !isRunning(orphan) }
    }

    @Test func anUnknownProgramIsAnError() async {
        await #expect(throws: LabError.self) { try await run(["/nonexistent/program"]) }
    }

    @Test func aConditionThatNeverHoldsFailsWithItsReason() async {
        await #expect(throws: LabError.self) {
            try await eventually("nothing", within: .milliseconds(30)) { false }
        }
    }
}
