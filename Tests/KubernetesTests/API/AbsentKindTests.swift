import Kubernetes
import Testing

@Suite("Kinds that an API server does not have")
struct AbsentKindTests {
    private static let absence = ListWatchInput.ended(.refused(APIRefusal(code: 404, message: "404 page not found")))

    @Test("a custom resource that is not there has no objects once that was said twice, and is looked for again")
    func absent() {
        var machine = ListWatch(kind: .clusterNetworkPolicy)
        let refusal = Self.absence
        #expect(ListWatchTests.words(machine.handle(refusal, random: 0)) == ["initial events after 0.05 seconds"])
        #expect(
            ListWatchTests.words(machine.handle(refusal, random: 0)) == [
                "problem: the API server does not have this kind",
                "problem: the API server does not have this kind", "synced", "initial events after 5.0 seconds",
            ])
        _ = machine.handle(.opened, random: 0)
        let events: [WatchEvent] = [.upsert(ListWatchTests.received("a", 5)), ListWatchTests.bookmark(10, ends: true)]
        #expect(ListWatchTests.words(machine.handle(.events(events), random: 0)) == ["+a5"])
    }

    @Test("objects of a custom resource are let go only when it has been absent for five seconds without a break")
    func lastingAbsence() {
        var machine = ListWatchTests.watching(kind: .fqdnNetworkPolicy)
        var now = ContinuousClock.now
        for _ in 0..<10 {
            #expect(
                ListWatchTests.words(machine.handle(Self.absence, now: now, random: 0)).first?.hasPrefix("page 1")
                    == true)
            now += .milliseconds(400)
        }
        // Another answer in between: it begins anew.
        let refusal = ListWatchInput.ended(.refused(APIRefusal(code: 503, message: "no")))
        _ = machine.handle(refusal, now: now, random: 0)
        for _ in 0..<2 {
            now += .seconds(4)
            #expect(!ListWatchTests.words(machine.handle(Self.absence, now: now, random: 0)).contains("-a -b"))
        }
        now += .seconds(1)
        let words = ListWatchTests.words(machine.handle(Self.absence, now: now, random: 0))
        #expect(words.contains("-a -b") && words.last == "page 1 after 5.0 seconds", "\(words)")
    }

    @Test(
        "a server that does not know a kind of its own is refusing, and nothing is let go",
        arguments: ObjectKind.allCases.filter { !$0.apiVersion.contains("v1alpha") })
    func absentCoreKind(kind: ObjectKind) {
        var machine = ListWatchTests.watching(kind: kind)
        var unsynced = ListWatch(kind: kind)
        var now = ContinuousClock.now
        for _ in 0..<10 {
            for words in [
                ListWatchTests.words(machine.handle(Self.absence, now: now, random: 0)),
                ListWatchTests.words(unsynced.handle(Self.absence, now: now, random: 0)),
            ] {
                #expect(!words.contains { $0.hasPrefix("-") || $0 == "synced" }, "\(words)")
            }
            now += .seconds(60)
        }
        let words = ListWatchTests.words(machine.handle(Self.absence, now: now, random: 1))
        #expect(words.last == "watch 10 after 30.0 seconds", "\(words)")
        #expect(machine.isSynced && !unsynced.isSynced)
    }
}
