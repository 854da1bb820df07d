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
    /// There was no room for what they taught.
    public internal(set) var refused: UInt64 = 0
    /// Parts of one contradict each other or are too many, or its sum is wrong.
    public internal(set) var contradictory: UInt64 = 0
    /// Not all parts of one came in time.
    public internal(set) var incomplete: UInt64 = 0

    public init() {}
}

/// Learns from the answers that the data path did not learn from itself: long ones, odd ones, those that came in parts,
/// and those that found a map full.
public struct AnswerLearner: ~Copyable, Sendable {
    private var ring: RingBuffer
    private let questions: BPFMap
    private let names: BPFMap
    private let addresses: BPFMap
    private let minimumLifetime: UInt64
    private let grace: UInt64
    private let questionTimeout: UInt64
    private var assembler = MessageAssembler<AnswerConnection>()
    private var learned = HandedOverCounts()
    /// What there was no room for, to be learned when some was made.
    private var refused: [Lesson] = []
    private static let refusedMost = 1024
    /// Answers that nobody has been told of yet; the data path tells of those that it could read.
    private var read: [DatapathAnswer] = []

    init(
        ring: consuming RingBuffer, questions: consuming BPFMap, names: consuming BPFMap, addresses: consuming BPFMap,
        minimumLifetime: UInt64, grace: UInt64, questionTimeout: UInt64
    ) {
        self.ring = ring
        self.questions = questions
        self.names = names
        self.addresses = addresses
        self.minimumLifetime = minimumLifetime
        self.grace = grace
        self.questionTimeout = questionTimeout
    }

    /// What became of the answers so far.
    public var counts: HandedOverCounts {
        var counts = learned
        counts.contradictory += assembler.losses.refused
        counts.incomplete = assembler.losses.incomplete
        return counts
    }

    /// Whether answers wait.
    public var hasWaiting: Bool { ring.available > 0 }

    /// Learns from the answers that wait, for the policies of the pods that asked.
    public mutating func learn(by tables: DatapathTables) {
        var waiting: [HandedOver] = []
        _ = ring.drain(limit: 1024) { record in
            if let answer = HandedOver(record) { waiting.append(answer) } else { learned.unreadable += 1 }
        }
        for answer in waiting {
            for message in messages(of: answer) { learn(message, answer, tables) }
        }
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
        case .row: record.messagesInRow
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
        if record.kind == .segment { return whole }
        guard let datagram = UDPDatagram(whole, between: record.ends) else {
            learned.contradictory += 1
            return nil
        }
        return datagram.payload
    }

    private mutating func learn(_ message: [UInt8], _ answer: HandedOver, _ tables: DatapathTables) {
        guard let response = try? DNSResponse(parsing: message.span.bytes) else {
            learned.unreadable += 1
            return
        }
        let hash = NameHash(response.name)
        guard takeQuestion(answer, response, hash) else {
            learned.unasked += 1
            return
        }
        let policies = tables.policiesLearning(slot: Int(answer.header.endpoint), identity: answer.header.identity)
        let set = tables.domains.program?.set(matching: response.name.utf8) ?? 0
        guard set != 0, !policies.isEmpty, !response.addresses.isEmpty else {
            learned.unmatched += 1
            return
        }
        let lesson = Lesson(response: response, set: set, policies: policies, time: answer.header.time_ns)
        do throws(BPFError) {
            try hold(lesson)
            learned.learned += 1
        } catch {
            learned.refused += 1
            if refused.count < Self.refusedMost { refused.append(lesson) }
        }
    }

    /// Learns once more what there was no room for; what finds none again is let go.
    public mutating func learnRefused() {
        for lesson in refused {
            do throws(BPFError) {
                try hold(lesson)
                learned.learned += 1
            } catch {}
        }
        refused = []
    }

    /// What an answer teaches.
    private struct Lesson {
        let response: DNSResponse
        let set: UInt32
        let policies: [UInt32]
        /// When the answer came, CLOCK_MONOTONIC in nanoseconds.
        let time: UInt64
    }

