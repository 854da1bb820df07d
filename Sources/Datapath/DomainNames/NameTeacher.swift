internal import Addressing
internal import BPF
internal import DatapathABI
internal import LinuxKernel

/// What an answer, or what is held already, says of one name.
struct NameLesson {
    /// Lower case, no trailing dot.
    let name: String
    /// The patterns that match it, by their id in the maps.
    var set: UInt32
    /// CLOCK_MONOTONIC in nanoseconds.
    var time: UInt64
    /// At most two.
    var policies: [UInt32]
    var addresses: [apus_lesson_address] = []
}

/// Changes what is learned by programs of the data path: under its locks and counts, as a write from outside would
/// replace what it has just written.
final class NameTeacher: Sendable {
    private let learnNames: BPFProgram
    private let letGoOfNames: BPFProgram

    init(_ object: borrowing BPFObject) throws(BPFError) {
        learnNames = try object.program("learn_names")
        letGoOfNames = try object.program("let_go_of_names")
    }

    /// Learns, or renews; a later end stays.
    ///
    /// - Returns: what became of it; where some addresses found no room, or were busy, the others are learned.
    func learn(_ lesson: NameLesson) throws(BPFError) -> apus_lesson_outcome {
        var outcome = apus_lesson_outcome.APUS_LESSON_LEARNED
        var rest = lesson.addresses[...]
        repeat {
            let part = rest.prefix(Int(APUS_LESSON_MOST))
            rest = rest.dropFirst(part.count)
            let result = try learnNames.testRun(packet: Self.packet(lesson, part)).returnValue
            let partOutcome = apus_lesson_outcome(rawValue: result) ?? .APUS_LESSON_NO_ROOM
            if partOutcome == .APUS_LESSON_COLLIDED { return partOutcome }
            if partOutcome == .APUS_LESSON_NO_ROOM || outcome == .APUS_LESSON_LEARNED { outcome = partOutcome }
        } while !rest.isEmpty
        return outcome
    }

    /// Lets go of names of addresses, and of addresses that have none left.
    ///
    /// - Returns: how many addresses are gone.
    func letGo(_ leaving: [apus_let_go]) throws(BPFError) -> Int {
        var gone = 0
        var rest = leaving[...]
        while !rest.isEmpty {
            let part = rest.prefix(Self.lettingGoAtOnce)
            rest = rest.dropFirst(part.count)
            var packet = Self.header
            for item in part { packet += Array(Bytes(of: item)) }
            gone += Int(try letGoOfNames.testRun(packet: packet).returnValue)
        }
        return gone
    }

    private static let header = [UInt8](repeating: 0, count: Int(APUS_LESSON_OFFSET))
    /// As many as a frame has room for.
    private static let lettingGoAtOnce = Int(APUS_LESSON_MOST)

    private static func packet(_ lesson: NameLesson, _ addresses: ArraySlice<apus_lesson_address>) -> [UInt8] {
        var head = apus_lesson()
        head.time_ns = lesson.time
        head.set = lesson.set
        head.length = UInt32(lesson.name.utf8.count)
        head.policies.0 = lesson.policies.first ?? 0
        head.policies.1 = lesson.policies.dropFirst().first ?? 0
        head.count = UInt32(addresses.count)
        withUnsafeMutableBytes(of: &head.text) { $0.copyBytes(from: lesson.name.utf8.prefix($0.count - 1)) }
        return addresses.reduce(into: header + Array(Bytes(of: head))) { $0 += Array(Bytes(of: $1)) }
    }
}

extension NameTeacher {
    /// Learns what maps hold for other policies, or other maps: what was used last first, as there may be no room for all.
    ///
    /// - Parameters:
    ///   - held: addresses, as the maps have them.
    ///   - names: by their keys there; what has none is not learned.
    ///   - policy: what the policy of an address becomes.
    ///   - set: the set of a name.
    /// - Returns: how many names of addresses found no room.
    func learn(
        _ held: [(key: apus_learned_key, value: apus_learned_address)], _ names: [UInt64: LearnedNameRecord],
        policy: (UInt32) -> UInt32, set: (LearnedNameRecord) -> UInt32
    ) throws(BPFError) -> Int {
        var lessons: [HeldName: NameLesson] = [:]
        for (key, value) in held {
            for use in value.learned {
                guard let record = names[use.name] else { continue }
                let name = HeldName(name: use.name, policy: policy(key.policy))
                let lesson = NameLesson(
                    name: record.name, set: set(record), time: record.seenAt, policies: [name.policy])
                lessons[name, default: lesson].addresses.append(
                    apus_lesson_address(
                        address: key.address, end_ns: use.end_ns, used_ns: value.used_ns, judged: UInt32(value.judged),
                        padding: 0))
            }
        }
        let lastUse = { (lesson: NameLesson) in lesson.addresses.map(\.used_ns).max() ?? 0 }
        return try learn(lessons.values.map { ($0, lastUse($0)) }.sorted { $0.1 > $1.1 }.map(\.0))
    }

    /// Learns lessons of one policy each in their order. Where there is no room any more for a policy, what else there is
    /// for it finds none either: to try would have the data path look for room again and again.
    ///
    /// - Returns: how many names of addresses were not learned.
    private func learn(_ lessons: [NameLesson]) throws(BPFError) -> Int {
        var missed = 0
        var full: Set<[UInt32]> = []
        for lesson in lessons {
            if full.contains(lesson.policies) {
                missed += lesson.addresses.count
                continue
            }
            let outcome = try learn(lesson)
            if outcome == .APUS_LESSON_NO_ROOM { full.insert(lesson.policies) }
            if outcome != .APUS_LESSON_LEARNED { missed += lesson.addresses.count }
        }
        return missed
    }

    private struct HeldName: Hashable {
        let name: UInt64
        let policy: UInt32
    }
}
