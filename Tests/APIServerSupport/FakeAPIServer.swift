/// Answers requests as an API server does, from what a `FakeCluster` holds.
public struct FakeAPIServer: Sendable {
    let cluster: FakeCluster
    /// The token that is asked for; nil for none.
    let token: String?

    public init(_ cluster: FakeCluster, token: String? = nil) {
        self.cluster = cluster
        self.token = token
    }

    /// Answers one request.
    public func handle(_ request: HTTPRequest, _ writer: HTTPWriter) async throws {
        await cluster.note(request)
        if let fault = await cluster.takeFault() { return try await answer(fault, writer) }
        if let token, request.headers["authorization"] != "Bearer \(token)" {
            return try await refuse(401, "Unauthorized", "Unauthorized", writer)
        }
        if request.method != "GET" { return try await write(request, writer) }
        guard await cluster.resources.contains(request.path) else {
            return try await writer.answer(404, "404 page not found\n", type: "text/plain; charset=utf-8")
        }
        if request.query["watch"] == "true" {
            try await watch(request, writer)
        } else {
            try await list(request, writer)
        }
    }

    private func answer(_ fault: FakeCluster.Fault, _ writer: HTTPWriter) async throws {
        switch fault {
        case .status(let status, let body, let type, let headers):
            try await writer.answer(status, body, type: type, headers: headers)
        case .cutInMidLine:
            try await writer.begin()
            try await writer.chunk("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"na")
            throw CutConnection()
        case .silence: try await Task.sleep(for: .seconds(600))
        }
    }

    func refuse(_ code: Int, _ reason: String, _ message: String, _ writer: HTTPWriter) async throws {
        try await writer.answer(code, Self.status(code, reason, message))
    }

    private static func status(_ code: Int, _ reason: String, _ message: String) -> String {
        """
        {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"\(message)",\
        "reason":"\(reason)","code":\(code)}
        """
    }
}

extension FakeAPIServer {
    /// A page of a list. A token is the version of the first page and how many came before.
    private func list(_ request: HTTPRequest, _ writer: HTTPWriter) async throws {
        let (objects, current) = await cluster.list(request.path)
        let limit = request.query["limit"].flatMap { Int($0) } ?? 0
        let token = (request.query["continue"] ?? "").split(separator: ":").compactMap { Int($0) }
        let (version, offset) = token.count == 2 ? (token[0], token[1]) : (current, 0)
        // Only the newest state is kept, so a change between two pages makes the token too old.
        guard version == current else { return try await refuse(410, "Expired", "continue is too old", writer) }
        let rest = objects.dropFirst(offset)
        let items = limit > 0 ? rest.prefix(limit) : rest
        let next = items.count < rest.count ? "\(version):\(offset + items.count)" : ""
        try await writer.begin()
        let isCustom = request.path.hasPrefix("/apis/policy.networking.k8s.io/")
        let meta = "\"metadata\":{\"resourceVersion\":\"\(version)\",\"continue\":\"\(next)\"}"
        try await writer.chunk(isCustom ? "{\"items\":[" : "{\"kind\":\"List\",\(meta),\"items\":[")
        for (index, item) in items.enumerated() { try await writer.chunk((index == 0 ? "" : ",") + item.json) }
        try await writer.chunk(isCustom ? "],\(meta)}" : "]}\n")
        try await writer.end()
    }

    private func watch(_ request: HTTPRequest, _ writer: HTTPWriter) async throws {
        var version = request.query["resourceVersion"].flatMap { Int($0) } ?? 0
        let cuts = await cluster.cuts
        var schedule = WatchSchedule(request)
        let signals = await cluster.signals(at: schedule.times)
        if request.query["sendInitialEvents"] == "true" {
            guard await cluster.hasStreamingLists, request.query["resourceVersionMatch"] == "NotOlderThan" else {
                return try await refuse(422, "Invalid", "sendInitialEvents is forbidden", writer)
            }
            try await writer.begin()
            version = try await tellEverything(request.path, writer)
        } else {
            try await writer.begin()
            if await version < cluster.oldest {
                let status = Self.status(410, "Expired", "too old resource version: \(version)")
                try await writer.chunk("{\"type\":\"ERROR\",\"object\":\(status)}\n")
                return try await writer.end()
            }
        }
        version = try await tellChanges(request.path, version, writer)
        for await _ in signals {
            if await cluster.cuts != cuts {
                try await writer.chunk("{\"type\":\"MODIFIED\",\"object\":{\"metad")
                throw CutConnection()
            }
            if await !cluster.resources.contains(request.path) || schedule.isOver { return try await writer.end() }
            let current = await cluster.version
            version = try await tellChanges(request.path, version, writer)
            // Of a version that it has yet to reach, a server says nothing.
            guard schedule.isBookmarkDue(), version <= current else { continue }
            version = current
            try await writer.chunk(
                "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"\(version)\"}}}\n")
        }
    }

    /// Tells what exists, and returns the version of which that is the state.
    private func tellEverything(_ resource: String, _ writer: HTTPWriter) async throws -> Int {
        let (objects, version) = await cluster.list(resource)
        for object in objects {
            try await writer.chunk("{\"type\":\"ADDED\",\"object\":\(object.json)}\n")
        }
        try await writer.chunk(
            """
            {"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"\(version)",\
            "annotations":{"k8s.io/initial-events-end":"true"}}}}\n
            """)
        return version
    }

    /// Tells what has changed, one event across two chunks, and returns the version of the last event.
    ///
    /// A watch that is so slow that changes are forgotten before it has told them is broken off.
    private func tellChanges(_ resource: String, _ version: Int, _ writer: HTTPWriter) async throws -> Int {
        guard let changes = await cluster.changes(of: resource, after: version) else { throw CutConnection() }
        for change in changes {
            let line = "{\"type\":\"\(change.type)\",\"object\":\(change.json)}\n"
            try await writer.chunk(String(line.prefix(20)))
            try await writer.chunk(String(line.dropFirst(20)))
        }
        return changes.last?.version ?? version
    }
}

/// When a watch ends, and when it is sent bookmarks if it wants them: each minute, and shortly before that end.
private struct WatchSchedule {
    private let start = ContinuousClock.now
    private let end: Duration
    private var bookmarks: [Duration] = []

    init(_ request: HTTPRequest) {
        let seconds = request.query["timeoutSeconds"].flatMap { Int($0) } ?? 1800
        end = .seconds(seconds)
        if request.query["allowWatchBookmarks"] == "true" {
            let times = stride(from: 60, to: seconds - 2, by: 60) + (seconds > 2 ? [seconds - 2] : [])
            bookmarks = times.map { .seconds($0) }
        }
    }

    /// When something is to be done.
    var times: [Duration] { bookmarks + [end] }

    var isOver: Bool { ContinuousClock.now - start >= end }

    /// Whether a bookmark is due, which then no longer is.
    mutating func isBookmarkDue() -> Bool {
        guard let next = bookmarks.first, ContinuousClock.now - start >= next else { return false }
        bookmarks.removeFirst()
        return true
    }
}
