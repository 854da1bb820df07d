import APIServerSupport
import Foundation
import Kubernetes
import KubernetesAPI
import Synchronization
import TestSupport
import Testing

@Suite("Following an API server", .serialized)
struct FollowingTests {
    static let path = ObjectKind.namespace.path

    static func json(_ name: String, _ version: Int = 1) -> String {
        #"{"kind":"Namespace","metadata":{"name":"\#(name)","labels":{"version":"\#(version)"}}}"#
    }

    static func cluster(_ names: [String] = ["a", "b", "c"], firstVersion: Int = 1000) async throws -> FakeCluster {
        let cluster = FakeCluster(resources: [path], firstVersion: firstVersion)
        for name in names { try await cluster.put(path, json(name)) }
        return cluster
    }

    /// The names of what has been told, each with its version.
    static func names(_ state: Listener.State) -> [String] {
        state.objects.values.map { $0.meta.name + ($0.meta.labels["version"] ?? "") }.sorted()
    }

    /// Follows a cluster's namespaces.
    static func follow(
        _ cluster: FakeCluster, _ settings: APISettings = quickSettings([.namespace]),
        _ body: @Sendable (Listener) async throws -> Void
    ) async throws {
        try await HTTPServer.run(handler: FakeAPIServer(cluster).handle) { port in
            try await following(access(port), settings, body)
        }
    }

    @Test("what exists is told, then what changes", arguments: [true, false])
    func changes(streaming: Bool) async throws {
        let cluster = try await Self.cluster()
        try await Self.follow(cluster, quickSettings([.namespace], streaming: streaming)) { listener in
            try await expectSoon("the list", listener) { $0.isSynced && Self.names($0) == ["a1", "b1", "c1"] }
            try await cluster.put(Self.path, Self.json("b", 2))
            await cluster.remove(Self.path, name: "a")
            try await cluster.put(Self.path, Self.json("d"))
            try await expectSoon("the changes", listener) { Self.names($0) == ["b2", "c1", "d1"] }
            #expect(listener.now.standings[.namespace] == KindStanding(isSynced: true, isConnected: true))
        }
        #expect(await cluster.requests.allSatisfy { $0.headers["user-agent"] == "apusd/test" })
        let asked = await cluster.requests.contains { $0.query["sendInitialEvents"] == "true" }
        #expect(asked == streaming)
    }

