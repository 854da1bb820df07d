import DatapathABI
import Testing

@testable import Datapath

@Suite("Lessons that could not be learned at once")
struct RefusedLessonsTests {
    private func lesson(_ number: Int) -> NameLesson {
        NameLesson(name: "n\(number).web.test", set: 1, time: 1, policies: [])
    }

    @Test("What was busy is tried again at once; what found no room waits until some is made, however long that is")
    func kinds() {
        var refused = RefusedLessons()
        let outcomes: [apus_lesson_outcome] = [
            .APUS_LESSON_LEARNED, .APUS_LESSON_COLLIDED, .APUS_LESSON_BUSY, .APUS_LESSON_NO_ROOM, .APUS_LESSON_BUSY,
            .APUS_LESSON_NO_ROOM,
        ]
        for (number, outcome) in outcomes.enumerated() { refused.add(lesson(number), outcome) }
        #expect(refused.takeBusy().map(\.name) == ["n2.web.test", "n4.web.test"])
        #expect(refused.takeBusy().isEmpty)
        #expect(refused.lackRoom.map(\.name) == ["n3.web.test", "n5.web.test"])
        #expect(refused.takeLackingRoom().map(\.name) == ["n3.web.test", "n5.web.test"])
        #expect(refused.lackRoom.isEmpty && refused.takeLackingRoom().isEmpty)
    }

    @Test("There is room for so many of each")
    func bound() {
        var refused = RefusedLessons()
        for number in 0..<RefusedLessons.most + 10 {
            refused.add(lesson(number), .APUS_LESSON_NO_ROOM)
            refused.add(lesson(number), .APUS_LESSON_BUSY)
        }
        #expect(refused.lackRoom.count == RefusedLessons.most && refused.takeBusy().count == RefusedLessons.most)
    }
}
