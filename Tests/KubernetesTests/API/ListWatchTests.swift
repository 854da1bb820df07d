import Kubernetes
import Testing

@Suite("The protocol of lists and watches")
struct ListWatchTests {
    static func received(_ name: String, _ version: Int) -> ReceivedObject {
        ReceivedObject(ModelServer.object(name, version: version, uid: 1))
    }

    static func bookmark(_ version: Int, ends: Bool = false) -> WatchEvent {
        .bookmark(resourceVersion: "\(version)", endsInitialEvents: ends)
    }

    static let key = ObjectKey(.namespace, name: "a")

    /// A machine that has read a list with objects `a` and `b` at version 10, and is about to watch.
    static func watching(streams: Bool = false, kind: ObjectKind = .namespace) -> ListWatch {
        var settings = ListWatchSettings()
        settings.prefersStreaming = streams
        var machine = ListWatch(kind: kind, settings: settings)
        if streams {
            _ = machine.handle(.opened, random: 0)
            _ = machine.handle(
                .events([.upsert(received("a", 5)), .upsert(received("b", 6)), bookmark(10, ends: true)]), random: 0)
        } else {
            _ = machine.handle(.items([received("a", 5), received("b", 6)]), random: 0)
            _ = machine.handle(.pageEnd(ListEnvelope(resourceVersion: "10")), random: 0)
            _ = machine.handle(.ended(.complete), random: 0)
        }
        return machine
    }

    /// What comes out, as short texts.
    static func words(_ actions: [ListWatchAction]) -> [String] {
        actions.compactMap { action in
            switch action {
            case .tell(.changes(let changes)): changes.map(DirectoryStateTests.words).joined(separator: " ")
            case .tell(.diagnostic(let diagnostic)): diagnostic.description
            case .tell(.forgiven(let source)): "forgiven \(source)"
            case .tell(.resolved(let diagnostic)): "resolved \(diagnostic)"
            case .tell(.standing(_, let standing)): standing.problem.map { "problem: \($0)" }
            case .tell(.synced): nil
            case .synced: "synced"
            case .abandon: "abandon"
            case .request(let request, let pause): "\(words(request)) after \(pause)"
            }
        }
    }

    private static func words(_ request: ListWatchRequest) -> String {
        switch request {
        case .page(let token, let isCut): "page \(token ?? "1")\(isCut ? "" : " uncut")"
        case .initialEvents: "initial events"
        case .watch(let version): "watch \(version)"
        }
    }

    @Test("a list in pages tells what comes, and then watches from its version")
    func pages() {
        var settings = ListWatchSettings()
        settings.prefersStreaming = false
        var machine = ListWatch(kind: .namespace, settings: settings)
        #expect(machine.firstRequest == .page(continuation: nil, isCut: true))
        #expect(Self.words(machine.handle(.items([Self.received("a", 5)]), random: 0)) == ["+a5"])
        let page = ListEnvelope(resourceVersion: "10", continuation: "more")
        #expect(Self.words(machine.handle(.pageEnd(page), random: 0)) == [])
        #expect(Self.words(machine.handle(.ended(.complete), random: 0)) == ["page more after 0.0 seconds"])
        #expect(Self.words(machine.handle(.items([Self.received("b", 6)]), random: 0)) == ["+b6"])
        #expect(Self.words(machine.handle(.pageEnd(ListEnvelope(resourceVersion: "10")), random: 0)) == ["synced"])
        #expect(Self.words(machine.handle(.ended(.complete), random: 0)) == ["watch 10 after 0.0 seconds"])
    }

    @Test("a streaming list is complete with its mark, and goes on as a watch")
    func streamingList() {
        var machine = ListWatch(kind: .namespace)
        #expect(machine.firstRequest == .initialEvents)
        _ = machine.handle(.opened, random: 0)
        #expect(Self.words(machine.handle(.events([.upsert(Self.received("a", 5))]), random: 0)) == ["+a5"])
        let rest: [WatchEvent] = [Self.bookmark(10, ends: true), .upsert(Self.received("b", 11))]
        #expect(Self.words(machine.handle(.events(rest), random: 0)) == ["synced", "+b11"])
        #expect(Self.words(machine.handle(.ended(.complete), random: 0)) == ["watch 11 after 0.0 seconds"])
    }