    @Test("requests and their failures are counted by kind")
    func statistics() async throws {
        let cluster = try await Self.cluster()
        try await HTTPServer.run(handler: FakeAPIServer(cluster).handle) { port in
            let source = APISource(access(port), settings: quickSettings([.namespace]), userAgent: "apusd/test")
            await cluster.fail(next: [.status(503, body: "late", type: "text/plain", headers: []), .cutInMidLine])
            let listener = Listener()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await source.run { listener.take($0) } }
                defer { group.cancelAll() }
                try await expectSoon("the list", listener) { $0.isSynced }
            }
            let counts = try #require(source.statistics.current[.namespace])
            #expect(counts.lists == 3 && counts.failures == [.refused: 1, .cut: 1], "\(counts)")
        }
    }

    @Test("a server that refuses streaming lists is asked for pages")
    func fallback() async throws {
        let cluster = try await Self.cluster()
        await cluster.setStreamingLists(false)
        try await Self.follow(cluster) { listener in
            try await expectSoon("the list", listener) { $0.isSynced && Self.names($0) == ["a1", "b1", "c1"] }
        }
        #expect(await cluster.requests.contains { $0.query["continue"]?.isEmpty == false })
    }

    @Test("a watch that is cut, or of a version that is too old, loses nothing and takes nothing back by mistake")
    func cutsAndExpiry() async throws {
        let cluster = try await Self.cluster()
        try await Self.follow(cluster) { listener in
            try await expectSoon("the list", listener) { $0.isSynced }
            for round in 2..<12 {
                try await cluster.put(Self.path, Self.json("b", round))
                if round % 3 == 0 { await cluster.remove(Self.path, name: "x\(round - 1)") }
                if round.isMultiple(of: 2) { await cluster.expire() }
                await cluster.cutWatches()
                try await cluster.put(Self.path, Self.json("x\(round)"))
                try await expectSoon("round \(round)", listener) {
                    Self.names($0).contains("b\(round)") && Self.names($0).contains("x\(round)1")
                }
            }
            try await expectSoon("the end", listener) { !Self.names($0).contains("x51") }
            #expect(listener.now.deleted.allSatisfy { ["x2", "x5", "x8"].contains($0.name) })
        }
    }

    @Test("bad answers of all kinds are outlived")
    func faults() async throws {
        let cluster = try await Self.cluster()
        let status = #"{"kind":"Status","message":"no","code":503}"#
        await cluster.fail(next: [
            .status(503, body: status, type: "application/json", headers: []),
            .status(429, body: "later", type: "text/plain", headers: ["Retry-After: 1"]),
            .status(200, body: "<html>", type: "text/html", headers: []), .cutInMidLine,
            .status(401, body: "", type: "text/plain", headers: []), .cutInMidLine,
        ])
        let started = ContinuousClock.now
        try await Self.follow(cluster) { listener in
            try await expectSoon("the list", listener) { $0.isSynced && Self.names($0) == ["a1", "b1", "c1"] }
        }
        #expect(ContinuousClock.now - started >= .seconds(1), "Retry-After is waited for")
    }

    @Test("a server that does not answer is left")
    func silence() async throws {
        let cluster = try await Self.cluster()
        var settings = quickSettings([.namespace])
        settings.silence = .seconds(2)
        try await Self.follow(cluster, settings) { listener in
            try await expectSoon("the list", listener) { $0.isSynced }
            await cluster.fail(next: [.silence, .silence])
            await cluster.cutWatches()
            try await cluster.put(Self.path, Self.json("d"))
            try await expectSoon("the change", listener) { Self.names($0).contains("d1") }
        }
    }

    @Test(
        "a watch may be silent until its time is up, also one that a streaming list has become, and that is no failure")
    func quietWatch() async throws {
        let cluster = try await Self.cluster()
        var settings = quickSettings([.namespace])
        (settings.silence, settings.watchTime) = (.seconds(6), 9...9)
        try await HTTPServer.run(handler: FakeAPIServer(cluster).handle) { port in
            let source = APISource(access(port), settings: settings, userAgent: "apusd/test")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await source.run { _ in } }
                defer { group.cancelAll() }
                try await eventually("the next watch, from the bookmark's version") {
                    let version = "\(await cluster.version)"
                    return await cluster.requests.contains { $0.query["resourceVersion"] == version }
                }
            }
            let counts = try #require(source.statistics.current[.namespace])
            #expect(counts.lists == 1 && counts.failures == [:], "\(counts)")
        }
    }

    @Test("a watch that goes on beyond its time without a word is left")
    func endlessWatch() async throws {
        let list = "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}"
        var settings = quickSettings([.namespace], streaming: false)
        (settings.silence, settings.watchTime, settings.watchMargin) = (.seconds(4), 1...1, .seconds(1))
        let handler: HTTPServer.Handler = { request, writer in
            guard request.query["watch"] == "true" else { return try await writer.answer(200, list) }
            try await writer.begin()
            try await Task.sleep(for: .seconds(600))
        }
        try await HTTPServer.run(handler: handler) { [settings] port in
            let source = APISource(access(port), settings: settings, userAgent: "apusd/test")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await source.run { _ in } }
                defer { group.cancelAll() }
                try await eventually("two watches to be left") {
                    source.statistics.current[.namespace]?.failures[.silent] ?? 0 >= 2
                }
            }
            #expect(source.statistics.current[.namespace]?.lists == 1)
        }
    }

    @Test("a server whose store was restored, to versions before the one that is known, is listed anew")
    func futureVersion() async throws {
        let cluster = try await Self.cluster(firstVersion: 5000)
        let restored = try await Self.cluster(["b", "d"])
        let isRestored = Mutex(false)
        var settings = quickSettings([.namespace])
        settings.watchTime = 3...3
        let handler: HTTPServer.Handler = { request, writer in
            let server = FakeAPIServer(isRestored.withLock { $0 } ? restored : cluster)
            try await server.handle(request, writer)
        }
        try await HTTPServer.run(handler: handler) { port in
            try await following(access(port), settings) { listener in
                try await expectSoon("the list", listener) { $0.isSynced }
                isRestored.withLock { $0 = true }
                await cluster.cutWatches()
                try await expectSoon("the restored objects", listener) { Self.names($0) == ["b1", "d1"] }
            }
        }
        #expect(await restored.requests.first?.query["resourceVersion"] == "5003")
    }

    @Test("the other end of a quiet connection is asked whether it lives")
    func keepalive() async throws {
        let cluster = try await Self.cluster()
        try await HTTPServer.run(handler: FakeAPIServer(cluster).handle) { port in
            try await following(access(port), quickSettings([.namespace])) { listener in
                try await expectSoon("the list", listener) { $0.isSynced }
                let remote = "0100007F:\(String(port, radix: 16, uppercase: true))"
                // Columns of proc_net_tcp: remote address, state, and the running timer with what is left of it.
                try await eventually("a timer of probes") {
                    try String(contentsOfFile: "/proc/self/net/tcp", encoding: .utf8).split(separator: "\n").contains {
                        let columns = $0.split(separator: " ")
                        guard columns.count > 5, columns[2].hasSuffix(remote), columns[3] == "01" else { return false }
                        let timer = columns[5].split(separator: ":")
                        // In hundredths of a second; without the setting, the first probe comes after two hours.
                        return timer[0] == "02" && Int(timer[1], radix: 16) ?? .max <= 600
                    }
                }
            }
        }
    }

    @Test("a server that is away changes nothing, and what it brings is told when it is back")
    func restart() async throws {
        let before = try await Self.cluster()
        let after = try await Self.cluster(["b", "d"], firstVersion: 5000)
        let listener = Listener()
        try await withReservedPort { port in
            let source = APISource(access(port), settings: quickSettings([.namespace]), userAgent: "apusd/test")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await source.run { listener.take($0) } }
                defer { group.cancelAll() }
                try await expectSoon("word of the absence", listener) { $0.standings[.namespace]?.problem != nil }
                #expect(!listener.now.isSynced)
                try await HTTPServer.run(port: port, handler: FakeAPIServer(before).handle) { _ in
                    try await expectSoon("the list", listener) { $0.isSynced && Self.names($0) == ["a1", "b1", "c1"] }
                }
                try await expectSoon("word of the loss", listener) { $0.standings[.namespace]?.isConnected == false }
                #expect(Self.names(listener.now) == ["a1", "b1", "c1"])
                try await HTTPServer.run(port: port, handler: FakeAPIServer(after).handle) { _ in
                    try await expectSoon("the changes", listener) { Self.names($0) == ["b1", "d1"] }
                }
                #expect(Set(listener.now.deleted.map(\.name)) == ["a", "c"])
            }
        }
    }

    @Test("a kind whose definition comes later is picked up, and one whose definition goes is empty")
    func definitions() async throws {
        let path = ObjectKind.networkLogging.path
        let cluster = FakeCluster(resources: [])
        try await cluster.put(path, #"{"kind":"NetworkLogging","metadata":{"name":"default"},"spec":{"cluster":{}}}"#)
        try await Self.follow(cluster, quickSettings([.networkLogging])) { listener in
            try await expectSoon("the empty list", listener) { $0.isSynced && $0.objects.isEmpty }
            await cluster.install(path, true)
            try await expectSoon("the object", listener) { $0.objects.count == 1 }
            await cluster.install(path, false)
            try await expectSoon("its end", listener) { $0.objects.isEmpty }
        }
    }

    @Test("a server that says that it does not know namespaces takes none of them back")
    func unknownCoreKind() async throws {
        let cluster = try await Self.cluster()
        try await Self.follow(cluster) { listener in
            try await expectSoon("the list", listener) { $0.isSynced }
            let asked = await cluster.requests.count
            await cluster.install(Self.path, false)
            try await eventually("ten refusals") { await cluster.requests.count >= asked + 10 }
            #expect(listener.now.objects.count == 3 && listener.now.deleted.isEmpty)
            #expect(listener.now.standings[.namespace]?.problem?.hasPrefix("the API server answered 404") == true)
        }
    }

    @Test("all is synced when the last kind is")
    func severalKinds() async throws {
        let cluster = try await Self.cluster()
        try await HTTPServer.run(handler: FakeAPIServer(cluster).handle) { port in
            try await following(access(port), quickSettings([.namespace, .clusterNetworkPolicy, .networkLogging])) {
                listener in
                try await expectSoon("the namespaces", listener) { $0.standings[.namespace]?.isSynced == true }
                try await expectSoon("all", listener) { $0.isSynced }
                #expect(
                    [ObjectKind.namespace, .clusterNetworkPolicy, .networkLogging].allSatisfy {
                        listener.now.standings[$0]?.isSynced == true
                    })
            }
        }
    }

    @Test("every kind is watched at once, each over a connection of its own", arguments: [true, false])
    func allKinds(streaming: Bool) async throws {
        let kinds = ObjectKind.allCases
        let cluster = FakeCluster(resources: Set(kinds.map(\.path)))
        try await HTTPServer.run(handler: FakeAPIServer(cluster).handle) { port in
            try await following(access(port), quickSettings(kinds, streaming: streaming)) { listener in
                try await expectSoon("all of them", listener) { state in
                    kinds.allSatisfy {
                        state.standings[$0]?.isSynced == true && state.standings[$0]?.isConnected == true
                    }
                }
                // Watches that wait for one another would be told late, or never.
                try await cluster.put(ObjectKind.namespace.path, Self.json("late"))
                try await expectSoon("a change", listener) { Self.names($0) == ["late1"] }
                #expect(
                    await Set(cluster.requests.filter { $0.query["watch"] == "true" }.map(\.path)).count == kinds.count)
            }
        }
    }

    @Test("a token that is replaced in its file is used from then on")
    func tokenRotation() async throws {
        let cluster = try await Self.cluster()
        let file = NSTemporaryDirectory() + "apus-token-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: file) }
        try "old".write(toFile: file, atomically: true, encoding: .utf8)
        let server = FakeAPIServer(cluster, token: "new")
        try await HTTPServer.run(handler: server.handle) { port in
            try await following(access(port, token: .file(file)), quickSettings([.namespace])) { listener in
                try await expectSoon("the refusal", listener) {
                    $0.standings[.namespace]?.problem?.contains("does not accept the credentials (401)") == true
                }
                try "new\n".write(toFile: file, atomically: true, encoding: .utf8)
                try await expectSoon("the list", listener) { $0.isSynced && $0.objects.count == 3 }
            }
        }
    }
}
