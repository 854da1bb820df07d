internal import BPF
internal import DatapathABI
internal import LinuxKernel

/// Takes questions out of their map that have waited for too long, and tells of them.
public struct QuestionScanner: ~Copyable, Sendable {
    private let questions: BPFMap
    /// Nanoseconds.
    private let timeout: UInt64
    /// How many have been given up.
    public private(set) var unanswered: UInt64 = 0

    init(questions: consuming BPFMap, timeout: UInt64) {
        self.questions = questions
        self.timeout = timeout
    }

    /// Those that nobody has answered in time.
    ///
    /// - Parameter now: CLOCK_MONOTONIC in nanoseconds.
    public mutating func takeUnanswered(now: UInt64) throws(MapError) -> [DatapathAnswer] {
        do throws(BPFError) {
            var found: [DatapathAnswer] = []
            for question in try questions.overdue(at: now, after: timeout) {
                guard let taken = try questions.lookupAndDelete(question.key, as: apus_question.self) else { continue }
                // It was asked again, or another one was, between the two calls.
                if taken.asked_ns != question.value.asked_ns {
                    _ = try? questions.update(question.key, taken, rule: .onlyNew)
                } else {
                    found.append(DatapathAnswer(unanswered: question, after: timeout))
                }
            }
            unanswered += UInt64(found.count)
            return found
        } catch {
            throw MapError(error)
        }
    }
}

extension BPFMap {
    /// Of the map's questions those that have waited for too long.
    fileprivate func overdue(at now: UInt64, after timeout: UInt64) throws(BPFError) -> [RawQuestion] {
        var found: [RawQuestion] = []
        try forEachEntry { key, value in
            if let question = RawQuestion(key, value), question.isOver(at: now, after: timeout) {
                found.append(question)
            }
        }
        return found
    }
}

extension DatapathKernel {
    /// What gives up questions that nobody answers.
    public func questionScanner() throws -> QuestionScanner {
        QuestionScanner(questions: try box("dns_questions").map.duplicate(), timeout: options.timeouts.question)
    }
}

extension DatapathReader {
    /// Questions that have waited for longer than the time-out and that no agent has told of yet, oldest first.
    ///
    /// - Parameter now: CLOCK_MONOTONIC in nanoseconds.
    public func unansweredQuestions(
        now: UInt64, after timeout: UInt64 = DatapathTimeouts().question
    ) throws(DatapathReadError) -> [DatapathAnswer] {
        let map = try open(.dnsQuestions)
        return try reading(.dnsQuestions) { () throws(BPFError) in
            try map.overdue(at: now, after: timeout).map { DatapathAnswer(unanswered: $0, after: timeout) }
                .sorted { $0.time < $1.time }
        }
    }
}
