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
