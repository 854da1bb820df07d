import Addressing
import BPF
import DatapathABI
import DomainNames
import NetworkPolicy
import Testing

@testable import Datapath

/// A pod with a policy, and maps of learned addresses with room for two.
private struct Lessons: ~Copyable {
    private let maps: HeldMaps
    private var compiler = PolicyCompiler(node: "node-1")
    private(set) var rig = Rig()
    private(set) var teaching: AnswerTeaching

    /// When what is taught ends.
    static let end = UInt64.max - 1

    init(_ patterns: [String]) throws {
        let maps = try HeldMaps(capacity: 2)
        // Takes one of the two places.
        try maps.learn(9, "held.test", end: .max)
        let edits = compiler.apply([.pod(Self.client), try Self.policy(patterns)])
        rig.tables.apply(edits.map(DatapathEdit.policy))
        rig.tables.apply([.endpoint(.upsert(endpoint(1)))])
        rig.program()
        // Which is not asked, as the tables know what is in force.
        let names = try maps.names.duplicate()
        teaching = AnswerTeaching(maps.teacher, AutomatonInForce(names))
        self.maps = maps
    }

    private static let client = PolicyPod(
        key: PodKey(namespace: "shop", name: "p1"), labels: ["app": "web"], addresses: [IPAddress(v4: 0x0a01_0001)],
        node: "node-1", isHostNetwork: false, namedPorts: [], isTerminated: false)

    private static func policy(_ patterns: [String]) throws -> PolicyInput {
        let rule = FQDNPolicyRule(matches: try patterns.map { try DomainPattern(fqdnPattern: $0) })
        return .fqdnPolicy(FQDNPolicyObject(namespace: "shop", name: "names", egress: [rule]))
    }

    /// Changes the pod's policy, and gives the names that are held their sets, as installing an automaton does.
    mutating func change(to patterns: [String]) throws {
        rig.tables.apply(compiler.apply([try Self.policy(patterns)]).map(DatapathEdit.policy))
        for _ in 0..<4 { rig.program(after: 20) }
        for (_, record) in try maps.names.learnedNames() {
            _ = try maps.teacher.learn(
                NameLesson(name: record.name, set: set(of: record.name), time: 1, policies: []))
        }
    }

    mutating func replacePod() {
        rig.tables.apply([.endpoint(.remove(endpoint(1).pod))])
        for _ in 0..<4 { rig.program(after: 20) }
        rig.tables.apply([.endpoint(.upsert(endpoint(1, uid: "b")))])
        for _ in 0..<4 { rig.program(after: 20) }
    }