    private func hold(_ lesson: Lesson) throws(BPFError) {
        let hash = NameHash(lesson.response.name)
        try hold(lesson.response.name, hash, set: lesson.set, at: lesson.time)
        for policy in lesson.policies {
            for address in lesson.response.addresses { try learn(address, hash, policy, at: lesson.time) }
        }
    }

    /// Whether the pod asked for this over the connection. The question is answered then.
    private mutating func takeQuestion(_ answer: HandedOver, _ response: DNSResponse, _ hash: NameHash) -> Bool {
        // One that found no room was taken by the data path.
        if answer.header.problem == apus_dns_problem.APUS_DNS_PARSED.rawValue { return true }
        var key = apus_question_key()
        key.connection = answer.header.connection
        key.id = response.id
        guard let question = try? questions.lookup(key, as: apus_question.self),
            question.hash == hash.question(type: response.type),
            answer.header.time_ns <= question.asked_ns + questionTimeout
        else { return false }
        _ = try? questions.delete(key)
        read.append(DatapathAnswer(response, to: RawQuestion(key: key, value: question), at: answer.header.time_ns))
        return true
    }

    private func hold(_ name: String, _ hash: NameHash, set: UInt32, at time: UInt64) throws(BPFError) {
        var record = apus_learned_name()
        record.seen_ns = time
        record.set = set
        record.holds = APUS_NAME_KEPT.rawValue
        record.length = UInt32(name.utf8.count)
        withUnsafeMutableBytes(of: &record.text) { $0.copyBytes(from: name.utf8.prefix($0.count)) }
        if let known = try names.lookup(hash.value, as: apus_learned_name.self) {
            guard LearnedNameRecord(known).name == name else {
                throw BPFError(operation: "hold name", errno: .exists, detail: name)
            }
            record.seen_ns = max(time, known.seen_ns)
        }
        try names.update(hash.value, record)
    }

    private func learn(
        _ address: DNSResponse.Address, _ hash: NameHash, _ policy: UInt32, at time: UInt64
    ) throws(BPFError) {
        let lifetime = max(UInt64(address.lifetime) * 1_000_000_000, minimumLifetime)
        var value = apus_learned_address()
        value.learned = [apus_learned_use(name: hash.value, end_ns: time + lifetime + grace)]
        value.used_ns = time
        try addresses.learn(
            apus_learned_key(address: apus_address(address.address), policy: policy, padding: 0), value)
    }
}

/// The hash of a name, as the data path makes it: FNV-1a over its text with a dot behind each label.
struct NameHash {
    let value: UInt64

    init(_ name: String) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.isEmpty ? [] : Array(name.utf8) + [UInt8(ascii: ".")] {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
        }
        value = hash
    }

    /// The hash of the question for records of a type.
    func question(type: DNSType) -> UInt64 { value ^ UInt64(type.rawValue) &* 0x9e37_79b9_7f4a_7c15 }
}

extension DatapathTables {
    /// The policies for which a pod's answers are learned; none when another pod has the slot.
    func policiesLearning(slot: Int, identity: UInt32) -> [UInt32] {
        guard let record = endpoints.records[slot], let actual = record.actual, actual.identity == identity else {
            return []
        }
        return Set([actual.egress_policy, record.wanted.egress_policy]).filter(domains.hasNames).sorted()
    }
}

extension DatapathKernel {
    /// What keeps the map of learned addresses small.
    public func learnedKeeper() throws -> LearnedKeeper {
        LearnedKeeper(
            addresses: try box("learned_addresses").map.duplicate(), names: try box("learned_names").map.duplicate(),
            established: try box("connections").map.duplicate(), halfOpen: try box("half_open").map.duplicate(),
            counters: try box("dns_counters").map.duplicate())
    }

    /// What learns from the answers that the data path hands over; there may be only one at a time.
    public func answerLearner() throws -> AnswerLearner {
        AnswerLearner(
            ring: try RingBuffer(try box("dns_messages").map), questions: try box("dns_questions").map.duplicate(),
            names: try box("learned_names").map.duplicate(), addresses: try box("learned_addresses").map.duplicate(),
            minimumLifetime: options.minimumNameLifetime, grace: options.nameGrace,
            questionTimeout: options.timeouts.question)
    }
}
