internal import CLibBPF
internal import Glibc
public import LinuxKernel

/// A feature of the kernel that Apus needs.
public enum KernelFeature: String, Sendable, Hashable, CaseIterable {
    case tcxLinks = "tcx links"
    case ringBuffer = "ring buffer maps"
    case socketStorage = "socket storage maps"
    case loops = "bpf_loop"
    case socketReturnValue = "bpf_set_retval in cgroup programs"
    case redirectPeer = "bpf_redirect_peer"
    case redirectNeighbour = "bpf_redirect_neigh"
    case typeInformation = "BTF of the kernel"

    /// The first kernel that has it.
    public var since: KernelVersion {
        switch self {
        case .tcxLinks: KernelVersion(6, 6)
        case .ringBuffer: KernelVersion(5, 8)
        case .socketStorage: KernelVersion(5, 2)
        case .loops: KernelVersion(5, 17)
        case .socketReturnValue: KernelVersion(5, 18)
        case .redirectPeer, .redirectNeighbour: KernelVersion(5, 10)
        case .typeInformation: KernelVersion(5, 2)
        }
    }
}

/// Whether a feature is there.
public struct FeatureStatus: Sendable, Hashable {
    public let feature: KernelFeature
    public let isPresent: Bool
    /// What the kernel said when it is not there, or why it could not be asked; otherwise empty.
    public let detail: String
}

/// Asks the running kernel what it can do. Needs the privileges that loading programs needs; attaches nothing.
public enum FeatureProbe {
    /// The oldest kernel that Apus runs on.
    public static let minimumKernel = KernelVersion(6, 6)

    /// The status of every feature.
    public static func all() -> [FeatureStatus] { KernelFeature.allCases.map(status) }

    /// The status of one feature.
    public static func status(of feature: KernelFeature) -> FeatureStatus {
        let result: Int32 = LibraryLog.capture { ask(feature) }.value
        let detail = result > 0 ? "" : result == 0 ? "not in this kernel" : "\(Errno(rawValue: -result))"
        return FeatureStatus(feature: feature, isPresent: result > 0, detail: detail)
    }

    /// 1 when present, 0 when not, -errno when the kernel could not be asked.
    private static func ask(_ feature: KernelFeature) -> Int32 {
        switch feature {
        case .tcxLinks: tcxLinks()
        case .ringBuffer: libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, nil)
        case .socketStorage: libbpf_probe_bpf_map_type(BPF_MAP_TYPE_SK_STORAGE, nil)
        case .loops: libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_loop, nil)
        case .socketReturnValue: libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval, nil)
        case .redirectPeer: libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_redirect_peer, nil)
        case .redirectNeighbour: libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_redirect_neigh, nil)
        case .typeInformation: access("/sys/kernel/btf/vmlinux", R_OK) == 0 ? 1 : 0
        }
    }

    /// Asks for a link on an interface that can't exist: a kernel with tcx links misses the interface, not the type.
    private static func tcxLinks() -> Int32 {
        do throws(BPFError) {
            let program = try BPFProgram.load(.classifier, instructions: BPFInstruction.returning(0), name: "probe")
            do throws(BPFError) {
                _ = try BPFLink.attach(program, toInterface: 0x7fff_ffff, .ingress)
                return 1
            } catch {
                return error.errno == .noDevice ? 1 : 0
            }
        } catch {
            return -error.errno.rawValue
        }
    }
}
