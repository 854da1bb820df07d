internal import BPF
internal import DatapathABI
internal import LinuxKernel
internal import Wire

/// What became of the answers that the data path handed over.
public struct HandedOverCounts: Sendable, Hashable {
    /// They taught addresses.
    public internal(set) var learned: UInt64 = 0
    /// They could not be parsed here either.
    public internal(set) var unreadable: UInt64 = 0
    /// They answered no question that the pod had asked and that still waited.
    public internal(set) var unasked: UInt64 = 0
    /// No pattern matches their name, or the pod that asked is gone.
    public internal(set) var unmatched: UInt64 = 0
    /// There was no room for what they taught. They are learned when some was made.
    public internal(set) var noRoom: UInt64 = 0
    /// Another CPU did not let go of their name, or of an address. They are learned once more.
    public internal(set) var busy: UInt64 = 0
    /// Another name has the hash of theirs.
    public internal(set) var collided: UInt64 = 0
    /// Parts of one contradict each other or are too many, or its sum is wrong.
    public internal(set) var contradictory: UInt64 = 0
    /// Not all parts of one came in time.
    public internal(set) var incomplete: UInt64 = 0
    /// Too many waited to be tried again: they gave way to others, and were never learned.
    public internal(set) var givenUp: UInt64 = 0
    /// All that they taught had ended when they were to be learned.
    public internal(set) var expired: UInt64 = 0

    public init() {}

    /// Adds what was tried again, and never learned.
    mutating func add(_ lost: LostAnswers) {
        givenUp += lost.givenUp
        expired += lost.expired
        unmatched += lost.unmatched
        collided += lost.collided
    }

    /// Counts what became of one that was to be learned.
    mutating func count(_ outcome: apus_lesson_outcome) {
        switch outcome {
        case .APUS_LESSON_LEARNED: learned += 1
        case .APUS_LESSON_COLLIDED: collided += 1
        case .APUS_LESSON_BUSY: busy += 1
        case .APUS_LESSON_NO_ROOM, .APUS_LESSON_OUTCOMES: noRoom += 1
        }
    }
}

/// Learns from the answers that the data path did not learn from itself: long ones, odd ones, those that came in parts,
/// and those that found a map full.
public struct AnswerLearner: ~Copyable, Sendable {
    private var ring: RingBuffer
    private let questions: BPFMap
    private var teaching: AnswerTeaching
    private let minimumLifetime: UInt64
    private let grace: UInt64
    private let questionTimeout: UInt64
    private var assembler = MessageAssembler<AnswerConnection>()
    private var learned = HandedOverCounts()
    /// Answers that nobody has been told of yet; the data path tells of those that it could read.
    private var read: [DatapathAnswer] = []

    init(
        ring: consuming RingBuffer, questions: consuming BPFMap, teaching: consuming AnswerTeaching,
        minimumLifetime: UInt64, grace: UInt64, questionTimeout: UInt64
    ) {
        self.ring = ring
        self.questions = questions
        self.teaching = teaching
        self.minimumLifetime = minimumLifetime
        self.grace = grace
        self.questionTimeout = questionTimeout
    }

    /// What became of the answers so far.
    public var counts: HandedOverCounts {
        var counts = learned
        counts.add(teaching.lost)
        counts.contradictory += assembler.losses.refused
        counts.incomplete = assembler.losses.incomplete
        return counts
    }

    /// Whether answers wait.
    public var hasWaiting: Bool { ring.available > 0 }

    /// Learns from the answers that wait, for the policies of the pods that asked.
    ///
    /// - Parameter now: CLOCK_MONOTONIC in nanoseconds.
    public mutating func learn(by tables: DatapathTables, now: UInt64) {
        var waiting: [HandedOver] = []
        _ = ring.drain(limit: 1024) { record in
            if let answer = HandedOver(record) { waiting.append(answer) } else { learned.unreadable += 1 }
        }
        for answer in waiting {
            for message in messages(of: answer) { learn(message, answer, tables, now) }
        }
        learned.learned += UInt64(teaching.teachBusy(by: tables, now: now))
    }

    /// Whether something found no room that was not tried since: see ``learnWaiting(by:now:)``.
    public var lacksRoom: Bool { teaching.lacksRoom }
    /// Whether something waits for room, tried or not.
    public var waitsForRoom: Bool { teaching.waitsForRoom }

    /// Learns once more what there was no room for, what was answered last first, for the policies that pods have now. To
    /// be called when some was made.
    ///
    /// - Parameter now: CLOCK_MONOTONIC in nanoseconds.
    public mutating func learnWaiting(by tables: DatapathTables, now: UInt64) {
        learned.learned += UInt64(teaching.teachWaiting(by: tables, now: now))
    }

    /// The answers to pods' questions that were read here since the last call.
    public mutating func takeAnswers() -> [DatapathAnswer] {
        defer { read = [] }
        return read
    }

    /// The messages that a record has, or has the last part of.
    private mutating func messages(of record: HandedOver) -> [[UInt8]] {
        switch record.kind {
        case .message: [record.bytes]
        case .row where record.header.total == 0: HandedOver.messages(inRow: record.bytes)
        case .row: completed(by: record).map { HandedOver.messages(inRow: $0) } ?? []
        case .segment, .fragment: completed(by: record).map { [$0] } ?? []
        }
    }

