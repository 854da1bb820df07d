import BPF
import Foundation
import LinuxKernel
import Synchronization
import Testing

/// A ring and a program that writes records of two equal, ascending numbers into it.
struct RingFixture: ~Copyable {
    let ring: BPFMap
    let counter: BPFMap
    let program: BPFProgram
    static let recordLength = 16

    enum Mode { case quiet, waking, discardingOdd }

    init(size: Int, _ mode: Mode) throws(BPFError) {
        let ring = try BPFMap.create(
            BPFMapShape(type: .ringBuffer, keySize: 0, valueSize: 0, maxEntries: size), name: "ring")
        let counter = try BPFMap.create(
            BPFMapShape(type: .array, keySize: 4, valueSize: 8, maxEntries: 1), name: "counter")
        let program = try BPFProgram.load(
            .classifier, instructions: Self.instructions(ring, counter, mode), name: "writer")
        self.ring = ring
        self.counter = counter
        self.program = program
    }

    func write(_ count: Int) throws(BPFError) {
        _ = try program.testRun(packet: [UInt8](repeating: 0, count: 64), repeat: count)
    }

    private static func instructions(
        _ ring: borrowing BPFMap, _ counter: borrowing BPFMap, _ mode: Mode
    ) -> [BPFInstruction] {
        let count: [BPFInstruction] =
            [Code.storeWord(10, -4, 0), Code.copy(2, from: 10), Code.add(2, -4)] + counter.loadAddress(into: 1)
            + [
                Code.call(1), BPFInstruction(0x55, offset: 1), Code.exit, Code.load64(6, from: 0, 0),
                Code.copy(7, from: 6), Code.add(7, 1), Code.store64(0, 0, from: 7),
            ]
        switch mode {
        case .quiet, .waking:
            // bpf_ringbuf_output(ring, stack, 16, BPF_RB_NO_WAKEUP or 0)
            return count + [Code.store64(10, -24, from: 6), Code.store64(10, -16, from: 6)]
                + ring.loadAddress(into: 1)
                + [
                    Code.copy(2, from: 10), Code.add(2, -24), Code.move(3, 16), Code.move(4, mode == .quiet ? 1 : 0),
                    Code.call(130), Code.move(0, 0), Code.exit,
                ]
        case .discardingOdd:
            // reserve, fill, then discard odd numbers and submit even ones
            return count + ring.loadAddress(into: 1)
                + [
                    Code.move(2, 16), Code.move(3, 0), Code.call(131), BPFInstruction(0x55, offset: 1), Code.exit,
                    Code.store64(0, 0, from: 6), Code.store64(0, 8, from: 6), Code.copy(1, from: 0), Code.move(2, 1),
                    BPFInstruction(0x57, destination: 6, immediate: 1), Code.jump(ifEqual: 6, 0, 3),
                    Code.call(133), Code.move(0, 0), Code.exit,
                    Code.call(132), Code.move(0, 0), Code.exit,
                ]
        }
    }
}

private func pair(_ record: borrowing RawSpan) -> (UInt64, UInt64)? {
    guard record.byteCount == 16 else { return nil }
    return (
        record.unsafeLoadUnaligned(as: UInt64.self), record.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self)
    )
}

@Suite struct RingBufferTests {
    @Test("Two million records come through a ring that wraps, in order and whole")
    func wrapAround() throws {
        let fixture = try RingFixture(size: 65536, .quiet)
        var ring = try RingBuffer(fixture.ring)
        var (expected, wrong): (UInt64, Int) = (0, 0)
        while expected < 2_000_000 {
            try fixture.write(2500)
            #expect(ring.available == 2500 * 24)
            _ = ring.drain { record in
                let numbers = pair(record)
                if numbers?.0 != expected || numbers?.1 != expected { wrong += 1 }
                expected += 1
            }
            #expect(ring.available == 0)
        }
        #expect(wrong == 0)
    }

    @Test("A full ring takes nothing more, and draining makes room")
    func full() throws {
        let fixture = try RingFixture(size: 4096, .quiet)
        var ring = try RingBuffer(fixture.ring)
        try fixture.write(1000)
        // 24 bytes a record; the kernel keeps the ring from filling to the last byte.
        #expect(ring.drain { _ in } == 170)
        try fixture.write(1)
        var last: UInt64?
        #expect(ring.drain { last = pair($0)?.0 } == 1)
        #expect(last == 1000)
    }

    @Test("Discarded records are stepped over")
    func discarded() throws {
        let fixture = try RingFixture(size: 65536, .discardingOdd)
        var ring = try RingBuffer(fixture.ring)
        try fixture.write(100)
        var seen: [UInt64] = []
        #expect(ring.drain { seen.append(pair($0)?.0 ?? .max) } == 50)
        #expect(seen == (0..<50).map { $0 * 2 })
        #expect(ring.available == 0)
    }

    @Test("A limit leaves the rest, a thrown error consumes its record, a new reader goes on there")
    func limits() throws {
        struct Stop: Error {}
        let fixture = try RingFixture(size: 65536, .quiet)
        try fixture.write(10)
        do {
            var ring = try RingBuffer(fixture.ring)
            #expect(ring.drain(limit: 4) { _ in } == 4)
            #expect(throws: Stop.self) { _ = try ring.drain { _ throws(Stop) in throw Stop() } }
        }
        var ring = try RingBuffer(fixture.ring)
        var seen: [UInt64] = []
        _ = ring.drain { seen.append(pair($0)?.0 ?? .max) }
        #expect(seen == [5, 6, 7, 8, 9])
    }

