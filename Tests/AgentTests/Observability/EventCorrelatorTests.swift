import KubernetesAPI
import Testing

@testable import Agent

/// Which Events are written of what is not in force.
@Suite struct EventCorrelators {
    private static let second: UInt64 = 1_000_000_000

    private func problem(_ name: String, _ message: String = "m") -> ObjectProblem {
        ObjectProblem(
            object: ObjectReference(kind: "Pod", namespace: "shop", name: name), reason: .noInterface,
            message: message)
    }

    private static func subject(_ object: ObjectReference) -> ClusterEvent.Subject? {
        object.kind == "Unknown"
            ? nil
            : ClusterEvent.Subject(
                apiVersion: "v1", kind: object.kind, namespace: object.namespace, name: object.name, uid: "u")
    }

    /// A correlator with a clock in seconds.
    private struct Fixture {
        var correlator = EventCorrelator(node: "node-a")

        init(_ limits: EventCorrelator.Limits = EventCorrelator.Limits()) {
            correlator = EventCorrelator(node: "node-a", limits: limits)
        }

        mutating func update(_ problems: [ObjectProblem], at seconds: UInt64) -> [EventCorrelator.Write] {
            correlator.update(
                problems, subject: EventCorrelators.subject, now: seconds * EventCorrelators.second,
                time: "time-\(seconds)")
        }
    }

    @Test func aProblemIsWrittenWhenItHasLastedAndThenOnlyNowAndAgain() throws {
        var fixture = Fixture()
        #expect(fixture.update([problem("web")], at: 100) == [])
        #expect(fixture.update([problem("web")], at: 109) == [])
        let writes = fixture.update([problem("web")], at: 110)
        guard case .create(let event) = try #require(writes.first), writes.count == 1 else {
            Issue.record("\(writes)")
            return
        }
        #expect(event.reason == "NoInterface" && event.isWarning && event.count == 1 && event.namespace == "shop")
        #expect(event.name.hasPrefix("web.") && event.firstTime == "time-110" && event.subject.uid == "u")
        #expect(fixture.update([problem("web")], at: 1909) == [])
        let again = fixture.update([problem("web")], at: 1910)
        guard case .update(let counted) = try #require(again.first) else {
            Issue.record("\(again)")
            return
        }
        #expect(counted.name == event.name && counted.count == 2)
        #expect(counted.firstTime == "time-110" && counted.lastTime == "time-1910")
    }

    @Test func whatIsOverSoonIsNotWrittenAtAll() {
        var fixture = Fixture()
        _ = fixture.update([problem("web")], at: 100)
        #expect(fixture.update([], at: 105) == [])
        #expect(fixture.update([problem("web")], at: 110) == [], "it begins anew")
    }

    @Test func theEndOfWhatWasWrittenIsWrittenToo() throws {
        var fixture = Fixture()
        _ = fixture.update([problem("web", "no route")], at: 100)
        _ = fixture.update([problem("web", "no route")], at: 110)
        let writes = fixture.update([], at: 120)
        guard case .create(let ending) = try #require(writes.first), writes.count == 1 else {
            Issue.record("\(writes)")
            return
        }
        #expect(!ending.isWarning && ending.reason == "Mended")
        #expect(ending.message == "No longer NoInterface: no route")
        #expect(fixture.update([], at: 121) == [])
    }

    @Test func whatComesBackGoesOnWithItsEvent() throws {
        var fixture = Fixture()
        _ = fixture.update([problem("web")], at: 100)
        let first = try #require(fixture.update([problem("web")], at: 110).first).event
        _ = fixture.update([], at: 120)
        _ = fixture.update([problem("web")], at: 130)
        let writes = fixture.update([problem("web")], at: 140)
        #expect(writes.count == 1 && writes.first?.event.name == first.name && writes.first?.event.count == 2)
        _ = fixture.update([], at: 150)
        _ = fixture.update([], at: 750)
        _ = fixture.update([problem("web")], at: 760)
        let later = try #require(fixture.update([problem("web")], at: 770).first)
        #expect(later.event.name != first.name && later.event.count == 1, "the old one is forgotten")
    }

    @Test func aProblemOfWhichSomethingElseIsSaidGoesOnWithItsEvent() throws {
        func closed(_ message: String) -> ObjectProblem {
            ObjectProblem(
                object: ObjectReference(kind: "Pod", namespace: "shop", name: "web"), reason: .closed,
                message: message, topic: "ingress")
        }
        var fixture = Fixture()
        _ = fixture.update([closed("a is full")], at: 100)
        let first = try #require(fixture.update([closed("a is full")], at: 110).first).event
        #expect(fixture.update([closed("b is full")], at: 120) == [], "it is neither over nor new")
        let writes = fixture.update([closed("b is full")], at: 1910)
        guard case .update(let event) = try #require(writes.first), writes.count == 1 else {
            Issue.record("\(writes)")
            return
        }
        #expect(event.name == first.name && event.count == 2 && event.message == "b is full")
        #expect(fixture.update([], at: 1920).map(\.event.message) == ["No longer Closed: b is full"])
    }

    @Test func oneObjectGetsNoMoreThanItsAllowance() {
        var limits = EventCorrelator.Limits()
        (limits.burst, limits.writes) = (3, 100)
        var fixture = Fixture(limits)
        let many = (0..<10).map { problem("web", "\($0)") } + [problem("other")]
        _ = fixture.update(many, at: 100)
        #expect(fixture.update(many, at: 110).count == 4)
        #expect(fixture.correlator.suppressed == 7)
    }

    @Test func aRoundWritesABoundedNumberAndTheRestFollows() {
        var limits = EventCorrelator.Limits()
        limits.writes = 4
        var fixture = Fixture(limits)
        let many = (0..<10).map { problem("web-\($0)") }
        _ = fixture.update(many, at: 100)
        #expect((110..<114).map { fixture.update(many, at: $0).count } == [4, 4, 2, 0])
        #expect((120..<124).map { fixture.update([], at: $0).count } == [4, 4, 2, 0], "no ending is lost")
        #expect(fixture.correlator.suppressed == 0)
    }

    @Test func moreProblemsThanCanBeFollowedAreCounted() {
        var limits = EventCorrelator.Limits()
        limits.problems = 5
        var fixture = Fixture(limits)
        _ = fixture.update((0..<8).map { problem("web-\($0)") }, at: 100)
        #expect(fixture.correlator.suppressed == 3)
    }

    @Test func whatCouldNotBeWrittenIsTriedAgain() throws {
        var fixture = Fixture()
        _ = fixture.update([problem("web")], at: 100)
        let write = try #require(fixture.update([problem("web")], at: 110).first)
        fixture.correlator.failed(write, now: 110 * Self.second)
        #expect(fixture.update([problem("web")], at: 119) == [])
        #expect(fixture.update([problem("web")], at: 120).count == 1)
    }

    @Test func kindsThatTheServerDoesNotHaveAreLeftOut() {
        var fixture = Fixture()
        let unknown = ObjectProblem(
            object: ObjectReference(kind: "Unknown", name: "x"), reason: .invalid, message: "m")
        _ = fixture.update([unknown], at: 100)
        #expect(fixture.update([unknown], at: 110) == [])
    }
}