    /// The message that a part completes; nil while others are missing.
    private mutating func completed(by record: HandedOver) -> [UInt8]? {
        let outcome = assembler.add(
            record.bytes.span.bytes, at: Int(record.header.offset),
            total: record.header.total == 0 ? nil : Int(record.header.total),
            of: .init(
                connection: record.connection, number: record.header.number, isDatagram: record.kind == .fragment),
            now: record.header.time_ns)
        guard case .complete(let whole) = outcome else { return nil }
        if record.kind != .fragment { return whole }
        guard let datagram = UDPDatagram(whole, between: record.ends) else {
            learned.contradictory += 1
            return nil
        }
        return datagram.payload
    }

    private mutating func learn(_ message: [UInt8], _ answer: HandedOver, _ tables: DatapathTables, _ now: UInt64) {
        guard let response = try? DNSResponse(parsing: message.span.bytes) else {
            learned.unreadable += 1
            tellUnreadable(message, answer)
            return
        }
        guard takeQuestion(answer, response) else {
            learned.unasked += 1
            return
        }
        teach(podAnswer(response, answer.header), tables, now)
    }

    /// Teaches what of an answer has not ended: it may have waited for the agent's return.
    private mutating func teach(_ answer: PodAnswer, _ tables: DatapathTables, _ now: UInt64) {
        guard let lasting = answer.lasting(at: now) else {
            if answer.addresses.isEmpty { learned.unmatched += 1 } else { learned.expired += 1 }
            return
        }
        if let outcome = teaching.teach(lasting, by: tables, now: now) {
            learned.count(outcome)
        } else {
            learned.unmatched += 1
        }
    }

    private func podAnswer(_ response: DNSResponse, _ header: apus_handed_over) -> PodAnswer {
        let addresses = response.addresses.map { address in
            let seconds = min(UInt64(address.lifetime), UInt64(APUS_LEARNED_LONGEST))
            let lifetime = max(seconds * 1_000_000_000, minimumLifetime)
            return PodAnswer.Address(address: address.address, end: header.time_ns + lifetime + grace)
        }
        return PodAnswer(
            pod: EndpointReference(slot: header.endpoint, identity: header.identity), name: response.name,
            time: header.time_ns, addresses: addresses)
    }

    /// Whether the pod asked for this over the connection. The question is answered then.
    private mutating func takeQuestion(_ answer: HandedOver, _ response: DNSResponse) -> Bool {
        // One that found no room was taken by the data path.
        if answer.header.problem == apus_dns_problem.APUS_DNS_PARSED.rawValue { return true }
        guard let question = waitingQuestion(answer, id: response.id), question.asks(response.name, response.type)
        else { return false }
        _ = try? questions.delete(question.key)
        read.append(DatapathAnswer(response, to: question, at: answer.header.time_ns))
        return true
    }

    /// Tells of an answer of which only the header could be read: its question is not unanswered.
    private mutating func tellUnreadable(_ message: [UInt8], _ answer: HandedOver) {
        guard let header = UnreadableAnswer(message), let question = waitingQuestion(answer, id: header.id) else {
            return
        }
        _ = try? questions.delete(question.key)
        read.append(DatapathAnswer(header, to: question, at: answer.header.time_ns))
    }

    /// The question with an id that waits for an answer over the connection, and was asked before that came: the id may
    /// have gone to another one since.
    private func waitingQuestion(_ answer: HandedOver, id: UInt16) -> RawQuestion? {
        var key = apus_question_key()
        key.connection = answer.header.connection
        key.id = id
        guard let question = try? questions.lookup(key, as: apus_question.self),
            question.asked_ns <= answer.header.time_ns,
            answer.header.time_ns <= question.asked_ns + questionTimeout
        else { return nil }
        return RawQuestion(key: key, value: question)
    }
}

/// What can be read of an answer that is malformed, or has more than one question.
struct UnreadableAnswer {
    let id: UInt16
    /// Without the upper bits that EDNS has.
    let code: UInt16
    let isTruncated: Bool

    /// Nil when it is not even an answer.
    init?(_ message: [UInt8]) {
        guard message.count >= 4, message[2] & 0x80 != 0 else { return nil }
        id = UInt16(message[0]) << 8 | UInt16(message[1])
        code = UInt16(message[3] & 0xf)
        isTruncated = message[2] & 0x02 != 0
    }
}

extension DatapathKernel {
    /// What keeps the map of learned addresses small.
    public func learnedKeeper() throws -> LearnedKeeper {
        LearnedKeeper(
            teacher: programs.names, addresses: try box("learned_addresses").map.duplicate(),
            names: try box("learned_names").map.duplicate(), established: try box("connections").map.duplicate(),
            halfOpen: try box("half_open").map.duplicate(), counters: try box("dns_counters").map.duplicate(),
            shares: try box("learned_shares").map.duplicate(), timeouts: options.timeouts,
            share: (capacities.learnedAddressesOfPolicy, capacities.learnedNamesOfPolicy))
    }

    /// What learns from the answers that the data path hands over; there may be only one at a time.
    public func answerLearner() throws -> AnswerLearner {
        AnswerLearner(
            ring: try RingBuffer(try box("dns_messages").map), questions: try box("dns_questions").map.duplicate(),
            teaching: AnswerTeaching(
                programs.names, AutomatonInForce(try box("domain_automaton").map.duplicate())),
            minimumLifetime: options.minimumNameLifetime, grace: options.nameGrace,
            questionTimeout: options.timeouts.question)
    }
}
