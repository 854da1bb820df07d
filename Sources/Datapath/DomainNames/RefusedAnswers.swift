internal import DatapathABI

/// Lessons that could not be learned, until they are tried once more: those that were busy soon, those that found no room
/// when some was made.
struct RefusedLessons {
    /// The most of each: what is more is let go.
    static let most = 1024

    private var busy: [NameLesson] = []
    /// For which there was no room, in the order in which they were answered.
    private(set) var lackRoom: [NameLesson] = []

    /// Takes in what became of a lesson.
    mutating func add(_ lesson: NameLesson, _ outcome: apus_lesson_outcome) {
        switch outcome {
        case .APUS_LESSON_LEARNED, .APUS_LESSON_COLLIDED: break
        case .APUS_LESSON_BUSY: if busy.count < Self.most { busy.append(lesson) }
        case .APUS_LESSON_NO_ROOM, .APUS_LESSON_OUTCOMES: if lackRoom.count < Self.most { lackRoom.append(lesson) }
        }
    }

    /// Those that were busy, which are let go.
    mutating func takeBusy() -> [NameLesson] {
        defer { busy = [] }
        return busy
    }

    /// Those that found no room, which are let go.
    mutating func takeLackingRoom() -> [NameLesson] {
        defer { lackRoom = [] }
        return lackRoom
    }
}
