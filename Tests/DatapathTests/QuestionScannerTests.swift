import Addressing
import BPF
import DatapathABI
import Testing

@testable import Datapath

/// Questions that wait for their answers, outside of any data path.
private struct WaitingQuestions: ~Copyable {
    static let timeout: UInt64 = 30
    let map: BPFMap

    init() throws {
        map = try BPFMap.create(
            BPFMapShape(
                type: .lruHash, keySize: MemoryLayout<apus_question_key>.size,
                valueSize: MemoryLayout<apus_question>.size, maxEntries: 64),
            name: "questions")
    }

    static func key(_ id: UInt16) -> apus_question_key {
        var key = apus_question_key()
        key.connection.low = Raw.address("10.96.0.10")
        key.connection.high = Raw.address("10.1.0.1")
        (key.connection.low_port, key.connection.high_port) = (UInt16(53).bigEndian, UInt16(40_000).bigEndian)
        key.connection.protocol = 17
        key.id = id
        return key
    }

    func ask(_ id: UInt16, at time: UInt64) throws {
        var question = apus_question()
        question.asked_ns = time
        (question.endpoint, question.identity, question.policy, question.rule) = (4, 17, 0xc0ffee, 2)
        (question.type, question.opener) = (28, 1)
        let name = "n\(id).example.com"
        withUnsafeMutableBytes(of: &question.name) { $0.copyBytes(from: "\(name).older".utf8) }
        question.name_length = UInt16(name.utf8.count)
        try map.update(Self.key(id), question)
    }

    func scanner() throws -> QuestionScanner {
        QuestionScanner(questions: try map.duplicate(), timeout: Self.timeout)
    }
}

@Suite("Questions that nobody answers")
struct QuestionScannerTests {
    @Test("One that has waited for too long is told once, with all that is known of it")
    func told() throws {
        let questions = try WaitingQuestions()
        try questions.ask(1, at: 100)
        try questions.ask(2, at: 101)
        var scanner = try questions.scanner()
        #expect(try scanner.takeUnanswered(now: 130).isEmpty)
        let found = try scanner.takeUnanswered(now: 131)
        #expect(
            found.map { "\($0)" } == [
                "130 unanswered UDP 10.1.0.1:40000 -> 10.96.0.10:53 name n1.example.com type 28 code 0 latency 30 "
                    + "addresses 0"
            ])
        #expect(found.first?.client == EndpointReference(slot: 4, identity: 17))
        #expect(found.first?.egress?.rule == .rule(2) && found.first?.isAnswered == false)
        #expect(try scanner.takeUnanswered(now: 131).isEmpty && scanner.unanswered == 1)
        #expect(try questions.map.keys(as: apus_question_key.self).map(\.id) == [2])
    }

    @Test("A reader without the agent sees those that wait for too long, and takes none")
    func read() throws {
        let maps = try ReaderMaps()
        var question = apus_question()
        for (id, time) in [(1, 300), (2, 200), (3, 90_000_000_000)] as [(UInt16, UInt64)] {
            question.asked_ns = time
            try maps.write(.dnsQuestions, WaitingQuestions.key(id), question)
        }
        let reader = try DatapathReader(bpffs: maps.bpffs)
        for _ in 0..<2 {
            let found = try reader.unansweredQuestions(now: 91_000_000_000)
            #expect(found.map(\.time) == [30_000_000_200, 30_000_000_300])
        }
    }
}
