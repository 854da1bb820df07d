internal import CLinux
internal import LinuxKernel

/// The memory of a ring buffer map, as kernel/bpf/ringbuf.c lays it out: a page with the consumer's position, a page
/// with the producer's, and the data twice in a row, so that a record is contiguous even where it wraps.
struct RingMemory: ~Copyable, Sendable {
    private let consumerPage: MemoryMapping
    private let producerPages: MemoryMapping
    /// Bytes of the ring, a power of two.
    let size: UInt64

    init(_ map: borrowing BPFMap, access: MemoryMapping.Access) throws(BPFError) {
        guard map.shape.type == .ringBuffer else {
            throw BPFError(operation: "open ring buffer", errno: .invalid, detail: "\(map.name) (\(map.shape.type))")
        }
        let page = MemoryMapping.pageSize
        let data = 2 * map.shape.maxEntries
        let consumerPage = try kernel { () throws(KernelError) in
            try MemoryMapping(of: map.descriptor, size: page, access: access)
        }
        let producerPages = try kernel { () throws(KernelError) in
            try MemoryMapping(of: map.descriptor, size: page + data, offset: page, access: .readOnly)
        }
        self.consumerPage = consumerPage
        self.producerPages = producerPages
        self.size = UInt64(map.shape.maxEntries)
    }

    /// Bytes that programs ever reserved.
    var producerPosition: UInt64 { clinux_load_acquire_u64(producerPages.base) }

    /// Bytes that the consumer ever gave back.
    var consumerPosition: UInt64 { clinux_load_acquire_u64(consumerPage.base) }

    func publish(consumerPosition: UInt64) {
        clinux_store_release_u64(consumerPage.base, consumerPosition)
    }

    func header(at position: UInt64) -> RingHeader {
        RingHeader(bits: clinux_load_acquire_u32(address(position)))
    }

    /// The bytes of a record, without its header.
    func record(at position: UInt64, length: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: address(position) + RingHeader.size, count: length)
    }

    private func address(_ position: UInt64) -> UnsafeRawPointer {
        UnsafeRawPointer(producerPages.base + MemoryMapping.pageSize + Int(position & (size - 1)))
    }
}

/// What stands in front of every record (include/uapi/linux/bpf.h, BPF_RINGBUF_HDR_SZ and following).
struct RingHeader {
    static let size = 8
    let bits: UInt32

    /// Reserved and not yet submitted.
    var isBusy: Bool { bits & 1 << 31 != 0 }
    /// Given up by the program.
    var isDiscarded: Bool { bits & 1 << 30 != 0 }
    /// Bytes of the record.
    var length: Int { Int(bits & ~(3 << 30)) }

    /// Bytes that a record of a length takes in the ring.
    static func span(_ length: Int) -> UInt64 { UInt64((length + size + 7) & ~7) }
}

/// The one consumer of a ring buffer.
public struct RingBuffer: ~Copyable, Sendable {
    private let memory: RingMemory
    private let descriptor: FileDescriptor
    private var position: UInt64

    /// Starts where the last consumer stopped. There must be one consumer at a time.
    public init(_ map: borrowing BPFMap) throws(BPFError) {
        let memory = try RingMemory(map, access: .readWrite)
        let descriptor = try kernel { () throws(KernelError) in try map.descriptor.duplicate() }
        let (consumer, producer) = (memory.consumerPosition, memory.producerPosition)
        // Another process with the rights could have written nonsense there: then start with what comes next.
        self.position = producer &- consumer <= memory.size ? consumer : producer
        self.memory = memory
        self.descriptor = descriptor
    }

    /// Bytes of the ring.
    public var capacity: Int { Int(memory.size) }

    /// Bytes that wait, headers and records that are still being written included.
    public var available: Int { Int(memory.producerPosition &- position) }

    /// Lends the records that wait to `body`, oldest first, and returns how many those were.
    ///
    /// The memory goes back to the programs in batches and when the call ends, also when `body` throws; the record
    /// that it threw on counts as consumed. Stops at a record that a program is still writing.
    public mutating func drain<Failure: Error>(
        limit: Int = .max, _ body: (borrowing RawSpan) throws(Failure) -> Void
    ) throws(Failure) -> Int {
        var published = position
        defer { if position != published { memory.publish(consumerPosition: position) } }
        // A store per record would fight with the producers for the cache line; an eighth keeps room for them.
        let batch = memory.size / 8
        var count = 0
        var producer = memory.producerPosition
        while count < limit {
            if position == producer {
                producer = memory.producerPosition
                if position == producer { break }
            }
            let header = memory.header(at: position)
            if header.isBusy { break }
            let span = RingHeader.span(header.length)
            guard span <= producer &- position else {
                // Not a record: the consumer's page was tampered with. Go on with what comes next.
                position = producer
                break
            }
            let record = memory.record(at: position, length: header.length)
            position += span
            if !header.isDiscarded {
                count += 1
                try body(record.bytes)
            }
            if position - published >= batch {
                memory.publish(consumerPosition: position)
                published = position
            }
        }
        return count
    }

    /// Returns when a program woke the reader and records wait; throws with `.cancelled` when the task is cancelled.
    public func waitUntilReadable() async throws(BPFError) {
        do { try await Readiness.shared.waitUntilReadable(descriptor) } catch { throw BPFError(error) }
    }

    /// Returns true when a program woke the reader and false when `limit` passed before that; either way look with
    /// `drain`, because records that were written without a wake-up wait silently. Throws like the other.
    public func waitUntilReadable(atMost limit: Duration) async throws(BPFError) -> Bool {
        do {
            return try await Readiness.shared.waitUntilReadable(descriptor, atMost: limit)
        } catch {
            throw BPFError(error)
        }
    }
}
