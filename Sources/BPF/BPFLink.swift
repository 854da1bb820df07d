internal import CLibBPF
public import LinuxKernel

/// A side of a network interface, seen from the host.
public enum TrafficSide: Sendable, Hashable, CaseIterable {
    /// Packets that the interface receives.
    case ingress
    /// Packets that go out of the interface.
    case egress

    var attachType: UInt32 {
        switch self {
        case .ingress: UInt32(CLIBBPF_TCX_INGRESS)
        case .egress: UInt32(CLIBBPF_TCX_EGRESS)
        }
    }
}

/// A call of a socket that a program of a cgroup sees.
public enum SocketHook: String, Sendable, Hashable, CaseIterable {
    case connect4, connect6, sendmsg4, sendmsg6, recvmsg4, recvmsg6, getpeername4, getpeername6

    var attachType: UInt32 {
        switch self {
        case .connect4: BPF_CGROUP_INET4_CONNECT.rawValue
        case .connect6: BPF_CGROUP_INET6_CONNECT.rawValue
        case .sendmsg4: BPF_CGROUP_UDP4_SENDMSG.rawValue
        case .sendmsg6: BPF_CGROUP_UDP6_SENDMSG.rawValue
        case .recvmsg4: BPF_CGROUP_UDP4_RECVMSG.rawValue
        case .recvmsg6: BPF_CGROUP_UDP6_RECVMSG.rawValue
        case .getpeername4: BPF_CGROUP_INET4_GETPEERNAME.rawValue
        case .getpeername6: BPF_CGROUP_INET6_GETPEERNAME.rawValue
        }
    }
}

/// Where in the reception of frames a program of XDP runs.
public enum XDPMode: String, Sendable, Hashable, CaseIterable {
    /// In the driver, before the kernel has made anything of a frame.
    case native
    /// Behind it, with any driver.
    case generic

    /// XDP_FLAGS_DRV_MODE and XDP_FLAGS_SKB_MODE (include/uapi/linux/if_link.h).
    var flags: UInt32 {
        switch self {
        case .native: 1 << 2
        case .generic: 1 << 1
        }
    }
}

/// Where a link is attached.
public enum BPFLinkTarget: Sendable, Hashable {
    /// A side of an interface; nil when the interface is gone.
    case interface(index: UInt32?, TrafficSide)
    /// The driver of an interface, or what stands for it; nil when the interface is gone.
    case xdp(index: UInt32?)
    /// A hook of a cgroup; the id is 0 when the cgroup is gone.
    case cgroup(id: UInt64, SocketHook)
    /// A kind that this layer does not make.
    case other(linkType: UInt32)
}

/// What the kernel tells about a link.
public struct BPFLinkInfo: Sendable, Hashable {
    /// The kernel's number of the link.
    public let id: UInt32
    /// The number of the program that it runs.
    public let programID: UInt32
    public let target: BPFLinkTarget

    /// The interface that it is on; nil where that is gone, and for what is on none.
    public var interface: UInt32? {
        switch target {
        case .interface(let index, _), .xdp(let index): index
        case .cgroup, .other: nil
        }
    }

    /// Whether the interface or cgroup is gone: the link will never run again.
    public var isDead: Bool {
        switch target {
        case .interface(let index, _), .xdp(let index): index == nil
        case .cgroup(let id, _): id == 0
        case .other: false
        }
    }
}

/// An attachment of a program, held by a descriptor: it ends with the last handle unless it is pinned.
public struct BPFLink: ~Copyable, Sendable {
    let descriptor: FileDescriptor

    /// Attaches a classifier to a side of an interface, behind the programs that are already there (tcx).
    public static func attach(
        _ program: borrowing BPFProgram, toInterface index: UInt32, _ side: TrafficSide
    ) throws(BPFError) -> BPFLink {
        try create(program, target: Int32(bitPattern: index), side.attachType, "interface \(index) \(side)")
    }

