import Kubernetes
import PolicyGenerators
import Testing

/// A list and watch against a server that changes, forgets, breaks and restarts, one small step after the other.
struct ListWatchSimulation {
    var server = ModelServer()
    var machine: ListWatch
    var random: RandomSource
    /// What a listener has made of the changes.
    private(set) var objects: [ObjectKey: KubernetesObject] = [:]
    private(set) var synced = 0
    private var request: ListWatchRequest
    private var answer: ModelServer.Answer?
    /// The time, which goes on with each pause that is asked for.
    private var now = ContinuousClock.now

    init(seed: UInt64) {
        random = RandomSource(seed: seed)
        // What the server's word that it does not have the kind means is different for custom resources.
        machine = ListWatch(kind: seed.isMultiple(of: 2) ? .namespace : .networkLogging)
        request = machine.firstRequest
        server.streaming = ModelServer.Streaming.allCases[below(3)]
    }

    private mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

    /// One thing that may happen in a cluster.
    mutating func disturb() {
        switch below(40) {
        case 0..<12: server.put("n\(below(12))")
        case 12..<18: server.remove("n\(below(12))")
        case 18: server.compact()
        case 19: (server.isInstalled, answer) = (false, nil)
        case 20..<22: server.isInstalled = true
        case 22: interrupt(.cut("the connection was reset"))
        case 23: interrupt(.unreachable("connection refused"))
        case 24: interrupt(.silent)
        case 25: interrupt(.refused(APIRefusal(code: [401, 403, 429, 500, 503, 504][below(6)], message: "no")))
        case 26: interrupt(.malformed("no JSON"))
        case 27: interrupt([.complete, .timeUp][below(2)])
        case 28: restartServer()
        case 29: restartAgent()
        default: advance()
        }
    }

    /// Lets everything that is under way come to its end.
    mutating func settle() {
        server.isInstalled = true
        for _ in 0..<400 {
            if case .watch = request, case .events([], nil, server.version)? = answer?.body { return }
            if case .events([], nil, _)? = answer?.body, server.events(after: followed).isEmpty,
                server.streaming == .ignored
            {
                interrupt(.silent)
            }
            advance()
        }
    }

    private var followed: Int {
        if case .events(_, _, let version)? = answer?.body { version } else { 0 }
    }

    /// Gives the next part of the answer to the current request.
    private mutating func advance() {
        guard let current = answer else {
            answer = server.answer(request, pageSize: 1 + below(4))
            if case .events? = answer?.body { take(.opened) }
            return
        }
        switch current.body {
        case .refusal(let refusal): interrupt(.refused(refusal))
        case .page(let items, let envelope): givePage(items, envelope)
        case .events(let pending, let end, let version): giveEvents(pending, end, version)
        }
    }

    private mutating func givePage(_ items: [ReceivedObject], _ envelope: ListEnvelope) {
        let count = below(items.count + 1)
        take(.items(Array(items.prefix(count))))
        answer?.body = .page(Array(items.dropFirst(count)), envelope)
        guard count == items.count else { return }
        take(.pageEnd(envelope))
        interrupt(.complete)
    }

    private mutating func giveEvents(_ pending: [WatchEvent], _ end: Int?, _ version: Int) {
        if pending.isEmpty, end != nil { return interrupt(.complete) }
        let news = end == nil ? server.events(after: version) : []
        let count = below(min(5, pending.count + news.count) + 1)
        let all = pending + news.map(\.event)
        let given = Array(all.prefix(count))
        let lastVersion = count > pending.count ? news[count - pending.count - 1].version : version
        answer?.body = .events(pending: Array(pending.dropFirst(count)), endsAt: end, follows: lastVersion)
        take(.events(given))
        if count == all.count, below(8) == 0, end == nil {
            take(.events([.bookmark(resourceVersion: "\(server.version)", endsInitialEvents: false)]))
            if answer != nil { answer?.body = .events(pending: [], endsAt: nil, follows: server.version) }
        }
    }

    private mutating func restartServer() {
        server.compact()
        interrupt(.unreachable("connection refused"))
    }

    private mutating func restartAgent() {
        machine = ListWatch(kind: machine.kind)
        (request, answer, objects, synced) = (machine.firstRequest, nil, [:], 0)
    }

    private mutating func interrupt(_ ending: ListWatchEnding) {
        answer = nil
        take(.ended(ending))
    }

    private mutating func take(_ input: ListWatchInput) {
        var next: ListWatchRequest?
        for action in machine.handle(input, now: now, random: 0.5) {
            switch action {
            case .tell(.changes(let changes)): apply(changes)
            case .tell: break
            case .synced: synced += 1
            case .abandon: return interrupt(.complete)
            case .request(let request, let pause):
                #expect(next == nil, "one request at a time")
                #expect(pause <= .seconds(30))
                next = request
                now += pause
            }
        }
        if let next { request = next }
        if case .ended = input { #expect(next != nil, "every end has a next request: \(input)") }
    }

    private mutating func apply(_ changes: [ObjectChange]) {
        #expect(Set(changes.map(\.key)).count == changes.count, "a batch names a key once")
        let firstUpsert = changes.firstIndex { if case .upsert = $0 { true } else { false } } ?? changes.endIndex
        #expect(!changes[firstUpsert...].contains { if case .delete = $0 { true } else { false } })
        for change in changes {
            switch change {
            case .upsert(let object): objects[object.key] = object
            case .delete(let key):
                #expect(objects.removeValue(forKey: key) != nil, "only what was told is taken back")
            }
        }
    }
}
