import APIServerSupport
import Foundation
import Kubernetes
import KubernetesAPI
import Synchronization
import TestSupport
import Testing

@Suite("What a real API server said", .serialized)
struct RecordedTests {
    static let kinds: [(directory: String, kind: ObjectKind)] = [
        ("namespaces", .namespace), ("nodes", .node), ("pods", .pod), ("services", .service),
        ("endpointslices", .endpointSlice), ("networkpolicies", .networkPolicy),
        ("clusternetworkpolicies", .clusterNetworkPolicy), ("fqdnnetworkpolicies", .fqdnNetworkPolicy),
        ("networkloggings", .networkLogging),
    ]

    @Test("there are recordings of every kind that is followed, and each of them is looked at")
    func everyKind() throws {
        #expect(Self.kinds.count == ObjectKind.allCases.count)
        #expect(Set(Self.kinds.map(\.kind)) == Set(ObjectKind.allCases))
        let directories = try FileManager.default.contentsOfDirectory(atPath: recording(""))
        #expect(Set(directories) == Set(Self.kinds.map(\.directory) + ["errors"]))
    }

    /// Plays recordings one after the other for the requests of one kind, and stays silent after the last.
    static func play(_ names: [String], _ kind: ObjectKind, _ body: @Sendable (Listener) async throws -> Void)
        async throws
    {
        let answers = try names.map { try RecordedAnswer(path: recording($0)) }
        let next = Mutex(0)
        let handler: HTTPServer.Handler = { _, writer in
            let index = next.withLock { next in
                defer { next += 1 }
                return next
            }
            guard index < answers.count else { return try await Task.sleep(for: .seconds(600)) }
            try await answers[index].give(writer)
        }
        let isPaged = names.contains { $0.contains("/list") }
        try await HTTPServer.run(handler: handler) { port in
            try await following(access(port), quickSettings([kind], streaming: !isPaged), body)
        }
    }

