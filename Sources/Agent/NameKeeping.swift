internal import Datapath
internal import LinuxKernel
internal import Logging
internal import NetworkPolicy

/// When it is time to look at all names that are held: that takes long where there are many, and the same actor programs
/// policies. So what presses makes it sooner, but never more often than once a second.
struct SweepPace {
    /// Between two looks, in nanoseconds.
    private static let interval: UInt64 = 5_000_000_000
    /// The same while much is learned, or something found no room.
    private static let pressingInterval: UInt64 = 1_000_000_000

    private var last: UInt64 = 0

    /// Whether it is time, at CLOCK_MONOTONIC nanoseconds; then the next look is due an interval later.
    mutating func isDue(at now: UInt64, isPressing: Bool) -> Bool {
        guard now - last >= (isPressing ? Self.pressingInterval : Self.interval) else { return false }
        last = now
        return true
    }
}

/// The agent's part in names: it learns from the answers that the data path hands over, and lets go of what has ended.
struct NameKeeping: ~Copyable {
    var keeper: LearnedKeeper
    var learner: AnswerLearner
    var questions: QuestionScanner
    var held: AddressNames
    private var pace = SweepPace()
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
        pace.isDue(at: now, isPressing: keeper.isPressing || learner.lacksRoom)
    }
}

extension NodeController {
    /// Does what is due for names.
    func keepNames(at now: UInt64) {
        if names.learner.hasWaiting {
            names.learner.learn(by: tables)
            let read = names.learner.takeAnswers()
            if configuration.reportsFlows { answers.put(read) }
        }
        if names.isDue(at: now) {
            tellUncopied()
            sweepNames(at: now)
            // What found no room before: some was made.
            names.learner.learnRefused(keepsForRoom: names.keeper.isUnsettled)
            tellUnanswered(at: now)
        }
    }

    private func tellUnanswered(at now: UInt64) {
        do {
            let unanswered = try names.questions.takeUnanswered(now: now)
            if configuration.reportsFlows { answers.put(unanswered) }
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
        var crowded: [PolicyID: Int] = [:]
        do {
            crowded = try names.keeper.sweep(now: now, policies: tables.policiesWithLearned)
        } catch {
            log.error("Learned addresses could not be read", metadata: ["error": "\(error)"])
        }
        for (policy, count) in crowded {
            log.warning(
                """
                Learned addresses were evicted, as their policy has nearly half of the map or of that of names \
                (--map-size-learned, --map-size-learned-names)
                """,
                metadata: ["policy": "\(policy)", "addresses": "\(count)"])
        }
        let more = names.keeper.counts.evicted - evicted
        if more > 0, crowded.isEmpty {
            log.warning(
                """
                Learned addresses were evicted, as their map or that of names is nearly full (--map-size-learned, \
                --map-size-learned-names)
                """,
                metadata: ["addresses": "\(more)"])
        }
    }
}
