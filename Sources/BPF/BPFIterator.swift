internal import CLibBPF
internal import CLinux
internal import LinuxKernel

extension BPFProgram {
    /// Runs a program over everything that it is made for (`iter/…`): of sockets, those of the network namespace of the
    /// thread that asks.
    ///
    /// - Returns: how many bytes the program wrote about it.
    public func iterate() throws(BPFError) -> Int {
        LibraryLog.install()
        let attached = bpf_link_create(descriptor.number, 0, BPF_TRACE_ITER, nil)
        let link = FileDescriptor(owning: try checkBPF(attached, "attach iterator"))
        let run = FileDescriptor(owning: try checkBPF(bpf_iter_create(link.number), "create iterator"))
        var (chunk, total) = ([UInt8](repeating: 0, count: 4096), 0)
        while true {
            let count = chunk.withUnsafeMutableBytes { clinux_read(run.number, $0.baseAddress, $0.count) }
            // It has gone over so many that it pauses.
            if count == -Int(Errno.wouldBlock.rawValue) { continue }
            if try checkBPF(count, "run iterator") == 0 { return total }
            total += Int(count)
        }
    }
}
