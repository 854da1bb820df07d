import NetworkPolicy
import Testing

@testable import Agent
@testable import Datapath

@Suite("How often the agent looks at all names that are held")
struct SweepPaceTests {
    private static let second: UInt64 = 1_000_000_000

    /// How many looks there are in ten seconds with ten calls a second.
    private func looks(isPressing: (UInt64) -> Bool, isUnsettled: (UInt64) -> Bool = { _ in false }) -> Int {
        var pace = SweepPace()
        let start = 100 * Self.second
        _ = pace.isDue(at: start, isPressing: false)
        return (1...100).filter { step in
            let now = start + UInt64(step) * Self.second / 10
            return pace.isDue(at: now, isPressing: isPressing(UInt64(step)), isUnsettled: isUnsettled(UInt64(step)))
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

    @Test("What is not settled is looked at again in a second, and twice as late each time that it goes on")
    func unsettled() {
        // After one, three and seven seconds; the next one would be after twelve.
        #expect(looks(isPressing: { _ in false }, isUnsettled: { _ in true }) == 3)
        #expect(looks(isPressing: { _ in true }, isUnsettled: { _ in true }) == 10)
        // It was settled at the look after five seconds.
        #expect(looks(isPressing: { _ in false }, isUnsettled: { $0 > 50 }) == 3)
    }

    @Test("That no room can be made is told once a minute, of each policy and of the maps")
    func reminder() {
        var reminder = HeldReminder()
        var room = RoomMade()
        let policies = [3, 5].map { PolicyID(rawValue: $0) }
        room.heldPolicies = [policies[1]]
        #expect(reminder.due(room, at: 100 * Self.second) == [policies[1]])
        room.heldPolicies = Set(policies)
        room.areMapsHeld = true
        #expect(reminder.due(room, at: 130 * Self.second) == [policies[0], nil])
        #expect(reminder.due(room, at: 159 * Self.second) == [])
        #expect(reminder.due(room, at: 160 * Self.second) == [policies[1]])
        #expect(reminder.due(RoomMade(), at: 190 * Self.second) == [])
        #expect(reminder.due(room, at: 190 * Self.second) == [policies[0], nil])
    }
}
