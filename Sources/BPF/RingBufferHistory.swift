internal import CLinux
internal import LinuxKernel

/// A look back into a ring buffer, for any number of processes beside the consumer; nothing is written.
///
/// Records stay in the ring after they were consumed until programs overwrite them. The ring is not a list that can be
/// walked backwards, so this works only for rings whose records all have one length.
public struct RingBufferHistory: ~Copyable, Sendable {
    private let memory: RingMemory

    /// Opens the memory of a ring buffer map for reading.
    public init(_ map: borrowing BPFMap) throws(BPFError) {
        memory = try RingMemory(map, access: .readOnly)
    }

    /// Bytes that programs ever reserved; grows with every record.
    public var producerPosition: UInt64 { memory.producerPosition }

    /// Lends copies of the newest records to `body`, oldest first, and returns how many those were.
    ///
    /// Records that are overwritten meanwhile, are still being written or were discarded are left out.
    public func last(_ limit: Int, recordLength: Int, _ body: (borrowing RawSpan) -> Void) -> Int {
        guard recordLength > 0, limit > 0 else { return 0 }
        let span = RingHeader.span(recordLength)
        let producer = memory.producerPosition
        let reach = Int(min(producer, memory.size) / span)
        var copies: [UInt8] = []
        copies.reserveCapacity(min(limit, reach) * recordLength)
        var count = 0
        for step in 0..<reach where count < limit {
            let position = producer - UInt64(step + 1) * span
            let header = memory.header(at: position)
            guard header.length == recordLength else { break }
            if header.isBusy || header.isDiscarded { continue }
            copies.append(contentsOf: memory.record(at: position, length: recordLength))
            guard isIntact(position, span) else { break }
            count += 1
        }
        for index in (0..<count).reversed() {
            body(copies.span.bytes.extracting(index * recordLength..<(index + 1) * recordLength))
        }
        return count
    }

    /// Whether what was read at a position was not overwritten before this call.
    ///
    /// A program writes a record's header before it publishes the position behind it (`__bpf_ringbuf_reserve`), so one
    /// record more than was published counts as overwritten.
    private func isIntact(_ position: UInt64, _ span: UInt64) -> Bool {
        clinux_fence_acquire()
        return memory.producerPosition + span - position <= memory.size
    }
}
