import Foundation
import Kubernetes
import Testing

/// A directory that goes when the test ends.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/apus-kubernetes-tests-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ texts: String...) throws {
        try Data(texts.joined().utf8).write(to: URL(fileURLWithPath: path + "/" + name))
    }

    func remove(_ name: String) throws {
        try FileManager.default.removeItem(atPath: path + "/" + name)
    }

    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: path + "/" + name, withDestinationPath: target)
    }

    func makeDirectory(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: path + "/" + name, withIntermediateDirectories: true)
    }
}

/// A directory, its source, and a hand on the signals.
struct Harness {
    let directory: TemporaryDirectory
    let signal: AsyncStream<Void>.Continuation
    var events: DirectorySource<AsyncStream<Void>>.AsyncIterator

    init(_ directory: TemporaryDirectory, waitForReplacement: @escaping @Sendable () async -> Void = {}) {
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        self.directory = directory
        signal = continuation
        events =
            DirectorySource(directory: directory.path, signals: stream, waitForReplacement: waitForReplacement)
            .makeAsyncIterator()
    }

    /// The events of the first look.
    mutating func untilSynced() async -> [String] {
        var seen: [SourceEvent] = []
        while let event = await events.next() {
            if event == .synced { break }
            seen.append(event)
        }
        return DirectoryStateTests.words(seen)
    }

    /// What the last signals brought: all events until the signals have ended.
    mutating func rest() async -> [String] {
        signal.finish()
        var seen: [SourceEvent] = []
        while let event = await events.next() { seen.append(event) }
        return DirectoryStateTests.words(seen)
    }

    /// The next event after a signal.
    mutating func afterSignal() async -> [String] {
        signal.yield()
        return await next()
    }

    /// The next event, without a signal.
    mutating func next() async -> [String] {
        guard let event = await events.next() else { return ["end"] }
        return DirectoryStateTests.words([event])
    }
}

@Suite("A directory of manifests")
struct DirectorySourceTests {
    static func pod(_ name: String, _ version: Int = 1) -> String { DirectoryStateTests.pod(name, version) }