    @Test("a watch goes on from the last version, of an event, a deletion or a bookmark")
    func versions() {
        let events: [(WatchEvent, String)] = [
            (.upsert(Self.received("a", 11)), "watch 11"), (.delete(Self.key, resourceVersion: "12"), "watch 12"),
            (Self.bookmark(13), "watch 13"),
        ]
        for (event, next) in events {
            for ending in [ListWatchEnding.complete, .timeUp, .cut("reset"), .silent] {
                var machine = Self.watching()
                _ = machine.handle(.opened, random: 0)
                _ = machine.handle(.events([event]), random: 0)
                #expect(Self.words(machine.handle(.ended(ending), random: 0)) == ["\(next) after 0.0 seconds"])
            }
        }
    }

    @Test("a version that is too old begins a list, of which only the difference is told, deletions first")
    func expired() {
        var machine = Self.watching()
        _ = machine.handle(.events([.error(APIRefusal(code: 410, message: "too old"))]), random: 0)
        #expect(Self.words(machine.handle(.ended(.complete), random: 0)) == ["page 1 after 0.05 seconds"])
        let items = [Self.received("b", 6), Self.received("c", 12)]
        #expect(Self.words(machine.handle(.items(items), random: 0)) == [])
        let end = machine.handle(.pageEnd(ListEnvelope(resourceVersion: "20")), random: 0)
        #expect(Self.words(end) == ["-a +c12"])
    }

    @Test("a watch is read no further than to its error")
    func error() {
        var machine = Self.watching()
        let refusal = APIRefusal(code: 410, message: "too old")
        let lines: [WatchEvent] = [.upsert(Self.received("c", 11)), .error(refusal), .upsert(Self.received("d", 12))]
        #expect(Self.words(machine.handle(.events(lines), random: 0)) == ["+c11", "abandon"])
        #expect(Self.words(machine.handle(.ended(.complete), random: 0)) == ["page 1 after 0.05 seconds"])
    }

    @Test("a list that breaks off takes nothing back")
    func brokenList() {
        var machine = Self.watching()
        _ = machine.handle(.ended(.refused(APIRefusal(code: 410, message: "too old"))), random: 0)
        _ = machine.handle(.items([Self.received("b", 6)]), random: 0)
        #expect(Self.words(machine.handle(.ended(.cut("reset")), random: 0)) == ["page 1 after 0.1 seconds"])
        let items = [Self.received("a", 5), Self.received("b", 6)]
        let end =
            machine.handle(.items(items), random: 0)
            + machine.handle(.pageEnd(ListEnvelope(resourceVersion: "20")), random: 0)
        #expect(Self.words(end) == [])
    }

    @Test("an object that comes back in one chunk is another one")
    func replaced() {
        var machine = Self.watching()
        let events: [WatchEvent] = [
            .upsert(Self.received("b", 11)), .delete(Self.key, resourceVersion: "12"), .upsert(Self.received("a", 13)),
        ]
        #expect(Self.words(machine.handle(.events(events), random: 0)) == ["-a +b11", "+a13"])
    }

    @Test("pauses double while the server says no, until something comes")
    func pauses() {
        var machine = Self.watching()
        let refusals = (0..<12).map { _ in
            machine.handle(.ended(.refused(APIRefusal(code: 503, message: "no"))), random: 1).last
        }
        let pauses = [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]
        #expect(refusals == pauses.map { .request(.watch(from: "10"), after: .milliseconds($0)) })
        _ = machine.handle(.events([Self.bookmark(11)]), random: 1)
        let after = machine.handle(.ended(.refused(APIRefusal(code: 503, message: "no"))), random: 0).last
        #expect(after == .request(.watch(from: "11"), after: .milliseconds(50)))
    }

    @Test("while nobody answers pauses stay short, and the first error after that begins anew")
    func absence() {
        var machine = Self.watching()
        let unanswered = (0..<6).map { _ in machine.handle(.ended(.unreachable("refused")), random: 1).last }
        let pauses = [100, 200, 400, 500, 500, 500]
        #expect(unanswered == pauses.map { .request(.watch(from: "10"), after: .milliseconds($0)) })
        // What it took to find out that nobody answers counts as a pause.
        for (took, pause) in [(300, 200), (3000, 0)] {
            let late = machine.handle(.ended(.unreachable("no answer", after: .milliseconds(took))), random: 1).last
            #expect(late == .request(.watch(from: "10"), after: .milliseconds(pause)))
        }
        let refused = machine.handle(.ended(.refused(APIRefusal(code: 403, message: "no"))), random: 1).last
        #expect(refused == .request(.watch(from: "10"), after: .milliseconds(100)))
    }