    static func files(_ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: recording(directory)).sorted().map { "\(directory)/\($0)" }
    }

    @Test("lists, pages and streaming lists tell the same objects", arguments: kinds.map(\.directory))
    func sameObjects(directory: String) async throws {
        let kind = try #require(Self.kinds.first { $0.directory == directory }?.kind)
        let pages = try Self.files(directory).filter { $0.contains("/list-page-") }
        let told = Mutex<[[ObjectKey: KubernetesObject]]>([])
        for names in [
            ["\(directory)/list.http"], ["\(directory)/list-rv0.http"], pages, ["\(directory)/watch-list.http"],
        ] {
            try await Self.play(names, kind) { listener in
                try await expectSoon("\(names) to be told", listener) { $0.isSynced }
                #expect(listener.now.diagnostics.isEmpty, "\(names): \(listener.now.diagnostics)")
                told.withLock { $0.append(listener.now.objects) }
            }
        }
        let all = told.withLock { $0 }
        for (index, objects) in all.enumerated() { #expect(objects == all[0], "\(index)") }
        #expect(!all[0].isEmpty)
    }

    @Test("every line of every watch decodes", arguments: kinds.map(\.directory))
    func watches(directory: String) throws {
        let kind = try #require(Self.kinds.first { $0.directory == directory }?.kind)
        for name in try Self.files(directory) where name.contains("/watch") {
            let answer = try RecordedAnswer(path: recording(name))
            var splitter = LineSplitter()
            let lines = try splitter.take(try #require(Unchunked(answer.bytes)).body[...])
            for line in lines {
                let event = try WatchEvent(line, kind: kind)
                switch event {
                case .upsert(let received):
                    #expect(received.object != nil && received.diagnostics.isEmpty, "\(name): \(received.diagnostics)")
                case .delete(_, let version): #expect(!version.isEmpty)
                case .bookmark(let version, _): #expect(!version.isEmpty)
                case .error(let refusal): #expect(refusal.code == 410, "\(name): \(refusal)")
                case .unnamed, nil: Issue.record("\(name): \(String(decoding: line.prefix(200), as: UTF8.self))")
                }
            }
        }
    }

    @Test("a recorded round of changes ends with what the recorded events say", arguments: kinds.map(\.directory))
    func changeRound(directory: String) async throws {
        let kind = try #require(Self.kinds.first { $0.directory == directory }?.kind)
        let names = ["\(directory)/list.http", "\(directory)/watch.http"]
        let expected = try Self.expected(names, kind)
        try await Self.play(names, kind) { listener in
            try await expectSoon("the end of the round", listener) { $0.objects == expected }
            #expect(listener.now.diagnostics.isEmpty)
        }
    }

    /// What the objects of a list are after the events of a watch, by the simplest means.
    static func expected(_ names: [String], _ kind: ObjectKind) throws -> [ObjectKey: KubernetesObject] {
        let list = try #require(Unchunked(try RecordedAnswer(path: recording(names[0])).bytes))
        let watch = try #require(Unchunked(try RecordedAnswer(path: recording(names[1])).bytes))
        let manifest = Manifest(source: "list.json", bytes: list.body)
        var objects = Dictionary(uniqueKeysWithValues: manifest.objects.map { ($0.key, $0) })
        for line in watch.body.split(separator: UInt8(ascii: "\n")) {
            switch try WatchEvent(line, kind: kind) {
            case .upsert(let received): objects[received.key] = received.object
            case .delete(let key, _): objects[key] = nil
            default: break
            }
        }
        return objects
    }

    @Test("a stream that was cut in a line loses only that line, and the list is read again")
    func cut() async throws {
        try await Self.play(["pods/list-cut.http", "pods/list.http"], .pod) { listener in
            try await expectSoon("the list", listener) { $0.isSynced }
            #expect(listener.now.objects.count == 29)
        }
        try await Self.play(["pods/list.http", "pods/watch-cut.http", "pods/watch-410.http", "pods/list.http"], .pod) {
            listener in
            try await expectSoon("the list", listener) { $0.isSynced }
            try await expectSoon("the same objects again", listener) { $0.objects.count == 29 }
        }
    }

    @Test(
        "a refusal is told with what the server says of it, and the next answer counts",
        arguments: [
            ("errors/401-bad-token.http", "(401): Unauthorized"), ("errors/403-anonymous.http", "(403): "),
            ("errors/429-priority-and-fairness.http", "(429): Too many requests, please try again later."),
            ("errors/429-storage-initializing.http", "(429): storage is (re)initializing"),
            ("errors/startup-pods-403.http", "(403): "), ("errors/etcd-down-list.http", "the API server answered 50"),
            ("errors/504-too-large-resource-version.http", "the API server answered 504: "),
        ])
    func refusals(name: String, message: String) async throws {
        let problems = Mutex<[String]>([])
        try await Self.play([name, "pods/list.http"], .pod) { listener in
            try await eventually("a problem, or the list after it") {
                if let problem = listener.now.standings[.pod]?.problem { problems.withLock { $0.append(problem) } }
                return listener.now.isSynced
            }
        }
        let told = problems.withLock { $0.first }
        #expect(told?.contains(message) == true, "\(told ?? "nothing")")
    }

    @Test("a kind whose definition is not there is synced without objects")
    func absent() async throws {
        let absent = "errors/404-group-absent.http"
        try await Self.play([absent, absent], .clusterNetworkPolicy) { listener in
            try await expectSoon("the sync", listener) { $0.isSynced }
            #expect(listener.now.objects.isEmpty)
            #expect(listener.now.standings[.clusterNetworkPolicy]?.isConnected == true)
        }
    }

    @Test("every recorded refusal is read")
    func everyRefusal() throws {
        for name in try Self.files("errors") {
            let answer = try RecordedAnswer(path: recording(name))
            guard answer.status >= 400, let body = Unchunked(answer.bytes)?.body else { continue }
            let refusal = APIRefusal(code: answer.status, body: body)
            #expect(refusal.code == answer.status, "\(name)")
            #expect(!refusal.message.isEmpty && refusal.message != "no reason given", "\(name)")
        }
    }
}

/// The body of a recorded answer without its framing.
struct Unchunked {
    var body: [UInt8] = []

    init?(_ bytes: [UInt8]) {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
        var rest = bytes[end.upperBound...]
        guard head.contains("Transfer-Encoding: chunked") else {
            body = Array(rest)
            return
        }
        while let line = rest.firstRange(of: Array("\r\n".utf8)),
            let size = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16), size > 0
        {
            body += rest[line.upperBound...].prefix(size)
            rest = rest[line.upperBound...].dropFirst(size + 2)
        }
    }
}