/// When the Node's condition is written.
@Suite struct ConditionKeepers {
    private static let second: UInt64 = 1_000_000_000

    @Test func itIsWrittenOnceTheDataPathIsInForceUnlessTheNodeSaysSoAlready() {
        let keeper = ConditionKeeper()
        let cases: [(Bool, Bool, Bool?, Bool)] = [
            (true, true, nil, true), (true, true, true, true), (true, true, false, false), (false, true, nil, false),
            (true, false, nil, false),
        ]
        for (isInForce, isKnown, isUnavailable, isDue) in cases {
            #expect(
                keeper.isDue(isInForce: isInForce, isKnown: isKnown, isUnavailable: isUnavailable, now: 1) == isDue)
        }
    }

    @Test func itIsLeftTimeToComeBackAndFailuresMakeItSlower() {
        var keeper = ConditionKeeper()
        func waits(from now: UInt64) -> UInt64? {
            (0..<1000).first { wait in
                keeper.isDue(isInForce: true, isKnown: true, isUnavailable: nil, now: (now + wait) * Self.second)
            }
        }
        keeper.noteSuccess(at: 100 * Self.second)
        #expect(waits(from: 100) == 10)
        for expected in [10, 20, 40, 80, 160, 300, 300] as [UInt64] {
            keeper.noteFailure(at: 100 * Self.second)
            #expect(waits(from: 100) == expected)
        }
    }
}