    /// Attaches a program of XDP to an interface. Fails with `.busy` where somebody else's is there already.
    public static func attach(
        _ program: borrowing BPFProgram, toInterface index: UInt32, _ mode: XDPMode
    ) throws(BPFError) -> BPFLink {
        LibraryLog.install()
        let result = clibbpf_link_create_xdp(program.descriptor.number, Int32(bitPattern: index), mode.flags)
        return BPFLink(
            descriptor: FileDescriptor(owning: try checkBPF(result, "attach to", "interface \(index) \(mode)")))
    }

    /// Attaches a program to a hook of a cgroup v2 directory, beside the programs that are already there.
    public static func attach(
        _ program: borrowing BPFProgram, toCgroup directory: borrowing FileDescriptor, _ hook: SocketHook
    ) throws(BPFError) -> BPFLink {
        try create(program, target: directory.number, hook.attachType, "cgroup \(hook)")
    }

    /// Attaches a program to the tracepoint that it was made for (`tp_btf`). Its link can't be given another program.
    public static func attach(toTracepointOf program: borrowing BPFProgram) throws(BPFError) -> BPFLink {
        try create(program, target: 0, BPF_TRACE_RAW_TP.rawValue, "its tracepoint")
    }

    private static func create(
        _ program: borrowing BPFProgram, target: Int32, _ type: UInt32, _ detail: String
    ) throws(BPFError) -> BPFLink {
        LibraryLog.install()
        let result = bpf_link_create(program.descriptor.number, target, bpf_attach_type(rawValue: type), nil)
        return BPFLink(descriptor: FileDescriptor(owning: try checkBPF(result, "attach to", detail)))
    }

    /// Opens a pinned link.
    public static func open(pinned path: String) throws(BPFError) -> BPFLink {
        BPFLink(descriptor: try PinnedKind.link.open(path))
    }

    /// Pins the link, so that it stays when the last handle is gone.
    public func pin(at path: String) throws(BPFError) {
        try checkBPF(bpf_obj_pin(descriptor.number, path), "pin link at", path)
    }

    /// Replaces the program without a packet in between that sees none.
    ///
    /// Fails with `.noLink` when the interface or cgroup is gone.
    public func update(to program: borrowing BPFProgram) throws(BPFError) {
        try checkBPF(bpf_link_update(descriptor.number, program.descriptor.number, nil), "update link")
    }

    /// Ends the attachment now, for all handles and pins.
    public func detach() throws(BPFError) {
        try checkBPF(bpf_link_detach(descriptor.number), "detach link")
    }

    /// Asks the kernel about the link.
    public func info() throws(BPFError) -> BPFLinkInfo {
        var info = bpf_link_info()
        var size = UInt32(MemoryLayout<bpf_link_info>.size)
        try checkBPF(bpf_obj_get_info_by_fd(descriptor.number, &info, &size), "get link info")
        return BPFLinkInfo(id: info.id, programID: info.prog_id, target: Self.target(of: info))
    }

    private static func target(of info: bpf_link_info) -> BPFLinkTarget {
        if info.type == UInt32(CLIBBPF_LINK_TYPE_TCX) {
            let tcx = withUnsafeBytes(of: info) { $0.loadUnaligned(as: clibbpf_tcx_link_info.self) }
            if let side = TrafficSide.allCases.first(where: { $0.attachType == tcx.attach_type }) {
                return .interface(index: tcx.ifindex == 0 ? nil : tcx.ifindex, side)
            }
        }
        if info.type == BPF_LINK_TYPE_XDP.rawValue {
            return .xdp(index: info.xdp.ifindex == 0 ? nil : info.xdp.ifindex)
        }
        if info.type == BPF_LINK_TYPE_CGROUP.rawValue,
            let hook = SocketHook.allCases.first(where: { $0.attachType == info.cgroup.attach_type })
        {
            return .cgroup(id: info.cgroup.cgroup_id, hook)
        }
        return .other(linkType: info.type)
    }
}