    @Test("a server that asks to wait is waited for")
    func retryAfter() {
        var machine = Self.watching()
        let refusal = APIRefusal(code: 429, message: "storage is (re)initializing", retryAfter: 5)
        #expect(
            Self.words(machine.handle(.ended(.refused(refusal)), random: 0)) == [
                "problem: the API server asks to wait (429): storage is (re)initializing",
                "watch 10 after 5.0 seconds",
            ])
    }

    @Test("what a server without streaming lists says, or does not say, makes a list in pages of it")
    func withoutStreaming() {
        let old: [(ListWatchInput, ListWatchEnding)] = [
            (.opened, .refused(APIRefusal(code: 422, message: "forbidden"))),
            (.opened, .refused(APIRefusal(code: 400, message: "unknown"))),
            (.events([.upsert(Self.received("a", 5))]), .silent),
            (.events([.upsert(Self.received("a", 5)), Self.bookmark(9)]), .complete),
        ]
        for (input, ending) in old {
            var machine = ListWatch(kind: .namespace)
            _ = machine.handle(.opened, random: 0)
            let actions = machine.handle(input, random: 0)
            #expect(actions.contains(.abandon) == (ending == .complete))
            #expect(Self.words(machine.handle(.ended(ending), random: 0)).last?.hasPrefix("page 1") == true)
        }
        var slow = ListWatch(kind: .namespace)
        #expect(Self.words(slow.handle(.ended(.silent), random: 0)).last == "initial events after 0.05 seconds")
    }

    @Test("a watch whose time was up without a bookmark gives way to a list: the version may be a future one")
    func futureVersion() {
        var machine = Self.watching()
        _ = machine.handle(.opened, random: 0)
        #expect(Self.words(machine.handle(.ended(.timeUp), random: 0)) == ["page 1 after 0.05 seconds"])
    }

    @Test("a watch that ends early or falls silent says nothing about its version")
    func quietWatch() {
        for ending in [ListWatchEnding.complete, .silent, .cut("reset")] {
            var machine = Self.watching()
            for pause in ["0.05", "0.1", "0.2", "0.4"] {
                _ = machine.handle(.opened, random: 0)
                #expect(machine.isWatching)
                #expect(Self.words(machine.handle(.ended(ending), random: 0)) == ["watch 10 after \(pause) seconds"])
            }
        }
        var streaming = ListWatch(kind: .namespace)
        _ = streaming.handle(.opened, random: 0)
        #expect(!streaming.isWatching)
        _ = streaming.handle(.events([Self.bookmark(10, ends: true)]), random: 0)
        #expect(streaming.isWatching)
    }

    @Test("the token of a page that is too old begins a list that is not cut into pages")
    func expiredToken() {
        var machine = Self.watching()
        _ = machine.handle(.ended(.refused(APIRefusal(code: 410, message: "too old"))), random: 0)
        _ = machine.handle(.items([Self.received("a", 5)]), random: 0)
        _ = machine.handle(.pageEnd(ListEnvelope(resourceVersion: "20", continuation: "t")), random: 0)
        _ = machine.handle(.ended(.complete), random: 0)
        let refused = machine.handle(.ended(.refused(APIRefusal(code: 410, message: "too old"))), random: 0)
        #expect(Self.words(refused).last == "page 1 uncut after 0.05 seconds")
    }

    @Test("an object that can't be used is told once, keeps its last good version, and is forgiven when it is mended")
    func brokenObject() {
        var machine = Self.watching()
        let diagnostic = SourceDiagnostic(.invalidObject, source: Self.key.path, key: Self.key, message: "wrong")
        let broken = ReceivedObject(key: Self.key, resourceVersion: "11", object: nil, diagnostics: [diagnostic])
        let told = Self.words(machine.handle(.events([.upsert(broken)]), random: 0))
        #expect(told == ["/api/v1/namespaces/a: Namespace a: wrong (the last good version stays in force)"])
        _ = machine.handle(.ended(.refused(APIRefusal(code: 410, message: "too old"))), random: 0)
        #expect(Self.words(machine.handle(.items([broken, Self.received("b", 6)]), random: 0)) == [])
        #expect(Self.words(machine.handle(.pageEnd(ListEnvelope(resourceVersion: "20")), random: 0)) == [])
        let mended = machine.handle(.events([.upsert(Self.received("a", 21))]), random: 0)
        #expect(Self.words(mended) == ["forgiven /api/v1/namespaces/a", "+a21"])
    }
}

extension ListWatch {
    /// Takes in what happened, at a time that does not matter.
    mutating func handle(_ input: ListWatchInput, random: Double) -> [ListWatchAction] {
        handle(input, now: .now, random: random)
    }
}
