internal import CLibBPF
internal import LinuxKernel

/// One instruction as the kernel takes it (`struct bpf_insn`), for programs too small for a compiler.
public struct BPFInstruction: BitwiseCopyable, Sendable, Hashable {
    /// Operation, class and source bits.
    public var code: UInt8
    /// The destination register in the low four bits, the source register in the high four.
    public var registers: UInt8
    public var offset: Int16
    public var immediate: Int32

    public init(_ code: UInt8, destination: UInt8 = 0, source: UInt8 = 0, offset: Int16 = 0, immediate: Int32 = 0) {
        self.code = code
        self.registers = destination & 15 | source << 4
        self.offset = offset
        self.immediate = immediate
    }

    /// A program that returns a constant: `r0 = value; exit`.
    public static func returning(_ value: Int32) -> [BPFInstruction] {
        [BPFInstruction(0xb7, immediate: value), BPFInstruction(0x95)]
    }
}

/// What a program is loaded as.
public enum BPFProgramKind: Sendable, Hashable {
    /// For a side of an interface.
    case classifier
    /// For a driver, or behind it.
    case xdp
    /// For a hook of a cgroup.
    case socket(SocketHook)

    fileprivate var numbers: (type: bpf_prog_type, attach: UInt32) {
        switch self {
        case .classifier: (BPF_PROG_TYPE_SCHED_CLS, 0)
        case .xdp: (BPF_PROG_TYPE_XDP, BPF_XDP.rawValue)
        case .socket(let hook): (BPF_PROG_TYPE_CGROUP_SOCK_ADDR, hook.attachType)
        }
    }
}

extension BPFProgram {
    /// Loads a program from instructions; a refusal carries the verifier's log.
    public static func load(
        _ kind: BPFProgramKind, instructions: [BPFInstruction], name: String
    ) throws(BPFError) -> BPFProgram {
        let (type, attach) = kind.numbers
        var text = [CChar](repeating: 0, count: 65536)
        let result: Int32 = LibraryLog.capture {
            text.withUnsafeMutableBufferPointer { text in
                instructions.withUnsafeBytes { bytes in
                    var options = bpf_prog_load_opts()
                    options.sz = MemoryLayout<bpf_prog_load_opts>.size
                    options.expected_attach_type = bpf_attach_type(rawValue: attach)
                    // Level 0 with a buffer: libbpf asks for the log only when the program is refused.
                    options.log_buf = text.baseAddress
                    options.log_size = UInt32(text.count)
                    return bpf_prog_load(
                        type, name, "GPL", bytes.assumingMemoryBound(to: bpf_insn.self).baseAddress,
                        instructions.count, &options)
                }
            }
        }.value
        let log = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let lines = log.split(separator: "\n").map(String.init)
        return BPFProgram(
            owning: FileDescriptor(owning: try checkBPF(result, "load program", name, log: lines)))
    }
}

extension BPFMap {
    /// The two instructions that put this map's address into a register, for a program that is loaded while the map's
    /// handle is open.
    public func loadAddress(into register: UInt8) -> [BPFInstruction] {
        // BPF_LD | BPF_DW | BPF_IMM with BPF_PSEUDO_MAP_FD as the source register.
        [
            BPFInstruction(0x18, destination: register, source: 1, immediate: descriptor.number),
            BPFInstruction(0),
        ]
    }
}
