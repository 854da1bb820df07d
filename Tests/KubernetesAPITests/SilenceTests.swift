import APIServerSupport
import Foundation
import Kubernetes
import KubernetesAPI
import Synchronization
import TestSupport
import Testing

@Suite("An API server that says nothing", .serialized)
struct SilenceTests {
    @Test("a server that does not answer is left")
    func silence() async throws {
        let cluster = try await FollowingTests.cluster()
        var settings = quickSettings([.namespace])
        settings.silence = .seconds(2)
        try await FollowingTests.follow(cluster, settings) { listener in
            try await expectSoon("the list", listener) { $0.isSynced }
            await cluster.fail(next: [.silence, .silence])
            await cluster.cutWatches()
            try await cluster.put(FollowingTests.path, FollowingTests.json("d"))
            try await expectSoon("the change", listener) { FollowingTests.names($0).contains("d1") }
        }
    }

    @Test(
        "a watch may be silent until its time is up, also one that a streaming list has become, and that is no failure")
    func quietWatch() async throws {
        let cluster = try await FollowingTests.cluster()
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
        let cluster = try await FollowingTests.cluster(firstVersion: 5000)
        let restored = try await FollowingTests.cluster(["b", "d"])
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
                try await expectSoon("the restored objects", listener) { FollowingTests.names($0) == ["b1", "d1"] }
            }
        }
        #expect(await restored.requests.first?.query["resourceVersion"] == "5003")
    }

    @Test("the other end of a quiet connection is asked whether it lives")
    func keepalive() async throws {
        let cluster = try await FollowingTests.cluster()
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
}