    @Test("History shows consumed records, newest last, without taking any")
    func history() throws {
        let fixture = try RingFixture(size: 65536, .quiet)
        let history = try RingBufferHistory(fixture.ring)
        #expect(history.last(10, recordLength: 16) { _ in } == 0)
        var ring = try RingBuffer(fixture.ring)
        for _ in 0..<5 {
            try fixture.write(2000)
            _ = ring.drain { _ in }
        }
        try fixture.write(3)
        var seen: [UInt64] = []
        #expect(history.last(5, recordLength: 16) { seen.append(pair($0)?.0 ?? .max) } == 5)
        #expect(seen == [9998, 9999, 10000, 10001, 10002])
        #expect(ring.available == 3 * 24)
        // All that the ring can still hold, less the record that may be under way.
        seen = []
        let all = history.last(.max, recordLength: 16) { seen.append(pair($0)?.0 ?? .max) }
        #expect(all == 65536 / 24 - 1)
        #expect(seen == ((10003 - UInt64(all))..<10003).map { $0 })
        #expect(history.last(10, recordLength: 32) { _ in } == 0)
    }

    @Test("History leaves out discarded records")
    func historyOfDiscarded() throws {
        let fixture = try RingFixture(size: 65536, .discardingOdd)
        try fixture.write(10)
        var seen: [UInt64] = []
        _ = try RingBufferHistory(fixture.ring).last(3, recordLength: 16) { seen.append(pair($0)?.0 ?? .max) }
        #expect(seen == [4, 6, 8])
    }

    @Test("History read while records are written is whole and ascending")
    func concurrentHistory() async throws {
        let directory = try PinDirectory()
        let path = directory.path + "/ring"
        let fixture = try RingFixture(size: 4096, .quiet)
        try fixture.ring.pin(at: path)
        // A thread of its own, beside the pool's threads that the other tests keep busy.
        let outcome = Box<Result<(bad: Int, read: Int), any Error>>()
        Thread.detachNewThread { outcome.value.withLock { $0 = Result { try Self.readHistory(path, passes: 3000) } } }
        var ring = try RingBuffer(fixture.ring)
        var result: Result<(bad: Int, read: Int), any Error>?
        while result == nil {
            try fixture.write(100)
            _ = ring.drain { _ in }
            if outcome.value.withLockIfAvailable({ result = $0 }) == nil { await Task.yield() }
        }
        let (bad, read) = try #require(try result?.get())
        #expect(bad == 0)
        #expect(read > 0)
    }

    private static func readHistory(_ path: String, passes: Int) throws -> (bad: Int, read: Int) {
        let history = try RingBufferHistory(try BPFMap.open(pinned: path))
        var (bad, read) = (0, 0)
        var position = history.producerPosition
        for _ in 0..<passes {
            // Each pass sees a ring that has moved on.
            while history.producerPosition == position { sched_yield() }
            position = history.producerPosition
            var previous: UInt64?
            read += history.last(200, recordLength: 16) { record in
                let numbers = pair(record)
                if numbers?.0 != numbers?.1 || (previous.map { $0 + 1 != numbers?.0 } ?? false) { bad += 1 }
                previous = numbers?.0
            }
        }
        return (bad, read)
    }

    @Test("A waiting reader wakes for a record", .timeLimit(.minutes(10)))
    func readiness() async throws {
        let fixture = try RingFixture(size: 4096, .waking)
        var ring = try RingBuffer(fixture.ring)
        for _ in 0..<20 {
            try fixture.write(1)
            try await ring.waitUntilReadable()
            #expect(ring.drain { _ in } == 1)
        }
    }

    @Test("A wait with a limit ends with it, and earlier for a record", .timeLimit(.minutes(10)))
    func limitedWait() async throws {
        let fixture = try RingFixture(size: 4096, .waking)
        let ring = try RingBuffer(fixture.ring)
        #expect(try await ring.waitUntilReadable(atMost: .milliseconds(5)) == false)
        try fixture.write(1)
        #expect(try await ring.waitUntilReadable(atMost: .seconds(60)) == true)
    }

    @Test("A cancelled wait ends", .timeLimit(.minutes(10)))
    func cancellation() async throws {
        for _ in 0..<50 {
            let task = Task {
                let fixture = try RingFixture(size: 4096, .waking)
                try await RingBuffer(fixture.ring).waitUntilReadable()
            }
            await Task.yield()
            task.cancel()
            let error = await #expect(throws: BPFError.self) { try await task.value }
            #expect(error?.errno == .cancelled)
        }
    }

    @Test("Only a ring buffer opens as one")
    func wrongType() throws {
        let map = try BPFMap.create(BPFMapShape(type: .hash, keySize: 4, valueSize: 4, maxEntries: 4), name: "hash")
        #expect(throws: BPFError.self) { _ = try RingBuffer(map) }
        #expect(throws: BPFError.self) { _ = try RingBufferHistory(map) }
    }
}