    var policy: UInt32 { rig.kernel.endpoint(1)?.egress_policy ?? 0 }
    var pod: EndpointReference {
        get throws {
            let (slot, record) = try #require(rig.tables.endpoints.records.first)
            return EndpointReference(slot: UInt32(slot), identity: try #require(record.actual).identity)
        }
    }

    func set(of name: String) -> UInt32 { rig.kernel.installed?.set(matching: name.utf8) ?? 0 }

    /// Has the pod taught an address of a name.
    mutating func teach(_ number: UInt64, _ name: String) throws -> apus_lesson_outcome? {
        let answer = PodAnswer(
            pod: try pod, name: name, time: 1,
            addresses: [PodAnswer.Address(address: IPAddress(v4: 0x0a00_0000 | UInt32(number)), end: Self.end)])
        return teaching.teach(answer, by: rig.tables, now: 1)
    }

    mutating func teachWaiting(now: UInt64 = 10) -> Int { teaching.teachWaiting(by: rig.tables, now: now) }

    /// Lets go of the address that takes a place.
    func makeRoom() throws {
        let key = apus_learned_key(address: HeldMaps.address(9), policy: HeldMaps.policy, part: 0)
        #expect(try maps.teacher.letGo([apus_let_go(key: key, end_ns: .max, used_ns: .max)]) == 1)
    }

    /// For which policies addresses are held.
    var held: [UInt64: UInt32] {
        get throws {
            Dictionary(
                uniqueKeysWithValues: try maps.addresses.learnedAddresses().map {
                    ($0.key.address.address.low & 0xff, $0.key.policy)
                })
        }
    }

    /// The set that a name has; nil: it is not held.
    func heldSet(of name: String) throws -> UInt32? {
        try maps.names.learnedNames().first { $0.record.name == name }?.record.set
    }
}

@Suite("What answers teach that find no room at first")
struct AnswerTeachingTests {
    @Test("An answer is learned when room was made, and goes on waiting until then")
    func waits() throws {
        var lessons = try Lessons(["*.web.test"])
        #expect(try lessons.teach(1, "a.web.test") == .APUS_LESSON_LEARNED)
        #expect(try lessons.teach(2, "a.web.test") == .APUS_LESSON_NO_ROOM)
        #expect(lessons.teaching.lacksRoom && lessons.teaching.waitsForRoom)
        #expect(lessons.teachWaiting() == 0)
        // It was tried: nothing presses.
        #expect(!lessons.teaching.lacksRoom && lessons.teaching.waitsForRoom)
        try lessons.makeRoom()
        #expect(lessons.teachWaiting() == 1 && !lessons.teaching.waitsForRoom)
        #expect(try lessons.held == [1: lessons.policy, 2: lessons.policy])
        #expect(lessons.teaching.lost == LostAnswers())
    }

    @Test("It is learned for the policy and under the patterns of then: a name that is held keeps its set")
    func policyChange() throws {
        var lessons = try Lessons(["*.web.test"])
        let (policy, set) = (lessons.policy, lessons.set(of: "a.web.test"))
        _ = try lessons.teach(1, "a.web.test")
        #expect(try lessons.teach(2, "a.web.test") == .APUS_LESSON_NO_ROOM)
        try lessons.change(to: ["*.web.test", "a.*.test"])
        let now = lessons.set(of: "a.web.test")
        #expect(lessons.policy != policy && now != set && now != 0)
        try lessons.makeRoom()
        #expect(lessons.teachWaiting() == 1)
        #expect(try lessons.heldSet(of: "a.web.test") == now)
        #expect(try lessons.held == [1: policy, 2: lessons.policy])
    }

    @Test("A name whose pattern is gone teaches nothing, and waits no more")
    func patternGone() throws {
        var lessons = try Lessons(["*.web.test"])
        _ = try lessons.teach(1, "a.web.test")
        #expect(try lessons.teach(2, "b.web.test") == .APUS_LESSON_NO_ROOM)
        try lessons.change(to: ["other.test"])
        try lessons.makeRoom()
        #expect(lessons.teachWaiting() == 0 && !lessons.teaching.waitsForRoom)
        #expect(try lessons.held.keys.sorted() == [1] && lessons.heldSet(of: "b.web.test") == nil)
        #expect(lessons.teaching.lost == LostAnswers(unmatched: 1))
    }

    @Test("Nor does one of a pod that is gone, though another one has its place and policy, nor one that has ended")
    func podGone() throws {
        for isReplaced in [true, false] {
            var lessons = try Lessons(["*.web.test"])
            _ = try lessons.teach(1, "a.web.test")
            #expect(try lessons.teach(2, "b.web.test") == .APUS_LESSON_NO_ROOM)
            let (pod, policy) = (try lessons.pod, lessons.policy)
            if isReplaced { lessons.replacePod() }
            #expect(try lessons.policy == policy && (lessons.pod != pod) == isReplaced)
            try lessons.makeRoom()
            #expect(lessons.teachWaiting(now: isReplaced ? 10 : Lessons.end) == 0 && !lessons.teaching.waitsForRoom)
            #expect(try lessons.held.keys.sorted() == [1])
            #expect(lessons.teaching.lost == (isReplaced ? LostAnswers(unmatched: 1) : LostAnswers(expired: 1)))
        }
    }
}