    @Test("a file that an editor moves away and writes anew is never gone")
    func replaced() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.pod("a"))
        var harness = Harness(directory) { try? directory.write("a.yaml", Self.pod("a", 2)) }
        _ = await harness.untilSynced()
        try FileManager.default.moveItem(atPath: directory.path + "/a.yaml", toPath: directory.path + "/a.yaml~")
        #expect(await harness.afterSignal() == ["+a2"])
    }

    @Test("a file that is empty now keeps its objects until it is filled or removed")
    func emptied() async throws {
        var harness = Harness(try TemporaryDirectory())
        try harness.directory.write("a.yaml", Self.pod("a"))
        _ = await harness.untilSynced()
        try harness.directory.write("a.yaml", "")
        let notice = "a.yaml: is empty: remove the file if nothing in it shall be in force"
        #expect(await harness.afterSignal() == ["\(notice) (the last good version stays in force)"])
        harness.signal.yield()
        try harness.directory.write("a.yaml", Self.pod("b"))
        #expect(await harness.afterSignal() == ["forgiven a.yaml"])
        #expect(await harness.next() == ["-a", "+b1"])
        try harness.directory.write("a.yaml", "")
        _ = await harness.afterSignal()
        try harness.directory.remove("a.yaml")
        #expect(await harness.afterSignal() == ["forgiven a.yaml"])
        #expect(await harness.next() == ["-b"])
    }

    @Test("manifests are read at once, then the source is synced; other files, hidden ones and subdirectories are not")
    func firstLook() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.pod("a"))
        try directory.write("b.yml", Self.pod("b"))
        try directory.write("c.json", #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c"}}"#)
        try directory.write(".hidden.yaml", Self.pod("x"))
        try directory.write("notes.txt", Self.pod("x"))
        try directory.write("a.yaml~", Self.pod("x"))
        try directory.makeDirectory("more.yaml")
        try directory.write("more.yaml/d.yaml", Self.pod("x"))
        var harness = Harness(directory)
        #expect(await harness.untilSynced() == ["+a1", "+b1", "+c"])
        #expect(await harness.rest() == [])
    }

    @Test("an empty directory is synced")
    func empty() async throws {
        var harness = Harness(try TemporaryDirectory())
        #expect(await harness.events.next() == .synced)
        #expect(await harness.rest() == [])
    }

    @Test("each signal tells what has changed, a signal without a change nothing")
    func changes() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.pod("a"), Self.pod("b"))
        var harness = Harness(directory)
        #expect(await harness.untilSynced() == ["+a1", "+b1"])
        try directory.write("a.yaml", Self.pod("a", 2), Self.pod("b"))
        harness.signal.yield()
        #expect(await harness.afterSignal() == ["+a2"])
        try directory.write("b.yaml", Self.pod("c"))
        #expect(await harness.afterSignal() == ["+c1"])
        try directory.remove("a.yaml")
        #expect(await harness.afterSignal() == ["-a", "-b"])
        harness.signal.yield()
        #expect(await harness.rest() == [])
    }

    @Test("a text of the same length written right after the reading is seen")
    func quickWrite() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.pod("a", 0))
        var harness = Harness(directory)
        #expect(await harness.untilSynced() == ["+a0"])
        for version in 1...9 {
            try directory.write("a.yaml", Self.pod("a", version))
            #expect(await harness.afterSignal() == ["+a\(version)"])
        }
    }

    @Test("a mounted ConfigMap changes by turning one link")
    func configMap() async throws {
        let directory = try TemporaryDirectory()
        for (version, name) in [(1, "..2026_1"), (2, "..2026_2")] {
            try directory.makeDirectory(name)
            try directory.write("\(name)/a.yaml", Self.pod("a", version))
        }
        try directory.link("..data", to: "..2026_1")
        try directory.link("a.yaml", to: "..data/a.yaml")
        var harness = Harness(directory)
        #expect(await harness.untilSynced() == ["+a1"])
        try directory.link("..data_tmp", to: "..2026_2")
        #expect(rename(directory.path + "/..data_tmp", directory.path + "/..data") == 0)
        #expect(await harness.afterSignal() == ["+a2"])
    }

    @Test("a file that can't be read is told, and keeps what it had")
    func unreadable() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.pod("a"))
        var harness = Harness(directory)
        #expect(await harness.untilSynced() == ["+a1"])
        try directory.remove("a.yaml")
        try directory.link("a.yaml", to: "a.yaml")
        #expect(
            await harness.afterSignal() == [
                "a.yaml: can't be read: Too many levels of symbolic links (the last good version stays in force)"
            ])
        try directory.remove("a.yaml")
        try directory.write("a.yaml", Self.pod("a", 2))
        #expect(await harness.afterSignal() == ["forgiven a.yaml"])
        #expect(await harness.next() == ["+a2"])
    }

    @Test("a link whose file is gone is told, and keeps what it had; a link that is removed takes it along")
    func danglingLink() async throws {
        let directory = try TemporaryDirectory()
        try directory.write(".pod", Self.pod("a"))
        try directory.link("a.yaml", to: ".pod")
        var harness = Harness(directory)
        #expect(await harness.untilSynced() == ["+a1"])
        try directory.remove(".pod")
        #expect(
            await harness.afterSignal() == [
                "a.yaml: is a link to .pod, which is not there (the last good version stays in force)"
            ])
        try directory.write(".pod", Self.pod("a", 2))
        #expect(await harness.afterSignal() == ["forgiven a.yaml"])
        #expect(await harness.next() == ["+a2"])
        try directory.remove("a.yaml")
        #expect(await harness.afterSignal() == ["-a"])
    }

    @Test("a directory that is missing is told, and not taken for an empty one; that is forgiven when it is back")
    func missingDirectory() async throws {
        let parent = try TemporaryDirectory()
        let path = parent.path + "/manifests"
        let (stream, signal) = AsyncStream<Void>.makeStream()
        var events = DirectorySource(directory: path, signals: stream).makeAsyncIterator()
        let missing = "\(path): can't be read: No such file or directory"
        #expect(DirectoryStateTests.words([try #require(await events.next())]) == [missing])
        try parent.makeDirectory("manifests")
        try parent.write("manifests/a.yaml", Self.pod("a"))
        signal.yield()
        #expect(await events.next() == .forgiven(source: path))
        #expect(DirectoryStateTests.words([try #require(await events.next())]) == ["+a1"])
        #expect(await events.next() == .synced)
        try parent.remove("manifests")
        signal.yield()
        #expect(
            DirectoryStateTests.words([try #require(await events.next())]) == [
                missing + " (the last good version stays in force)"
            ])
        try parent.write("manifests", "no directory")
        signal.yield()
        #expect(await events.next() == .forgiven(source: path))
        let other = DirectoryStateTests.words([try #require(await events.next())])[0]
        #expect(other.hasPrefix("\(path): can't be read: ") && !other.hasPrefix(missing))
        try parent.remove("manifests")
        try parent.makeDirectory("manifests")
        try parent.write("manifests/a.yaml", Self.pod("a"))
        signal.yield()
        #expect(await events.next() == .forgiven(source: path))
        signal.finish()
        #expect(await events.next() == nil, "the objects are the same")
    }

    @Test("when the signals fail, that is told before the end")
    func failingSignals() async throws {
        struct Overflow: Error {}
        let directory = try TemporaryDirectory()
        let signals = AsyncThrowingStream<Void, any Error> { $0.finish(throwing: Overflow()) }
        var events = DirectorySource(directory: directory.path, signals: signals).makeAsyncIterator()
        #expect(await events.next() == .synced)
        #expect(
            DirectoryStateTests.words([try #require(await events.next())]) == [
                "\(directory.path): no longer watched: Overflow()"
            ])
        #expect(await events.next() == nil)
    }
}
