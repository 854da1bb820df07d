import Kubernetes
import Testing

@testable import Agent

@Suite struct Diagnostics {
    private let broken = SourceDiagnostic(.syntax, source: "a.yaml", document: 2, message: "expected a mapping")
    private let other = SourceDiagnostic(.invalidObject, source: "b.yaml", document: 1, message: "no name")
    private let key = ObjectKey(.service, namespace: "shop", name: "web")

    @Test func whatIsMendedIsForgottenAndNothingElse() {
        var diagnostics = SourceDiagnostics()
        diagnostics.note(broken)
        diagnostics.note(other)
        diagnostics.forgive("a.yaml")
        #expect(diagnostics.current == [other])
        #expect(diagnostics.total == 2)
    }

    @Test func noticesAreCountedAndNotKept() {
        var diagnostics = SourceDiagnostics()
        diagnostics.note(SourceDiagnostic(.ignoredKind, source: "a.yaml", subject: "Deployment", message: "not read"))
        #expect(diagnostics.current.isEmpty && diagnostics.total == 1)
    }

    @Test func whatTwoFilesHaveStaysUntilItIsResolved() {
        var diagnostics = SourceDiagnostics()
        let double = SourceDiagnostic(.duplicate, source: "b.yaml", key: key, message: "is in a.yaml")
        diagnostics.note(double)
        diagnostics.forgive("b.yaml")
        #expect(diagnostics.current.count == 1)
        diagnostics.resolve(double)
        #expect(diagnostics.current.isEmpty)
    }

    @Test func whatOneFileHasTwiceIsForgottenWithIt() {
        var diagnostics = SourceDiagnostics()
        diagnostics.note(SourceDiagnostic(.duplicate, source: "b.yaml", document: 2, key: key, message: "is in 1"))
        diagnostics.forgive("b.yaml")
        #expect(diagnostics.current.isEmpty)
    }

    @Test func theNewestVersionOfAnObjectIsRejectedByItselfOrWithItsFile() {
        var diagnostics = SourceDiagnostics()
        var unreadable = SourceDiagnostic(.unreadable, source: "a.yaml", message: "no")
        unreadable.keptKeys = [key]
        let wrong = SourceDiagnostic(.invalidObject, source: "b.yaml", document: 1, key: key, message: "no name")
        for entry in [unreadable, wrong, broken] { diagnostics.note(entry) }
        #expect(diagnostics.rejections(of: key) == [unreadable, wrong])
        #expect(diagnostics.rejections(of: ObjectKey(.service, namespace: "shop", name: "db")).isEmpty)
    }

    @Test func filesOfWhichSomethingIsNoObjectAreCounted() {
        var diagnostics = SourceDiagnostics()
        for entry in [broken, broken, other] { diagnostics.note(entry) }
        diagnostics.note(SourceDiagnostic(.unreadable, source: "c.yaml", message: "no"))
        diagnostics.note(SourceDiagnostic(.invalidObject, source: "d.yaml", key: key, message: "no"))
        #expect(diagnostics.unreadable == [.syntax: 1, .invalidObject: 1, .unreadable: 1])
    }

    @Test func thereIsRoomForSoMany() {
        var diagnostics = SourceDiagnostics()
        for number in 0..<1000 {
            diagnostics.note(SourceDiagnostic(.syntax, source: "\(number).yaml", message: "nonsense"))
        }
        #expect(diagnostics.current.count == 256 && diagnostics.total == 1000)
    }

    @Test func whatWasInForceIsKeptUntilTheViewHasBeenFullForAWhile() {
        var kept = KeptState()
        let looks = [
            (5, true), (KeptState.calm, false), (KeptState.calm + 5, true), (2 * KeptState.calm + 5, true),
        ]
        let ends = looks.map { time, isFull in kept.isOver(at: time, viewIsFull: isFull) }
        #expect(ends == [false, false, false, true], "the time starts anew when a gap shows")
    }
}
