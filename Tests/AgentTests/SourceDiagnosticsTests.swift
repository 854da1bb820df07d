import AgentAPI
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
        #expect(diagnostics.all == [other])
        #expect(diagnostics.total == 2)
    }

    @Test(arguments: [
        (ObjectKind.networkPolicy, "shop", true), (.networkPolicy, "other", false), (.fqdnNetworkPolicy, "shop", true),
        (.fqdnNetworkPolicy, "other", false), (.clusterNetworkPolicy, "", true), (.namespace, "", true),
        (.node, "", true), (.pod, "shop", true), (.pod, "other", false), (.service, "shop", false),
        (.endpointSlice, "shop", false),
    ])
    func aPodWaitsForWhatMayBeItsPolicyAlone(kind: ObjectKind, namespace: String, waits: Bool) {
        var diagnostics = SourceDiagnostics()
        let key = ObjectKey(kind, namespace: namespace, name: "web")
        diagnostics.note(SourceDiagnostic(.invalidObject, source: "a.yaml", key: key, message: "wrong"))
        #expect((diagnostics.hidingPolicies(ofPod: "web", in: "shop") != nil) == waits)
        diagnostics.note(broken)
        #expect(diagnostics.hidingPolicies(ofPod: "web", in: "shop") != nil, "a document that may be anything")
    }

    @Test func noticesAreCountedAndNotKept() {
        var diagnostics = SourceDiagnostics()
        diagnostics.note(SourceDiagnostic(.ignoredKind, source: "a.yaml", subject: "Deployment", message: "not read"))
        #expect(diagnostics.all.isEmpty && diagnostics.total == 1)
    }

    @Test func whatTwoFilesHaveStaysUntilItIsResolved() {
        var diagnostics = SourceDiagnostics()
        let double = SourceDiagnostic(.duplicate, source: "b.yaml", key: key, message: "is in a.yaml")
        diagnostics.note(double)
        diagnostics.forgive("b.yaml")
        #expect(diagnostics.all.count == 1)
        diagnostics.resolve(double)
        #expect(diagnostics.all.isEmpty)
    }

    @Test func whatOneFileHasTwiceIsForgottenWithIt() {
        var diagnostics = SourceDiagnostics()
        diagnostics.note(SourceDiagnostic(.duplicate, source: "b.yaml", document: 2, key: key, message: "is in 1"))
        diagnostics.forgive("b.yaml")
        #expect(diagnostics.all.isEmpty)
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

    @Test func soManyAreShownAndTheOthersWhenThereIsRoom() {
        var diagnostics = SourceDiagnostics()
        for number in 0..<1000 {
            diagnostics.note(SourceDiagnostic(.syntax, source: "\(number).yaml", message: "nonsense"))
        }
        #expect(diagnostics.shown.first.map(\.source) == (0..<256).map { "\($0).yaml" })
        #expect(diagnostics.shown.others == 744 && diagnostics.total == 1000)
        #expect(diagnostics.told.count == 257 && diagnostics.told.last?.message.hasPrefix("and 744 more") == true)
        for number in 0..<999 { diagnostics.forgive("\(number).yaml") }
        #expect(diagnostics.shown.first.map(\.source) == ["999.yaml"] && diagnostics.told.count == 1)
    }

    @Test("many harmless problems do not hide the one by which policies must be kept", arguments: [255, 256, 1000])
    func safetyIsNotBounded(harmless: Int) {
        var diagnostics = SourceDiagnostics()
        for number in 0..<harmless {
            let pod = ObjectKey(.pod, namespace: "shop", name: "\(number)")
            diagnostics.note(SourceDiagnostic(.duplicate, source: "pods.yaml", key: pod, message: "is there twice"))
        }
        #expect(!diagnostics.hidesObjects && !diagnostics.hidesPolicies)
        diagnostics.note(SourceDiagnostic(.syntax, source: "policies.yaml", document: 3, message: "ends too early"))
        #expect(diagnostics.hidesObjects && diagnostics.hidesPolicies)
        #expect(diagnostics.unreadable == [.syntax: 1])
        diagnostics.forgive("policies.yaml")
        #expect(!diagnostics.hidesObjects && !diagnostics.hidesPolicies)
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
