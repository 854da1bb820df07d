internal import AsyncHTTPClient
internal import Kubernetes
internal import NIOCore
internal import NIOHTTP1

/// Keeps who listens up to date on the objects of one kind: the thin part around `ListWatch` that sends and reads.
struct KindFollower: Sendable {
    /// How much of an answer that says no is read.
    private static let longestRefusal = 64 << 10

    let client: APIClient
    let deliver: @Sendable (SourceEvent) async -> Void
    /// Called once, when all objects of the kind have been delivered.
    let didSync: @Sendable () async -> Void
    private let statistics: APIStatistics
    private var machine: ListWatch
    private var kind: ObjectKind { machine.kind }

    init(
        _ kind: ObjectKind, client: APIClient, settings: ListWatchSettings, statistics: APIStatistics,
        deliver: @escaping @Sendable (SourceEvent) async -> Void, didSync: @escaping @Sendable () async -> Void
    ) {
        self.client = client
        self.statistics = statistics
        self.deliver = deliver
        self.didSync = didSync
        machine = ListWatch(kind: kind, settings: settings)
    }

    /// Follows the kind until the task is cancelled.
    mutating func run() async throws {
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

    /// Sends a request and reads its answer to the end, whatever that is.
    private mutating func perform(_ request: ListWatchRequest) async -> ListWatchEnding {
        let response: HTTPClientResponse
        do { response = try await client.send(request, of: kind) } catch { return Self.ending(error, isOpen: false) }
        do {
            guard response.status == .ok else { return .refused(try await refusal(response)) }
            switch request {
            case .page: return try await readPage(response.body)
            case .initialEvents, .watch: return try await readEvents(response.body)
            }
        } catch { return Self.ending(error, isOpen: true) }
    }

    private func refusal(_ response: HTTPClientResponse) async throws -> APIRefusal {
        let retryAfter = response.headers.first(name: "Retry-After").flatMap { Int($0) }
        let body = try await response.body.collect(upTo: Self.longestRefusal)
        return APIRefusal(
            code: Int(response.status.code), body: Array(body.readableBytesView),
            retryAfter: retryAfter.flatMap { (1...3600).contains($0) ? $0 : nil })
    }

    private mutating func readPage(_ body: HTTPClientResponse.Body) async throws -> ListWatchEnding {
        var scanner = ListScanner()
        for try await chunk in body {
            let items = try scanner.take(chunk.readableBytesView)
            if items.isEmpty { continue }
            _ = await take(.items(try items.map { try ReceivedObject(item: $0, kind: kind) }))
        }
        _ = await take(.pageEnd(try ListEnvelope(scanner.envelope)))
        return .complete
    }

    private mutating func readEvents(_ body: HTTPClientResponse.Body) async throws -> ListWatchEnding {
        var splitter = LineSplitter()
        _ = await take(.opened)
        for try await chunk in body {
            let lines = try splitter.take(Array(chunk.readableBytesView)[...])
            let events = try lines.compactMap { try WatchEvent($0, kind: kind) }
            if events.isEmpty { continue }
            if await take(.events(events)).contains(.abandon) { return .cut("no such list") }
        }
        return .complete
    }

    /// Has the protocol take in what happened, tells what it says, and returns what else is to be done.
    private mutating func take(_ input: ListWatchInput) async -> [ListWatchAction] {
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
    private static func ending(_ error: any Error, isOpen: Bool) -> ListWatchEnding {
        switch error {
        case let error as MalformedBody: .malformed(error.message)
        case let error as AccessError: .unreachable(error.description)
        case let error as HTTPClientError where error == .readTimeout || error == .deadlineExceeded: .silent
        default: isOpen ? .cut(TransportProblem.text(error)) : .unreachable(TransportProblem.text(error))
        }
    }
}
