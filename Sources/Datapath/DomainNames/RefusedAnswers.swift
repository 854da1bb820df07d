internal import DatapathABI

/// Answers that could not be learned, until they are tried once more: those that were busy soon, those that found no room
/// when some was made.
struct RefusedAnswers: Sendable {
    /// The most of each: what is more is let go.
    static let most = 1024

    private var busy: [PodAnswer] = []
    /// For which there was no room, of each pod in the order in which they were answered.
    private var waiting: [EndpointReference: [PodAnswer]] = [:]
    /// How many wait for room.
    private(set) var waitingCount = 0
    /// Whether one of these was not tried since it was refused.
    private(set) var hasUntried = false

    /// Takes in what became of an answer that was to be learned.
    mutating func add(_ answer: PodAnswer, _ outcome: apus_lesson_outcome) {
        switch outcome {
        case .APUS_LESSON_LEARNED, .APUS_LESSON_COLLIDED: break
        case .APUS_LESSON_BUSY: if busy.count < Self.most { busy.append(answer) }
        case .APUS_LESSON_NO_ROOM, .APUS_LESSON_OUTCOMES:
            hasUntried = true
            keep(answer)
        }
    }

    /// Has an answer wait for room. Where too many do, the oldest one of the pod with the most of them is let go: so no
    /// pod leaves those of others without a place.
    mutating func keep(_ answer: PodAnswer) {
        waiting[answer.pod, default: []].append(answer)
        waitingCount += 1
        guard waitingCount > Self.most, let pod = waiting.max(by: { $0.value.count < $1.value.count })?.key else {
            return
        }
        waiting[pod]?.removeFirst()
        waitingCount -= 1
        if waiting[pod]?.isEmpty == true { waiting[pod] = nil }
    }

    /// Those that were busy, which are let go.
    mutating func takeBusy() -> [PodAnswer] {
        defer { busy = [] }
        return busy
    }

    /// Those that found no room, what was answered last first, which are let go: without what has ended, and of those
    /// that say the same the last one.
    mutating func takeWaiting(now: UInt64) -> [PodAnswer] {
        defer {
            waiting = [:]
            waitingCount = 0
            hasUntried = false
        }
        var seen: Set<PodAnswer.Content> = []
        return waiting.values.joined().sorted { $0.time > $1.time }.compactMap { $0.lasting(at: now) }
            .filter { seen.insert($0.content).inserted }
    }
}
