internal import CLibBPF
internal import LinuxKernel

extension BPFProgram {
    /// The numbers of the programs on a side of an interface, of whoever attached them (tcx).
    public static func attached(
        toInterface index: UInt32, _ side: TrafficSide
    ) throws(BPFError) -> [UInt32] {
        LibraryLog.install()
        // 64 is the most that the kernel attaches to one side (BPF_MPROG_MAX).
        var numbers = [UInt32](repeating: 0, count: 64)
        var count = UInt32(numbers.count)
        let result = bpf_prog_query(
            Int32(bitPattern: index), bpf_attach_type(rawValue: side.attachType), 0, nil, &numbers, &count)
        try checkBPF(result, "list programs on", "interface \(index) \(side)")
        return Array(numbers.prefix(Int(count)))
    }
}
