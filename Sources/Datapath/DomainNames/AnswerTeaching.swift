internal import DatapathABI

/// Has the data path learn what answers to pods' questions say, and tries again what it could not learn.
///
/// Each time for the policies and patterns of that moment: what was found out when an answer came may not be true any
/// more, and a name that is held would get the patterns of before.
struct AnswerTeaching: ~Copyable, Sendable {
    /// How often answers for the same policies may find no room in one turn: each try has the data path look for some.
    private static let mostRefusals = 8

    private let teacher: NameTeacher
    private let automaton: AutomatonInForce
    private var refused = RefusedAnswers()
    /// What nobody learns any more, as was found out by another try.
    private var obsolete = LostAnswers()

    init(_ teacher: NameTeacher, _ automaton: consuming AutomatonInForce) {
        self.teacher = teacher
        self.automaton = automaton
    }

    /// Whether an answer found no room that was not tried since.
    var lacksRoom: Bool { refused.hasUntried }
    /// Whether answers wait for room.
    var waitsForRoom: Bool { refused.waitingCount > 0 }

    /// What became of answers that were tried again and never learned.
    var lost: LostAnswers {
        var lost = refused.lost
        lost.unmatched += obsolete.unmatched
        lost.collided += obsolete.collided
        return lost
    }

    /// Returns what became of an answer; nil: nobody learns it, as no pattern matches its name or the pod is gone.
    ///
    /// - Parameter now: CLOCK_MONOTONIC in nanoseconds, here and below.
    mutating func teach(_ answer: PodAnswer, by tables: DatapathTables, now: UInt64) -> apus_lesson_outcome? {
        let outcome = attempt(answer, tables.policiesLearning(of: answer.pod), tables, now)
        if let outcome { refused.add(answer, outcome) }
        return outcome
    }

    /// Tries once more what another CPU kept from being learned. Returns how many answers were learned.
    mutating func teachBusy(by tables: DatapathTables, now: UInt64) -> Int {
        teach(refused.takeBusy(now: now), tables, now)
    }

    /// Tries once more what found no room. What finds none again goes on waiting, for as long as its addresses last: a
    /// connection that ends may make some.
    ///
    /// - Returns: how many answers were learned.
    mutating func teachWaiting(by tables: DatapathTables, now: UInt64) -> Int {
        teach(refused.takeWaiting(now: now), tables, now)
    }

    private mutating func teach(_ answers: [PodAnswer], _ tables: DatapathTables, _ now: UInt64) -> Int {
        var learned = 0
        var left: [PodAnswer] = []
        var refusals: [[UInt32]: Int] = [:]
        for answer in answers {
            let policies = tables.policiesLearning(of: answer.pod)
            guard refusals[policies, default: 0] < Self.mostRefusals else {
                left.append(answer)
                continue
            }
            switch attempt(answer, policies, tables, now) {
            case .APUS_LESSON_LEARNED: learned += 1
            case .APUS_LESSON_COLLIDED: obsolete.collided += 1
            case nil: obsolete.unmatched += 1
            case .APUS_LESSON_BUSY: left.append(answer)
            case .APUS_LESSON_NO_ROOM, .APUS_LESSON_OUTCOMES:
                refusals[policies, default: 0] += 1
                left.append(answer)
            }
        }
        for answer in left.sorted(by: { $0.time < $1.time }) { refused.keep(answer) }
        return learned
    }

    private func attempt(
        _ answer: PodAnswer, _ policies: [UInt32], _ tables: DatapathTables, _ now: UInt64
    ) -> apus_lesson_outcome? {
        let set = set(matching: answer.name, tables)
        if set == 0 || policies.isEmpty || answer.addresses.isEmpty { return nil }
        // A program that could not be run may be able to another time.
        return (try? teacher.learn(answer.lesson(set: set, policies: policies, now: now))) ?? .APUS_LESSON_BUSY
    }

    /// The patterns in force that match a name. Until this agent has put some in force, they are known to the kernel
    /// alone.
    private func set(matching name: String, _ tables: DatapathTables) -> UInt32 {
        if let installed = tables.domains.installed { return installed.set(matching: name.utf8) }
        return (try? automaton.set(matching: name)) ?? 0
    }
}

extension DatapathTables {
    /// The policies for which a pod's answers are learned; none when another pod has the slot.
    func policiesLearning(of pod: EndpointReference) -> [UInt32] {
        guard let record = endpoints.records[Int(pod.slot)], let actual = record.actual,
            actual.identity == pod.identity
        else { return [] }
        return Set([actual.egress_policy, record.wanted.egress_policy]).filter(hasNames).sorted()
    }
}
