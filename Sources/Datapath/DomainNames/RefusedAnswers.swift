internal import DatapathABI

/// What became of answers that could not be learned at first, and never were.
struct LostAnswers: Sendable, Hashable {
    /// There were too many: they gave way to others.
    var givenUp: UInt64 = 0
    /// All of their addresses had ended by then.
    var expired: UInt64 = 0
    /// No pattern matches their name any more, or the pod that asked is gone.
    var unmatched: UInt64 = 0
    /// Another name has the hash of theirs.
    var collided: UInt64 = 0
}

/// Answers that could not be learned, until they are tried once more: those that were busy soon, those that found no room
/// when some was made.
struct RefusedAnswers: Sendable {
    /// The most of each: what is more is given up.
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
    private(set) var lost = LostAnswers()

    /// Takes in what became of an answer that was to be learned.
    mutating func add(_ answer: PodAnswer, _ outcome: apus_lesson_outcome) {
        switch outcome {
        case .APUS_LESSON_LEARNED, .APUS_LESSON_COLLIDED: break
        case .APUS_LESSON_BUSY:
            if busy.count < Self.most { busy.append(answer) } else { lost.givenUp += 1 }
        case .APUS_LESSON_NO_ROOM, .APUS_LESSON_OUTCOMES:
            hasUntried = true
            keep(answer)
        }
    }

    /// Has an answer wait for room. Where there are too many, or too many addresses, the oldest one of the pod with the
    /// most addresses is given up: so no pod leaves those of others without a place.
    mutating func keep(_ answer: PodAnswer) {
        waiting[answer.pod, default: []].append(answer)
        waitingCount += 1
        addressCount += answer.addresses.count
        while waitingCount > Self.most || addressCount > Self.mostAddresses {
            guard let pod = waiting.max(by: { Self.weight($0.value) < Self.weight($1.value) })?.key,
                let oldest = waiting[pod]?.removeFirst()
            else { return }
            lost.givenUp += 1
            waitingCount -= 1
            addressCount -= oldest.addresses.count
            if waiting[pod]?.isEmpty == true { waiting[pod] = nil }
        }
    }

    private static func weight(_ answers: [PodAnswer]) -> Int { answers.reduce(0) { $0 + $1.addresses.count } }

    /// Those that were busy, which wait no more: without what has ended.
    mutating func takeBusy(now: UInt64) -> [PodAnswer] {
        defer { busy = [] }
        return lasting(busy, at: now)
    }

    private mutating func lasting(_ answers: [PodAnswer], at now: UInt64) -> [PodAnswer] {
        let lasting = answers.compactMap { $0.lasting(at: now) }
        lost.expired += UInt64(answers.count - lasting.count)
        return lasting
    }

    /// Those that found no room, what was answered last first, which wait no more: without what has ended, and of those
    /// that say the same the last one, for as long as any of them says.
    mutating func takeWaiting(now: UInt64) -> [PodAnswer] {
        defer {
            waiting = [:]
            waitingCount = 0
            addressCount = 0
            hasUntried = false
        }
        var places: [PodAnswer.Content: Int] = [:]
        var taken: [PodAnswer] = []
        for answer in lasting(waiting.values.joined().sorted { $0.time > $1.time }, at: now) {
            let content = answer.content
            if let place = places[content] {
                taken[place] = taken[place].joined(with: answer)
            } else {
                places[content] = taken.count
                taken.append(answer)
            }
        }
        return taken
    }
}
