import BPF
import Foundation
import LinuxKernel
import Testing

/// The compiled sample, made once for all tests.
enum Sample {
    static let image: [UInt8] = {
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/sample.c")
        let output = FileManager.default.temporaryDirectory.appending(path: "apus-sample-\(getpid()).o")
        defer { try? FileManager.default.removeItem(at: output) }
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments =
            ["clang", "-target", "bpf", "-O2", "-g", "-Wall", "-Werror", "-c", source.path, "-o", output.path]
            + ["-idirafter", "/usr/include/x86_64-linux-gnu", "-idirafter", "/usr/include/aarch64-linux-gnu"]
        do {
            try compiler.run()
            compiler.waitUntilExit()
            return [UInt8](try Data(contentsOf: output))
        } catch {
            return []
        }
    }()

    static func open() throws(BPFError) -> BPFObject { try BPFObject(image: image.span.bytes, name: "sample") }
}

private struct Config: BitwiseCopyable {
    var verdict: UInt32
    var step: UInt32
}

@Suite struct BPFObjectTests {
    private static let packet = [UInt8](repeating: 0, count: 64)

    @Test("Constants set before load are what the program sees")
    func constants() throws {
        var object = try Sample.open()
        try object.setConstant("config", to: Config(verdict: 7, step: 3))
        try object.load()
        let program = try object.program("count")
        let run = try program.testRun(packet: Self.packet, repeat: 10)
        #expect(run.returnValue == 7)
        #expect(run.packet == Self.packet)
        #expect(try object.map("counters").lookup(UInt32(0), as: UInt64.self) == 30)
        let counters = try MappedArray(try object.map("counters"), of: UInt64.self)
        #expect(try counters.load(0) == 30)
    }

    @Test("A constant of another size or name is refused")
    func wrongConstants() throws {
        var object = try Sample.open()
        #expect(throws: BPFError.self) { try object.setConstant("config", to: UInt8(1)) }
        #expect(throws: BPFError.self) { try object.setConstant("missing", to: UInt64(1)) }
    }

    @Test("The context goes in and comes out")
    func context() throws {
        var object = try Sample.open()
        try object.load()
        var context = [UInt8](repeating: 0, count: 192)
        // `mark` is the third word of `struct __sk_buff`.
        context[8] = 41
        let run = try object.program("count").testRun(packet: Self.packet, context: context)
        #expect(run.context.count == context.count)
        #expect(run.context[8] == 42)
    }

    @Test("Names, shapes and sizes before load")
    func preparation() throws {
        var object = try Sample.open()
        #expect(object.programNames == ["count", "optional", "refuse"])
        #expect(object.mapNames == ["counters", "a_map_with_a_long_name"])
        try object.setMaxEntries(99, ofMap: "a_map_with_a_long_name")
        #expect(try object.shape(ofMap: "a_map_with_a_long_name").maxEntries == 99)
        try object.setAutoload(false, ofProgram: "refuse")
        try object.load()
        #expect(try object.map("a_map_with_a_long_name").shape.maxEntries == 99)
        #expect(throws: BPFError.self) { _ = try object.program("refuse") }
        #expect(throws: BPFError.self) { _ = try object.map("absent") }
    }

    @Test("A reused map is shared; one of another shape is refused with the difference")
    func reuse() throws {
        let shape = BPFMapShape(type: .array, keySize: 4, valueSize: 8, maxEntries: 1, flags: .mappable)
        let existing = try BPFMap.create(shape, name: "counters")
        var object = try Sample.open()
        try object.reuse(existing, asMap: "counters")
        let error = #expect(throws: BPFError.self) { try object.reuse(existing, asMap: "a_map_with_a_long_name") }
        #expect(error?.detail.contains("type array, not hash") == true)
        try object.load()
        _ = try object.program("count").testRun(packet: Self.packet, repeat: 5)
        #expect(try existing.lookup(UInt32(0), as: UInt64.self) == 5)
        #expect(try object.map("counters").info.id == existing.info.id)
    }

    @Test("A refused program shows the verifier's last lines and has all of them")
    func verifierError() throws {
        var object = try Sample.open()
        try object.setConstant("broken", to: UInt8(1))
        let error = #expect(throws: BPFError.self) { try object.load() }
        #expect(error?.errno == .accessDenied)
        #expect((1...12).contains(error?.verifierTail.count ?? 0))
        #expect(error?.verifierTail.last?.contains("outside of the packet") == true, "\(error?.log ?? [])")
        #expect((error?.log.count ?? 0) > (error?.verifierTail.count ?? 0))
        #expect(error?.log.contains { $0.contains("optional") } == true)
    }

    @Test(
        "An image that is no object is an error, not a crash",
        arguments: [[], [1, 2, 3], [UInt8](repeating: 0x7f, count: 4096)])
    func badImage(_ image: [UInt8]) {
        #expect(throws: BPFError.self) { _ = try BPFObject(image: image.span.bytes, name: "bad") }
    }

    @Test("A hundred load and unload cycles leave no descriptor")
    func noLeak() async throws {
        // A process of its own: other tests open descriptors meanwhile.
        await #expect(processExitsWith: .success) {
            func cycle() throws {
                var object = try Sample.open()
                try object.load()
                let map = try object.map("counters")
                let program = try object.program("count")
                _ = try program.testRun(packet: [UInt8](repeating: 0, count: 64))
                _ = try MappedArray(map, of: UInt64.self)
                let ring = try BPFMap.create(
                    BPFMapShape(type: .ringBuffer, keySize: 0, valueSize: 0, maxEntries: 4096), name: "ring")
                _ = try RingBuffer(ring)
                var broken = try Sample.open()
                try broken.setConstant("broken", to: UInt8(1))
                do { try broken.load() } catch {}
            }
            try cycle()
            let before = try FileDescriptor.openCount()
            for _ in 0..<100 { try cycle() }
            try #require(try FileDescriptor.openCount() == before)
        }
    }
}
