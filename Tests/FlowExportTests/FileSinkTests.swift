import FlowExport
import Foundation
import TestSupport
import Testing

@Suite("A rotating file of records")
struct FileSinkTests {
    /// Lends a directory that goes afterwards.
    private func withDirectory(_ body: (String) async throws -> Void) async throws {
        let path = "\(FileManager.default.temporaryDirectory.path)/apus-export-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    private func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

    private func records(_ lines: String...) -> [ExportRecord] { lines.map { ExportRecord($0.utf8) } }

    @Test("its directories are made, and it goes on where it was")
    func appends() async throws {
        try await withDirectory { directory in
            let path = "\(directory)/a/b/log"
            #expect(await FileSink(path: path, size: 100, kept: 1).deliver(records("one", "two")).delivered == 2)
            #expect(await FileSink(path: path, size: 100, kept: 1).deliver(records("three")).problem == nil)
            #expect(text(path) == "one\ntwo\nthree\n")
        }
    }

    @Test("it is put aside before it gets too long, and so many older ones are kept")
    func rotates() async throws {
        try await withDirectory { directory in
            let sink = FileSink(path: "\(directory)/log", size: 8, kept: 2)
            let all = records("one", "two", "three", "much longer than it may be", "five", "six")
            #expect(await sink.deliver(all) == Delivery(delivered: 6))
            #expect(text("\(directory)/log") == "six\n")
            #expect(text("\(directory)/log.1") == "five\n")
            #expect(text("\(directory)/log.2") == "much longer than it may be\n")
            let names = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(names.count == 3)
        }
    }

    @Test("with none to keep, it begins anew")
    func keepsNone() async throws {
        try await withDirectory { directory in
            let sink = FileSink(path: "\(directory)/log", size: 4, kept: 0)
            #expect(await sink.deliver(records("one", "two")).problem == nil)
            #expect(text("\(directory)/log") == "two\n")
            let names = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(names == ["log"])
        }
    }

    @Test("when others move it away, or cut it, it is followed")
    func followsOthers() async throws {
        try await withDirectory { directory in
            let path = "\(directory)/log"
            let sink = FileSink(path: path, size: 8, kept: 1)
            #expect(await sink.deliver(records("one")).problem == nil)
            try FileManager.default.moveItem(atPath: path, toPath: "\(directory)/taken")
            #expect(await sink.deliver(records("two")).problem == nil)
            #expect(text(path) == "two\n" && text("\(directory)/taken") == "one\n")
            #expect(truncate(path, 0) == 0)
            #expect(await sink.deliver(records("three")).problem == nil)
            #expect(text(path) == "three\n" && text("\(path).1") == nil)
        }
    }

    @Test("the end of a line that a crash left is cut off")
    func cutsBrokenLines() async throws {
        try await withDirectory { directory in
            for (found, left) in [("one\n{\"brok", "one\n"), ("broken", ""), ("", "")] {
                let path = "\(directory)/log"
                try found.write(toFile: path, atomically: true, encoding: .utf8)
                #expect(await FileSink(path: path, size: 100, kept: 1).deliver(records("two")).problem == nil)
                #expect(text(path) == left + "two\n")
            }
        }
    }

    @Test("a missing directory and what is no file are problems, until they are gone")
    func recovers() async throws {
        try await withDirectory { directory in
            try "".write(toFile: "\(directory)/a", atomically: true, encoding: .utf8)
            let sink = FileSink(path: "\(directory)/a/log", size: 100, kept: 1)
            let delivery = await sink.deliver(records("one"))
            #expect(delivery.delivered == 0 && delivery.problem?.operation == "open")
            #expect(delivery.problem?.text == "can't open \(directory)/a/log: Not a directory")
            try FileManager.default.removeItem(atPath: "\(directory)/a")
            #expect(await sink.deliver(records("one")) == Delivery(delivered: 1))
            let pipe = "\(directory)/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            #expect(await FileSink(path: pipe, size: 100, kept: 1).deliver(records("one")).problem?.operation == "open")
        }
    }

    @Test("on a full disk, lines are whole or not there, and go on when there is room")
    func fullDisk() async throws {
        try await withDirectory { directory in
            let mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "apus-export", directory]
            let mounted = try await run(mount, within: .seconds(60))
            try #require(mounted.succeeded, "\(mounted.errors)")
            let sink = FileSink(path: "\(directory)/log", size: 1 << 20, kept: 1)
            let line = ExportRecord([UInt8](repeating: UInt8(ascii: "x"), count: 40_000))
            #expect(await sink.deliver([line]).delivered == 1)
            let delivery = await sink.deliver([line])
            #expect(delivery.delivered == 0 && delivery.problem?.operation == "write")
            #expect(text("\(directory)/log")?.utf8.count == 40_001)
            #expect(truncate("\(directory)/log", 0) == 0)
            #expect(await sink.deliver([line]) == Delivery(delivered: 1))
            let unmounted = try await run(["umount", "-l", directory], within: .seconds(60))
            #expect(unmounted.succeeded, "\(unmounted.errors)")
        }
    }
}
