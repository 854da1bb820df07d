internal import AsyncHTTPClient
internal import Kubernetes
internal import NIOCore
internal import NIOHTTP1

/// Keeps who listens up to date on the objects of one kind: the thin part around `ListWatch` that sends and reads.
actor KindFollower {
    /// How much of an answer that says no is read.
    private static let longestRefusal = 64 << 10

    private let client: APIClient
    private let settings: APISettings
    private let deliver: @Sendable (SourceEvent) async -> Void
    /// Called once, when all objects of the kind have been delivered.
    private let didSync: @Sendable () async -> Void
    private let statistics: APIStatistics
    private var machine: ListWatch
    private var kind: ObjectKind { machine.kind }
    /// Since when something is waited for from the server; nil while what it said is told.
    private var waitsSince: ContinuousClock.Instant?

    init(
        _ kind: ObjectKind, client: APIClient, settings: APISettings, statistics: APIStatistics,
        deliver: @escaping @Sendable (SourceEvent) async -> Void, didSync: @escaping @Sendable () async -> Void
    ) {
        self.client = client
        self.settings = settings
        self.statistics = statistics
        self.deliver = deliver
        self.didSync = didSync
        machine = ListWatch(kind: kind, settings: settings.protocolSettings)
    }

    /// Follows the kind until the task is cancelled.
    func run() async throws {
        var request = machine.firstRequest
        while true {
            statistics.note(request, of: kind)
            let ending = await perform(request)
            try Task.checkCancellation()
            statistics.note(ending, of: kind)
            for action in await take(.ended(ending)) {
                guard case .request(let next, let pause) = action else { continue }
                request = next
                try await Task.sleep(for: pause)
            }
        }
    }

    /// Sends a request and reads its answer to the end, whatever that is, or until nothing has come for too long.
    private func perform(_ request: ListWatchRequest) async -> ListWatchEnding {
        let start = ContinuousClock.now
        let watchTime = Duration.seconds(Int.random(in: settings.watchTime))
        waitsSince = start
        return await withTaskGroup(of: ListWatchEnding.self) { group in
            group.addTask { await self.exchange(request, watchTime, start) }
            group.addTask { await self.silence(until: start + watchTime + self.settings.watchMargin) }
            defer { group.cancelAll() }
            return await group.next() ?? .silent
        }
    }

    /// Returns when the server has said nothing for too long, or when it is cancelled.
    ///
    /// An answer and the rest of a list must go on. A watch may be silent for as long as it takes, as it is where
    /// nothing changes, but not go on far beyond the time after which the server was asked to end it.
    private func silence(until end: ContinuousClock.Instant) async -> ListWatchEnding {
        while !Task.isCancelled {
            let now = ContinuousClock.now
            let limit = machine.isWatching ? end : (waitsSince ?? now) + settings.silence
            if limit <= now { break }
            try? await Task.sleep(until: limit, clock: .continuous)
        }
        return .silent
    }

    private func exchange(
        _ request: ListWatchRequest, _ watchTime: Duration, _ start: ContinuousClock.Instant
    ) async -> ListWatchEnding {
        let response: HTTPClientResponse
        do { response = try await client.send(request, of: kind, watchTime: watchTime) } catch {
            return Self.ending(error, start: start, isOpen: false)
        }
        do {
            guard response.status == .ok else { return .refused(try await refusal(response)) }
            if case .page = request { return try await readPage(response.body) }
            let ending = try await readEvents(response.body)
            return ending == .complete && ContinuousClock.now - start >= watchTime ? .timeUp : ending
        } catch { return Self.ending(error, start: start, isOpen: true) }
    }

    private func refusal(_ response: HTTPClientResponse) async throws -> APIRefusal {
        let body = try await response.body.collect(upTo: Self.longestRefusal)
        return APIRefusal(
            code: Int(response.status.code), body: Array(body.readableBytesView),
            retryAfter: response.headers.retryAfter)
    }

    private func readPage(_ body: HTTPClientResponse.Body) async throws -> ListWatchEnding {
        var scanner = ListScanner()
        for try await chunk in body {
            let items = try scanner.take(chunk.readableBytesView)
            waitsSince = .now
            if items.isEmpty { continue }
            _ = await take(.items(try items.map { try ReceivedObject(item: $0, kind: kind) }))
        }
        _ = await take(.pageEnd(try ListEnvelope(scanner.envelope)))
        return .complete
    }

    private func readEvents(_ body: HTTPClientResponse.Body) async throws -> ListWatchEnding {
        var splitter = LineSplitter()
        _ = await take(.opened)
        for try await chunk in body {
            let lines = try splitter.take(Array(chunk.readableBytesView)[...])
            let events = try lines.compactMap { try WatchEvent($0, kind: kind) }
            waitsSince = .now
            if events.isEmpty { continue }
            if await take(.events(events)).contains(.abandon) { return .complete }
        }
        return .complete
    }

    /// Has the protocol take in what happened, tells what it says, and returns what else is to be done.
    private func take(_ input: ListWatchInput) async -> [ListWatchAction] {
        waitsSince = nil
        defer { waitsSince = .now }
        var rest: [ListWatchAction] = []
        for action in machine.handle(input, now: .now, random: .random(in: 0..<1)) {
            switch action {
            case .tell(let event): await deliver(event)
            case .synced: await didSync()
            case .abandon, .request: rest.append(action)
            }
        }
        return rest
    }

    /// What an error means, before the answer has begun or while it is read.
    private static func ending(
        _ error: any Error, start: ContinuousClock.Instant, isOpen: Bool
    ) -> ListWatchEnding {
        switch error {
        case let error as MalformedBody: .malformed(error.message)
        case let error as AccessError: .unreachable(error.description, after: .zero)
        case _ where isOpen: .cut(TransportProblem.text(error))
        default: .unreachable(TransportProblem.text(error), after: ContinuousClock.now - start)
        }
    }
}

extension HTTPHeaders {
    /// The seconds after which a server asks to be asked again; nil for none, and for times that make no sense.
    var retryAfter: Int? {
        first(name: "Retry-After").flatMap { Int($0) }.flatMap { (1...3600).contains($0) ? $0 : nil }
    }
}
