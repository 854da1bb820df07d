internal import BPF

/// How long a program works on one packet, measured by the kernel itself (BPF_PROG_TEST_RUN).
public struct PacketCost: Sendable {
    /// The time of a run in nanoseconds, that of a program that does nothing taken off.
    public let nanoseconds: Double
    /// What the program returned, such as `delivered`.
    public let verdict: UInt32

    /// TCX_REDIRECT (linux/bpf.h): the packet goes straight to a pod of the node.
    public static let delivered: UInt32 = 7
    /// TCX_NEXT, -1 there: the packet goes on to the host's stack.
    public static let passed = UInt32.max

    /// Measures the program of a pinned tcx link. The calling process must be in the interface's network namespace.
    ///
    /// - Parameters:
    ///   - link: The path of the link's pin.
    ///   - interface: The index of the interface that the packet came from.
    ///   - packet: The packet, from its Ethernet header on.
    public static func measure(link: String, interface: UInt32, packet: [UInt8]) throws -> PacketCost {
        let program = try BPFProgram.open(id: BPFLink.open(pinned: link).info().programID)
        let nothing = try BPFProgram.load(.classifier, instructions: BPFInstruction.returning(0), name: "nothing")
        let verdict = try run(program, interface, packet).returnValue
        let own = try time(of: program, verdict, interface, packet)
        let empty = try time(of: nothing, verdict, interface, packet)
        return PacketCost(nanoseconds: own - empty, verdict: verdict)
    }

    /// Measures a program with packets that each open a connection: the median of one run of each.
    ///
    /// - Parameters:
    ///   - link: The path of the link's pin.
    ///   - interface: The index of the interface that the packets came from.
    ///   - packets: Packets of different connections.
    /// - Returns: The median, and the verdict that was not `delivered` if there was one.
    public static func measure(link: String, interface: UInt32, openings packets: [[UInt8]]) throws -> PacketCost {
        let program = try BPFProgram.open(id: BPFLink.open(pinned: link).info().programID)
        let nothing = try BPFProgram.load(.classifier, instructions: BPFInstruction.returning(0), name: "nothing")
        var verdict = delivered
        var (own, empty): ([UInt32], [UInt32]) = ([], [])
        for packet in packets {
            let result = try run(program, interface, packet)
            if result.returnValue != delivered { verdict = result.returnValue }
            own.append(result.duration)
            empty.append(try run(nothing, interface, packet).duration)
        }
        return PacketCost(nanoseconds: median(own) - median(empty), verdict: verdict)
    }

    static func median(_ durations: [UInt32]) -> Double {
        durations.isEmpty ? 0 : Double(durations.sorted()[durations.count / 2])
    }

    private static let runs = 20_000
    private static let repetitions = 1_000_000

    /// The kernel can repeat a run by itself, but on the same packet: one that is delivered has other hardware addresses
    /// after the first run, and fewer hops. For those it is the median of single runs, which find the CPU as a system
    /// call left it.
    private static func time(
        of program: borrowing BPFProgram, _ verdict: UInt32, _ interface: UInt32, _ packet: [UInt8]
    ) throws -> Double {
        guard verdict == delivered else {
            return Double(try run(program, interface, packet, repetitions).duration)
        }
        var durations: [UInt32] = []
        for _ in 0..<runs { durations.append(try run(program, interface, packet).duration) }
        return median(durations)
    }

    private static func run(
        _ program: borrowing BPFProgram, _ interface: UInt32, _ packet: [UInt8], _ count: Int = 1
    ) throws -> BPFTestRun {
        try program.testRun(packet: packet.span.bytes, context: context(interface), repeat: count)
    }

    /// The `struct __sk_buff` (linux/bpf.h) of a packet that came from an interface.
    static func context(_ interface: UInt32) -> [UInt8] {
        // `ifindex` is its eleventh word. The kernel takes a longer struct when the rest is zero, and needs room for
        // its own, which is 192 bytes in 6.18.
        var context = [UInt8](repeating: 0, count: 256)
        withUnsafeBytes(of: interface) { context.replaceSubrange(40..<44, with: $0) }
        return context
    }
}
