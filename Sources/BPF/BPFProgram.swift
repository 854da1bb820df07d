internal import CLibBPF
internal import LinuxKernel

/// What the kernel tells about a program.
public struct BPFProgramInfo: Sendable, Hashable {
    /// The kernel's number of the program, unique while the machine runs.
    public let id: UInt32
    /// At most 15 bytes: the kernel cuts longer names.
    public let name: String
    /// A hash over the instructions: equal programs have equal tags.
    public let tag: UInt64
    /// Instructions after the verifier's rewriting.
    public let instructionCount: Int
    /// Instructions that the verifier had to walk; its limit is a million.
    public let verifiedInstructions: Int
}

/// A loaded program, held by a descriptor of its own.
public struct BPFProgram: ~Copyable, Sendable {
    let descriptor: FileDescriptor

    init(owning descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// Opens a pinned program.
    public static func open(pinned path: String) throws(BPFError) -> BPFProgram {
        BPFProgram(owning: try PinnedKind.program.open(path))
    }

    /// Opens the program with a number, for example the one that a link runs.
    public static func open(id: UInt32) throws(BPFError) -> BPFProgram {
        LibraryLog.install()
        return BPFProgram(
            owning: FileDescriptor(owning: try checkBPF(bpf_prog_get_fd_by_id(id), "open program", "id \(id)")))
    }

    /// Pins the program, so that it stays when the last handle is gone.
    public func pin(at path: String) throws(BPFError) {
        try checkBPF(bpf_obj_pin(descriptor.number, path), "pin program at", path)
    }

    /// Asks the kernel about the program.
    public func info() throws(BPFError) -> BPFProgramInfo {
        var info = bpf_prog_info()
        var size = UInt32(MemoryLayout<bpf_prog_info>.size)
        try checkBPF(bpf_obj_get_info_by_fd(descriptor.number, &info, &size), "get program info")
        let name = withUnsafeBytes(of: info.name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let tag = withUnsafeBytes(of: info.tag) { $0.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        return BPFProgramInfo(
            id: info.id, name: name, tag: tag, instructionCount: Int(info.xlated_prog_len) / 8,
            verifiedInstructions: Int(info.verified_insns))
    }
}

/// What a test run of a program gave.
public struct BPFTestRun: Sendable, Hashable {
    /// What the program returned, of the last run.
    public let returnValue: UInt32
    /// The packet after the run.
    public let packet: [UInt8]
    /// The context (`struct __sk_buff`) after the run; empty when none was passed.
    public let context: [UInt8]
    /// The mean time of a run in nanoseconds.
    public let duration: UInt32
}

extension BPFProgram {
    /// The room that a program may need beyond its packet: what it adds in front of it.
    private static let growth = 1024

    /// Runs a classifier on a packet that starts with its Ethernet header (BPF_PROG_TEST_RUN).
    ///
    /// - Parameters:
    ///   - packet: at least the 14 bytes of an Ethernet header.
    ///   - context: the bytes of a `struct __sk_buff`, or none. The kernel takes only some fields, among them `mark`,
    ///     `priority`, `ifindex`, `cb`, and refuses others that are not zero.
    ///   - repeat: how often to run it, for a meaningful `duration`.
    public func testRun(
        packet: borrowing RawSpan, context: [UInt8] = [], repeat: Int = 1
    ) throws(BPFError) -> BPFTestRun {
        var options = bpf_test_run_opts()
        options.sz = MemoryLayout<bpf_test_run_opts>.size
        options.data_size_in = UInt32(packet.byteCount)
        options.data_size_out = UInt32(packet.byteCount + Self.growth)
        options.ctx_size_in = UInt32(context.count)
        options.ctx_size_out = UInt32(context.count)
        options.repeat = Int32(clamping: `repeat`)
        var packetOut = [UInt8](repeating: 0, count: packet.byteCount + Self.growth)
        var contextOut = context
        let result = run(&options, packet, context, &packetOut, &contextOut)
        try checkBPF(result, "test-run program")
        packetOut.removeLast(packetOut.count - min(packetOut.count, Int(options.data_size_out)))
        contextOut.removeLast(contextOut.count - min(contextOut.count, Int(options.ctx_size_out)))
        return BPFTestRun(
            returnValue: options.retval, packet: packetOut, context: contextOut, duration: options.duration)
    }

    /// Runs a classifier on a packet in an array.
    public func testRun(
        packet: [UInt8], context: [UInt8] = [], repeat: Int = 1
    ) throws(BPFError) -> BPFTestRun {
        try testRun(packet: packet.span.bytes, context: context, repeat: `repeat`)
    }

    /// Runs a program of XDP on a frame that came in by the loopback interface, or by one that has such a program.
    ///
    /// - Parameter interface: the number of the latter in this thread's network namespace; nil: loopback.
    public func testRun(frame: [UInt8], receivedBy interface: UInt32?) throws(BPFError) -> BPFTestRun {
        guard let interface else { return try testRun(packet: frame) }
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let words = [0, UInt32(frame.count), 0, interface, 0, 0]
        return try testRun(packet: frame, context: words.withUnsafeBytes { Array($0) })
    }

    private func run(
        _ options: inout bpf_test_run_opts, _ packet: borrowing RawSpan, _ context: [UInt8],
        _ packetOut: inout [UInt8], _ contextOut: inout [UInt8]
    ) -> Int32 {
        let number = descriptor.number
        return packet.withUnsafeBytes { packet in
            context.withUnsafeBytes { context in
                packetOut.withUnsafeMutableBytes { packetOut in
                    contextOut.withUnsafeMutableBytes { contextOut in
                        options.data_in = packet.baseAddress
                        options.data_out = packetOut.baseAddress
                        options.ctx_in = context.isEmpty ? nil : context.baseAddress
                        options.ctx_out = context.isEmpty ? nil : contextOut.baseAddress
                        return bpf_prog_test_run_opts(number, &options)
                    }
                }
            }
        }
    }
}
