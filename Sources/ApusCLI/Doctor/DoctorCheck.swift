internal import BPF
internal import LinuxKernel

/// One line of `apus doctor`.
package struct DoctorCheck: TableRow, Codable, Equatable {
    /// How it turned out.
    package enum Result: String, Codable, Sendable {
        case ok
        /// Apus runs, but somebody should look at it.
        case warning
        /// Apus can't run.
        case failed
    }

    package var check: String
    package var result: Result
    /// What was found.
    package var detail: String
    /// What to do about it; nil when it is well.
    package var advice: String?

    package static let absence = "nothing checked"

    package static let columns: [Column<DoctorCheck>] = [
        Column("RESULT") { $0.result.rawValue },
        Column("CHECK") { $0.check },
        Column("DETAIL") { $0.detail },
    ]

    static func ok(_ check: String, _ detail: String) -> DoctorCheck {
        DoctorCheck(check: check, result: .ok, detail: detail)
    }

    static func warning(_ check: String, _ detail: String, _ advice: String) -> DoctorCheck {
        DoctorCheck(check: check, result: .warning, detail: detail, advice: advice)
    }

    static func failed(_ check: String, _ detail: String, _ advice: String) -> DoctorCheck {
        DoctorCheck(check: check, result: .failed, detail: detail, advice: advice)
    }
}

extension NodeFacts {
    /// The judgement: requirements first, then what may get in the way.
    package var checks: [DoctorCheck] {
        [privilege, kernel] + features.map(check) + [cgroup, pins, compiler, uplink, forwarding] + reversePaths
            + conflicts + gaps.map { .warning("coverage", $0, "run apus doctor where this can be seen") }
    }

    private var privilege: DoctorCheck {
        isRoot
            ? .ok("privileges", "root")
            : .failed("privileges", "not root", "run as root: BPF programs and maps are not open to other users")
    }

    private var kernel: DoctorCheck {
        let minimum = FeatureProbe.minimumKernel
        guard let version = KernelVersion(kernelRelease) else {
            return .warning("kernel", kernelRelease, "the version can't be read; Apus needs \(minimum) or later")
        }
        if version >= minimum { return .ok("kernel", "\(kernelRelease), at least \(minimum) needed") }
        let missing = KernelFeature.allCases.filter { $0.since > version }.map { "\($0.rawValue) (\($0.since))" }
        let reason = missing.isEmpty ? "" : "; it lacks " + missing.joined(separator: ", ")
        return .failed("kernel", kernelRelease + reason, "run kernel \(minimum) or later")
    }

    private func check(_ status: FeatureStatus) -> DoctorCheck {
        let since = "since Linux \(status.feature.since)"
        let name = status.feature.rawValue
        if status.isPresent { return .ok(name, since) }
        let advice =
            isRoot
            ? "run a kernel from \(status.feature.since) on, built with BPF; Apus needs \(FeatureProbe.minimumKernel)"
            : "run as root, the kernel does not answer others"
        return .failed(name, "\(status.detail); \(since)", advice)
    }

    private var cgroup: DoctorCheck {
        if let cgroup2Path { return .ok("cgroup v2", "mounted at \(cgroup2Path)") }
        return .failed(
            "cgroup v2", "not mounted", "mount it: mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup")
    }

    private var pins: DoctorCheck {
        switch pinDirectory {
        case .ready: .ok("bpf file system", "\(directory) is on one")
        case .canBeMade: .ok("bpf file system", "\(directory) can be made")
        case .notOnBPFFileSystem:
            .failed(
                "bpf file system", "\(directory) is not on one",
                "mount it: mount -t bpf bpf /sys/fs/bpf, or name another directory with --bpffs")
        case .unknown(let reason):
            .failed("bpf file system", reason, "check the path, and run as root")
        }
    }

    private var compiler: DoctorCheck {
        compilesPrograms == false
            ? .warning("BPF compiler", "off: programs are interpreted", "sysctl -w net.core.bpf_jit_enable=1")
            : .ok("BPF compiler", compilesPrograms == nil ? "always on in this kernel" : "on")
    }

    private var uplink: DoctorCheck {
        uplinks.isEmpty
            ? .warning("uplinks", "none: no default route", "name them with --uplink, here and for apusd")
            : .ok("uplinks", uplinks.joined(separator: ", "))
    }

    private var forwarding: DoctorCheck {
        let off = [("IPv4", forwards.v4), ("IPv6", forwards.v6)].filter { $0.1 == false }.map(\.0)
        if off.isEmpty { return .ok("forwarding", "on") }
        return .warning(
            "forwarding", "off for \(off.joined(separator: " and "))",
            "packets of pods to other nodes and outside need it: sysctl -w net.ipv4.ip_forward=1 "
                + "net.ipv6.conf.all.forwarding=1")
    }

    /// Answers of other nodes to pods come by another interface than the question left by.
    private var reversePaths: [DoctorCheck] {
        guard !overlays.isEmpty else { return [] }
        if strictInterfaces.isEmpty { return [.ok("reverse paths", "not filtered strictly")] }
        return [
            .warning(
                "reverse paths", "filtered strictly on " + Quantity.few(strictInterfaces, 3),
                "packets between nodes and pods of other nodes are dropped: set net.ipv4.conf.*.rp_filter to 0 or 2")
        ]
    }

    private var conflicts: [DoctorCheck] {
        let programs = foreignPrograms.map { program in
            DoctorCheck.warning(
                "other programs", "\(program.kind) \(program.name) on \(program.interface) \(program.side)",
                "it runs beside Apus; make sure that it does not redirect or rewrite pod traffic")
        }
        let others = Dictionary(grouping: traces, by: \.owner).sorted { $0.key < $1.key }.map { owner, traces in
            DoctorCheck.warning(
                "conflicts", "\(owner): " + Quantity.few(traces.map(\.place), 3),
                OtherSoftware.named(owner)?.advice ?? "make sure that only one of them handles pod traffic")
        }
        let all = programs + others
        return all.isEmpty ? [.ok("conflicts", "none found")] : all
    }
}
