internal import DatapathABI

/// Answers that could not be learned, until they are tried once more: those that were busy soon, those that found no room
/// when some was made.
struct RefusedAnswers: Sendable {
    /// The most of each: what is more is let go.
    static let most = 1024
    /// The most addresses of all those that wait for room.
    static let mostAddresses = 16_384

    private var busy: [PodAnswer] = []
    /// For which there was no room, of each pod in the order in which they were answered.
    private var waiting: [EndpointReference: [PodAnswer]] = [:]
    /// How many wait for room.
    private(set) var waitingCount = 0
    private var addressCount = 0
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

    /// Has an answer wait for room. Where there are too many, or too many addresses, the oldest one of the pod with the
    /// most addresses is let go: so no pod leaves those of others without a place.
    mutating func keep(_ answer: PodAnswer) {
        waiting[answer.pod, default: []].append(answer)
        waitingCount += 1
        addressCount += answer.addresses.count
        while waitingCount > Self.most || addressCount > Self.mostAddresses {
            guard let pod = waiting.max(by: { Self.weight($0.value) < Self.weight($1.value) })?.key,
                let oldest = waiting[pod]?.removeFirst()
            else { return }
            waitingCount -= 1
            addressCount -= oldest.addresses.count
            if waiting[pod]?.isEmpty == true { waiting[pod] = nil }
        }
    }

    private static func weight(_ answers: [PodAnswer]) -> Int { answers.reduce(0) { $0 + $1.addresses.count } }

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
            addressCount = 0
            hasUntried = false
        }
        var seen: Set<PodAnswer.Content> = []
        return waiting.values.joined().sorted { $0.time > $1.time }.compactMap { $0.lasting(at: now) }
            .filter { seen.insert($0.content).inserted }
    }
}
