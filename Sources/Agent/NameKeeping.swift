internal import Datapath
internal import Flows
internal import LinuxKernel
internal import Logging
internal import NetworkPolicy

/// When it is time to look at all names that are held: that takes long where there are many, and the same actor programs
/// policies. So what presses makes it sooner, but never more often than once a second, and what goes on for long less
/// and less.
struct SweepPace {
    /// Between two looks, in nanoseconds.
    private static let interval: UInt64 = 5_000_000_000
    /// The same while much is learned, or something found no room.
    private static let pressingInterval: UInt64 = 1_000_000_000

    private var last: UInt64 = 0
    /// How many looks in a row came sooner only as something was not settled.
    private var unsettledLooks = 0

    /// Whether it is time, at CLOCK_MONOTONIC nanoseconds; then the next look is due an interval later.
    ///
    /// - Parameter isUnsettled: what had to stay at the last look may go at the next one. Where it does not, each further one
    ///   comes twice as late.
    mutating func isDue(at now: UInt64, isPressing: Bool, isUnsettled: Bool = false) -> Bool {
        guard now - last >= interval(isPressing, isUnsettled) else { return false }
        last = now
        unsettledLooks = isUnsettled ? min(unsettledLooks + 1, 8) : 0
        return true
    }

    private func interval(_ isPressing: Bool, _ isUnsettled: Bool) -> UInt64 {
        if isPressing { return Self.pressingInterval }
        return isUnsettled ? min(Self.pressingInterval << UInt64(unsettledLooks), Self.interval) : Self.interval
    }
}

/// When it is to be told that no room can be made: that may stay so for long, so once a minute.
struct HeldReminder {
    /// Between two times, in nanoseconds.
    private static let interval: UInt64 = 60_000_000_000

    private var told: [PolicyID?: UInt64] = [:]

    /// The policies to tell of at CLOCK_MONOTONIC nanoseconds, in order; nil stands for the maps as a whole.
    mutating func due(_ room: RoomMade, at now: UInt64) -> [PolicyID?] {
        told = told.filter { now - $0.value < Self.interval }
        let held = room.heldPolicies.sorted().map(Optional.some) + (room.areMapsHeld ? [nil] : [])
        let due = held.filter { told[$0] == nil }
        for policy in due { told[policy] = now }
        return due
    }
}

/// The agent's part in names: it learns from the answers that the data path hands over, and lets go of what has ended.
struct NameKeeping: ~Copyable {
    var keeper: LearnedKeeper
    var learner: AnswerLearner
    var questions: QuestionScanner
    var held: AddressNames
    private var pace = SweepPace()
    fileprivate var reminder = HeldReminder()
    /// Names that were not copied for another policy, as far as it was told.
    fileprivate var uncopiedTold: UInt64 = 0

    init(_ kernel: DatapathKernel) throws {
        // All or none: the compiler destroys no half-made value.
        let keeper = try kernel.learnedKeeper()
        let learner = try kernel.answerLearner()
        let questions = try kernel.questionScanner()
        let held = try kernel.addressNames()
        self.keeper = keeper
        self.learner = learner
        self.questions = questions
        self.held = held
    }

    /// Whether it is time to look at all that is held, at CLOCK_MONOTONIC nanoseconds.
    mutating func isDue(at now: UInt64) -> Bool {
        // What waits for a connection to end alone does not press: that may take long.
        pace.isDue(
            at: now, isPressing: keeper.isPressing || learner.lacksRoom,
            isUnsettled: keeper.isUnsettled && learner.waitsForRoom)
    }
}

extension NodeController {
    /// Does what is due for names.
    func keepNames(at now: UInt64) {
        if names.learner.hasWaiting {
            names.learner.learn(by: tables, now: now)
            let read = names.learner.takeAnswers()
            if configuration.flowDetail != .none { answers.put(read) }
        }
        if names.isDue(at: now) {
            tellUncopied()
            sweepNames(at: now)
            // What found no room before: some may have been made.
            names.learner.learnWaiting(by: tables, now: now)
            tellUnanswered(at: now)
        }
    }

    private func tellUnanswered(at now: UInt64) {
        do {
            let unanswered = try names.questions.takeUnanswered(now: now)
            if configuration.flowDetail != .none { answers.put(unanswered) }
        } catch {
            log.error("Questions to resolvers could not be read", metadata: ["error": "\(error)"])
        }
    }

    /// Tells of names that a policy had and another one, which took its place, has not.
    private func tellUncopied() {
        let uncopied = kernel.uncopiedNames
        if uncopied > names.uncopiedTold {
            log.warning(
                """
                Learned names were not copied to the policies that pods got, as their maps are full \
                (--map-size-learned, --map-size-learned-names): those are to be resolved again
                """,
                metadata: ["addresses": "\(uncopied - names.uncopiedTold)"])
        }
        names.uncopiedTold = uncopied
    }

    private func sweepNames(at now: UInt64) {
        let evicted = names.keeper.counts.evicted
        var room = RoomMade()
        do {
            room = try names.keeper.sweep(now: now, policies: tables.policiesWithLearned)
        } catch {
            log.error("Learned addresses could not be read", metadata: ["error": "\(error)"])
        }
        for (policy, count) in room.evicted {
            log.warning(
                """
                Learned addresses were evicted, as their policy has nearly half of the map or of that of names \
                (--map-size-learned, --map-size-learned-names)
                """,
                metadata: ["policy": "\(policy)", "addresses": "\(count)"])
        }
        let more = names.keeper.counts.evicted - evicted
        if more > 0, room.evicted.isEmpty {
            log.warning(
                """
                Learned addresses were evicted, as their map or that of names is nearly full (--map-size-learned, \
                --map-size-learned-names)
                """,
                metadata: ["addresses": "\(more)"])
        }
        tellHeld(room, at: now)
    }

    /// Tells of policies, and of maps, that no room can be made of.
    private func tellHeld(_ room: RoomMade, at now: UInt64) {
        for policy in names.reminder.due(room, at: now) {
            guard let policy else {
                log.warning(
                    """
                    The map of learned addresses, or that of names, is nearly full, and each address is in use: what is \
                    resolved beyond that is learned as connections end (--map-size-learned, --map-size-learned-names)
                    """)
                continue
            }
            log.warning(
                """
                A policy has nearly half of the map of learned addresses or of that of names, and each address is in \
                use: what its pods resolve beyond that is learned as connections end (--map-size-learned, \
                --map-size-learned-names)
                """,
                metadata: ["policy": "\(policy)"])
        }
    }
}
